"""Gradients of gradients, which Jacobian regularization takes: fused pieces offer first ones only."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch.nn.attention import SDPBackend, sdpa_kernel

_wanted: ContextVar[bool] = ContextVar("second_order", default=False)


def second_order_wanted() -> bool:
    """Whether what is computed now will be differentiated twice."""
    return _wanted.get()


@contextmanager
def second_order() -> Iterator[None]:
    """Inside, plain formulas take the place of fused pieces: slower, and differentiable twice."""
    token = _wanted.set(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        _wanted.reset(token)
