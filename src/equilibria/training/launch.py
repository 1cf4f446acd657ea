"""Device, precision and processes: everything this project asks of Hugging Face accelerate."""

import atexit
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from equilibria.errors import TrainingError
from equilibria.training.carry import Carry


class Launch:
    """One process of a run, alone or among others started by `accelerate launch` or `torchrun`.

    Gradients are summed over processes by hand rather than through a wrapped model: a segment calls the
    reasoner in parts, with and without gradient, and the loss is already divided by the global batch.

    Args:
        device: "auto" takes what accelerate finds.

    Raises:
        TrainingError: the device asked for is not there.
    """

    def __init__(self, device: str = "auto") -> None:
        if device not in ("auto", "cpu", "cuda", "mps"):
            raise TrainingError(f"device '{device}': choose auto, cpu, cuda or mps")
        if device == "cuda" and not torch.cuda.is_available():
            raise TrainingError("device cuda: no CUDA device is visible; use --device cpu or auto")
        if device == "mps" and not torch.backends.mps.is_available():
            raise TrainingError("device mps: not available on this machine; use --device cpu or auto")
        self.accelerator = Accelerator(cpu=device == "cpu")
        self.device: torch.device = self.accelerator.device
        self.rank: int = self.accelerator.process_index
        self.processes: int = self.accelerator.num_processes
        if self.processes > 1:
            atexit.register(_leave)

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def dtype(self, precision: str) -> torch.dtype:
        """The dtype of activations for a recipe's `precision`."""
        if precision == "auto":
            return torch.bfloat16 if multiplies_bf16(self.device) else torch.float32
        return torch.bfloat16 if precision == "bf16" else torch.float32

    def share(self, batch: int, accumulate: int) -> slice:
        """This process's rows of a global batch.

        Raises:
            TrainingError: the batch does not divide evenly.
        """
        if batch % (self.processes * accumulate):
            raise TrainingError(
                f"training.batch {batch} must be a multiple of processes x accumulate = "
                f"{self.processes} x {accumulate}"
            )
        rows = batch // self.processes
        return slice(self.rank * rows, (self.rank + 1) * rows)

    def sum_gradients(self, weights: list[nn.Parameter]) -> None:
        """Add up the gradients of all processes, dense ones in a single flat message."""
        if self.processes == 1:
            return
        dense = [weight.grad for weight in weights if weight.grad is not None and not weight.grad.is_sparse]
        flat = self._sum(torch.cat([gradient.flatten() for gradient in dense]))
        for gradient, part in zip(dense, flat.split([g.numel() for g in dense]), strict=True):
            gradient.copy_(part.view_as(gradient))
        for weight in weights:
            if weight.grad is not None and weight.grad.is_sparse:
                own = weight.grad
                rows = self._gather(own._indices().T.contiguous()).T
                values = self._gather(own._values())
                weight.grad = torch.sparse_coo_tensor(rows, values, own.shape, check_invariants=False)

    def sum_metrics(self, metrics: dict[str, Tensor]) -> dict[str, float]:
        """Totals over processes, as numbers."""
        total = self._sum(torch.stack([value.double() for value in metrics.values()]))
        return dict(zip(metrics, total.tolist(), strict=True))

    def gather_carry(self, carry: Carry) -> dict[str, Tensor]:
        """The rolling batch of all processes, by name, in the order of the global batch."""
        return {name: self._gather(value) for name, value in carry.tensors().items()}

    def any(self, flag: bool) -> bool:
        """Whether any process raised the flag."""
        if self.processes == 1:
            return flag
        return bool(self._sum(torch.tensor([float(flag)], device=self.device)).item())

    def finish(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def wait(self) -> None:
        """Until every process is here."""
        self.accelerator.wait_for_everyone()

    def _sum(self, value: Tensor) -> Tensor:
        return value if self.processes == 1 else _tensor(self.accelerator.reduce(value, "sum"))

    def _gather(self, value: Tensor) -> Tensor:
        return value if self.processes == 1 else _tensor(self.accelerator.gather(value))


def _tensor(value: Any) -> Tensor:
    """What accelerate returns for a tensor is a tensor; its annotations do not say so."""
    assert isinstance(value, Tensor)
    return value


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16 products (elsewhere they are emulated, and slow)."""
    if device.type == "cpu":
        able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return device.type == "cuda"


def _leave() -> None:
    """Leave the group of processes in order: threads of its transport must not outlive Python."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
