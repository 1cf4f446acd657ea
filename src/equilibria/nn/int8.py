"""Linear maps for inference with 8-bit integers: about twice the matmul rate of bfloat16 on a recent CPU.

Weights get one scale an output, activations one scale a vector (Dettmers et al. 2022, without outlier
columns), so that a row is rounded alike whatever shares its batch.
"""

import itertools
import weakref
from typing import NamedTuple

import torch
from torch import Tensor, nn

from equilibria.errors import EquilibriaError
from equilibria.nn.linear import Linear
from equilibria.nn.swiglu import SwiGLU, TokenMixer

STEPS = 127  # of an int8 on either side of zero


class _Packed(NamedTuple):
    weight: Tensor  # in the opaque layout of oneDNN, which is why a compiler is only shown its number
    scale: Tensor
    zero: Tensor


_packed: dict[int, _Packed] = {}
_numbers = itertools.count()


@torch.library.custom_op("equilibria::int8_linear", mutates_args=())
def _int8_linear(x: Tensor, number: int, outputs: int) -> Tensor:
    """`x [rows, inputs]` uint8, 128 standing for zero → `[rows, outputs]` bfloat16, in units of 1/127."""
    weight, scale, zero = _packed[number]
    return torch.ops.onednn.qlinear_pointwise(
        x, 1.0 / STEPS, 128, weight, scale, zero, None, 1.0, 0, torch.bfloat16, "none", [], ""
    )


@_int8_linear.register_fake
def _(x: Tensor, number: int, outputs: int) -> Tensor:
    return x.new_empty(len(x), outputs, dtype=torch.bfloat16)


def available() -> bool:
    """Whether this build of PyTorch multiplies 8-bit integers by oneDNN (x86 CPUs)."""
    return (
        hasattr(torch.ops.onednn, "qlinear_pointwise")
        and "onednn" in torch.backends.quantized.supported_engines
    )


class Int8Linear(nn.Module):
    """`x Wᵀ` with both sides rounded to 8 bits; without bias, without gradient.

    Raises:
        EquilibriaError: this build of PyTorch cannot.
    """

    def __init__(self, linear: Linear) -> None:
        super().__init__()
        if not available():
            raise EquilibriaError("int8 inference needs an x86 build of PyTorch with oneDNN; leave int8 out")
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp(min=1e-12) / STEPS
        rounded = (weight / scale[:, None]).round().to(torch.int8)
        packed = torch.ops.onednn.qlinear_prepack(rounded, None)
        self.outputs = len(weight)
        self.number = next(_numbers)
        _packed[self.number] = _Packed(packed, scale, torch.zeros(self.outputs, dtype=torch.int32))
        weakref.finalize(self, _packed.pop, self.number, None)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., inputs]` → `[..., outputs]`."""
        rows = x.flatten(0, -2)
        largest = rows.abs().amax(dim=1, keepdim=True).float().clamp(min=1e-12)
        steps = (rows.float() * (STEPS / largest)).round() + 128.0
        result = _int8_linear(steps.to(torch.uint8), self.number, self.outputs)
        return (result * largest).to(x.dtype).unflatten(0, x.shape[:-1])


def round_to_int8(module: nn.Module) -> None:
    """Replace, in place, the maps of every SwiGLU over channels; those over tokens are small and stay."""
    for mixing in module.modules():
        if isinstance(mixing, SwiGLU) and not isinstance(mixing, TokenMixer):
            for name in ("gate_up", "down"):
                setattr(mixing, name, Int8Linear(getattr(mixing, name)))
