"""What a piece of computation costs: matmul FLOPs, what autograd keeps, and what is alive at most.

All three are counted from the operations themselves, so they work on the meta device, too, where tensors
have shapes and no numbers: a network that would need terabytes is counted in seconds.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from equilibria.training.live import live_bytes


@dataclass(frozen=True)
class Measurement:
    """Costs of one forward and one backward pass.

    Attributes:
        forward: FLOPs of matrix products.
        backward: the same.
        kept: bytes that the forward pass keeps for the backward pass.
        peak: bytes of all tensors alive at once, at most, those there before included.
    """

    forward: int
    backward: int
    kept: int
    peak: int


def measure(forward: Callable[[], Tensor], there: Iterable[Tensor], leaves: Iterable[Tensor]) -> Measurement:
    """Run `forward` to a scalar and differentiate it, twice: to count, and to see what lives.

    Args:
        forward: gives the scalar.
        there: tensors that exist anyhow, and are not counted as kept.
        leaves: what is differentiated; their gradients are dropped afterwards.
    """
    existing, differentiated = list(there), list(leaves)
    kept = _Kept(existing)
    with FlopCounterMode(display=False) as flops:
        with saved_tensors_hooks(kept.pack, lambda tensor: tensor):
            scalar = forward()
        ahead = flops.get_total_flops()
        scalar.backward()
        back = flops.get_total_flops() - ahead
    del scalar
    _drop_gradients(differentiated)
    held = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in existing}
    alive = live_bytes(lambda: forward().backward())
    _drop_gradients(differentiated)
    return Measurement(ahead, back, kept.bytes, sum(held.values()) + max(alive))


def _drop_gradients(leaves: Iterable[Tensor]) -> None:
    for leaf in leaves:
        leaf.grad = None


class _Kept:
    """Sums what autograd keeps, each storage once."""

    def __init__(self, there: Iterable[Tensor]) -> None:
        self.seen = {tensor.untyped_storage()._cdata for tensor in there}
        self.bytes = 0
        self._held: list[Tensor] = []  # so that no storage ends, and no address is used twice

    def pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self.seen:
            self.seen.add(storage._cdata)
            self.bytes += storage.nbytes()
            self._held.append(tensor)
        return tensor
