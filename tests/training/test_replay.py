"""A segment works in place and waits for nothing, so that a GPU can replay it as one recorded graph."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from equilibria.tasks.interface import Problems
from equilibria.training.average import ExponentialAverage
from equilibria.training.optimizers import build_optimizers
from equilibria.training.replay import WARM_UP, Replay
from equilibria.training.rolling import RollingBatch
from equilibria.training.sampler import Sampler


def rolling_batch(recipe, device):
    task, training = recipe.build_task(), recipe.training
    problems = task.generate(40, seed=0)
    reasoner = recipe.build_reasoner(task).to(device)
    if training.compiled:
        reasoner.compiled()
    sampler = Sampler(
        Problems(problems.inputs, problems.labels, problems.sources), task, batch=training.batch,
        share=slice(0, training.batch), seed=0, augment=True, device=torch.device(device),
    )  # fmt: skip
    return RollingBatch(reasoner, sampler, training)


class OnDeviceOnly(TorchDispatchMode):
    """Refuses tensors of another device: each would be a copy that a recording cannot hold."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, result)):
            assert not isinstance(value, torch.Tensor) or value.device.type == "meta", func
        return result


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("training.candidates=2",),
        ("training.accumulate=2", "training.objective=softmax", "training.smoothing=0.1"),
        ("reasoner.gate=bounded", "training.precision=bf16"),
        ("reasoner.initial=fixed", "training.halting.rule=fixed"),
        ("reasoner.mixing=attention", "reasoner.positions=rope2d"),
    ],
)
def test_a_segment_neither_waits_for_its_device_nor_leaves_it(tiny, overrides):
    """On the meta device nothing can be read: whatever asks for a number, or for a shape that depends on
    one, fails there."""
    batch = rolling_batch(tiny(*overrides), "meta")
    rows = torch.zeros(16, dtype=torch.int64, device="meta")
    average = ExponentialAverage(batch.reasoner.dense_parameters(), 0.9)
    optimizers = build_optimizers(batch.reasoner, batch.config.optimizer)
    batch._run(rows, rows)  # tables are made at the first call
    with OnDeviceOnly():
        batch._run(rows, rows)
        torch.nn.utils.clip_grad_norm_(batch.reasoner.dense_parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        average.update()
    assert all(weight.grad is not None for weight in batch.reasoner.blocks.parameters())


def test_the_memory_of_the_rolling_batch_stays(tiny):
    batch = rolling_batch(tiny(), "cpu")
    batch.advance(0)
    places = [value.data_ptr() for value in (*batch.carry.tensors().values(), *batch.totals.values())]
    assert len(set(places)) == len(places)
    for step in range(1, 6):
        batch.advance(step)
    again = [value.data_ptr() for value in (*batch.carry.tensors().values(), *batch.totals.values())]
    assert again == places


def test_off_cuda_a_replay_is_a_plain_call():
    calls = []
    replay = Replay(calls.append, torch.device("cpu"))
    for value in range(WARM_UP + 3):
        replay(torch.tensor(value))
    assert [value.item() for value in calls] == list(range(WARM_UP + 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("ignore")  # of the compiler's own modules
def test_a_replayed_segment_is_the_plain_one(tiny):
    """Ten steps of plain gradient descent, recorded after the third, in float32."""
    ends = []
    for compiled in ("false", "true"):
        batch = rolling_batch(tiny(f"training.compiled={compiled}"), "cuda")
        for step in range(10):
            batch.advance(step)
            with torch.no_grad():
                for weight in batch.reasoner.dense_parameters():
                    weight -= 0.1 * weight.grad
        ends.append(
            [batch.carry.steps.clone(), batch.carry.state.clone(), *batch.reasoner.dense_parameters()]
        )
    assert torch.equal(ends[0][0], ends[1][0])
    for plain, replayed in zip(ends[0][1:], ends[1][1:], strict=True):
        torch.testing.assert_close(replayed, plain, rtol=1e-3, atol=1e-3)
