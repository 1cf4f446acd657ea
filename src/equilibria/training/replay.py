"""A training segment without its launch costs: recorded once as a CUDA graph, then replayed."""

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3  # calls before recording: compilers compile, libraries choose kernels, caches fill


class Replay:
    """Calls `function(*inputs)`; on a CUDA device, from the fourth call on, replays what a call launched.

    The function must work in place on memory that stays (parameters, gradients, the rolling batch), must
    not wait for the device, and must set gradients to None before it makes them, so that they live in
    the graph's own memory from the recording on.

    Args:
        function: what to run; takes tensors of unchanging shape, returns nothing.
        device: where it runs.
        record: whether to record at all. Without, and anywhere but on CUDA, every call is a plain one.
    """

    def __init__(self, function: Callable[..., None], device: torch.device, record: bool = True) -> None:
        self.function = function
        self.device = device
        self.record = record and device.type == "cuda"
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: tuple[Tensor, ...] = ()
        # Recording wants what precedes it on a stream of its own: one, so that its memory is used again.
        self.aside = torch.cuda.Stream(device) if self.record else None

    def __call__(self, *inputs: Tensor) -> None:
        if not self.record:
            self.function(*inputs)
            return
        self.calls += 1
        if self.aside is not None and self.calls <= WARM_UP:
            self.aside.wait_stream(torch.cuda.current_stream(self.device))
            with torch.cuda.stream(self.aside):
                self.function(*inputs)
            torch.cuda.current_stream(self.device).wait_stream(self.aside)
            return
        if self.graph is None:
            self.inputs = tuple(value.clone() for value in inputs)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.function(*self.inputs)
        for own, value in zip(self.inputs, inputs, strict=True):
            own.copy_(value)
        self.graph.replay()
