"""How much memory tensors hold at every moment of a computation."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary


def live_bytes(work: Callable[[], object]) -> list[int]:
    """Bytes of what `work` has allocated and still holds, after each of its operations.

    Counted from shapes, so it works on the meta device, too.
    """
    with _Memory() as memory:
        work()
    return memory.trace


class _Memory(TorchDispatchMode):
    """Follows each storage from the operation that makes it to its release."""

    def __init__(self) -> None:
        super().__init__()
        self.trace: list[int] = []
        self._live = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in _tensors((args, kwargs)):
            self._known[tensor.untyped_storage()] = None  # was there before, if it is not known
        results = func(*args, **(kwargs or {}))
        for tensor in _tensors(results):
            storage = tensor.untyped_storage()
            if storage not in self._known:
                self._known[storage] = None
                self._live += storage.nbytes()
                weakref.finalize(storage, self._release, storage.nbytes())
        self.trace.append(self._live)
        return results

    def _release(self, size: int) -> None:
        self._live -= size


def _tensors(tree: Any) -> list[Tensor]:
    """The tensors in a tree; without sparse ones, the gradients of identity tables, which are small."""
    leaves: list[Any] = tree_leaves(tree)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.layout == torch.strided]
