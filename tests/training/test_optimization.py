"""Rates, averages and optimizers, and whether loss falls under each of them."""

import json
import math
from itertools import accumulate

import pytest
import torch

import equilibria as eq
from equilibria.errors import TrainingError
from equilibria.runs import train
from equilibria.tasks import load_task
from equilibria.training.adam_atan2 import AdamAtan2
from equilibria.training.average import ExponentialAverage
from equilibria.training.cost import _sample_carry, estimate
from equilibria.training.launch import Launch
from equilibria.training.losses import IGNORE, answer_loss, is_correct, log_stablemax, token_loss
from equilibria.training.optimizers import OptimizerConfig, build_optimizers, rate, set_rate
from equilibria.training.rolling import backward
from equilibria.training.sign_sgd import SparseSignSGD

SUDOKU = load_task({"name": "sudoku", "box": [2, 2]})


def test_the_rate_warms_up_and_stays():
    config = OptimizerConfig(warmup=4)
    assert [rate(step, 10, config) for step in range(1, 11)] == [0.25, 0.5, 0.75] + [1.0] * 7


def test_the_rate_falls_as_a_cosine_to_what_is_left():
    config = OptimizerConfig(warmup=100, min_ratio=0.1)
    assert rate(100, 1100, config) == 1.0
    assert rate(350, 1100, config) == pytest.approx(0.1 + 0.9 * (0.5 + 0.5 * math.cos(math.pi / 4)))
    assert rate(600, 1100, config) == pytest.approx(0.55)
    assert rate(1100, 1100, config) == pytest.approx(0.1)
    assert rate(9999, 1100, config) == pytest.approx(0.1)
    falling = [rate(step, 1100, config) for step in range(100, 1101)]
    assert falling == sorted(falling, reverse=True)


def test_a_run_without_warm_up_or_shorter_than_it_has_a_rate():
    assert rate(1, 10, OptimizerConfig(warmup=0)) == 1.0
    assert rate(5, 5, OptimizerConfig(warmup=10)) == 0.5
    assert rate(5, 5, OptimizerConfig(warmup=5)) == 1.0


def test_every_optimizer_keeps_its_own_base_rate(tiny):
    recipe = tiny("training.optimizer.name=muon", "training.optimizer.muon_lr=0.5", "reasoner.prefix=1")
    optimizers = build_optimizers(recipe.build_reasoner(SUDOKU), recipe.training.optimizer)
    for ratio in (0.5, 0.1, 1.0):
        set_rate(optimizers, ratio)
        rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
        assert rates == pytest.approx([1e-4 * ratio, 0.5 * ratio, 2e-3 * ratio])


@pytest.mark.parametrize("name", ["adam-atan2", "adamw", "muon"])
def test_every_parameter_is_moved_by_one_optimizer(tiny, name):
    recipe = tiny(f"training.optimizer.name={name}", "reasoner.prefix=1")
    reasoner = recipe.build_reasoner(SUDOKU)
    optimizers = build_optimizers(reasoner, recipe.training.optimizer)
    moved = [id(weight) for o in optimizers for group in o.param_groups for weight in group["params"]]
    assert sorted(moved) == sorted(id(weight) for weight in reasoner.parameters())
    tables = optimizers[0].param_groups[0]["params"]
    assert isinstance(optimizers[0], SparseSignSGD)
    assert [id(table) for table in tables] == [id(table) for table in reasoner.identity_parameters()]
    if name == "muon":
        matrices = {id(weight) for weight in optimizers[1].param_groups[0]["params"]}
        assert matrices == {id(weight) for weight in reasoner.blocks.parameters()}


def test_an_average_is_the_exponentially_weighted_sum_of_the_weights():
    weight = torch.nn.Parameter(torch.zeros(3))
    average, values = ExponentialAverage([weight], 0.9), torch.randn(20, 3)
    for value in values:
        with torch.no_grad():
            weight.copy_(value)
        average.update()
    expected = sum(0.1 * 0.9 ** (19 - k) * values[k] for k in range(20))
    torch.testing.assert_close(average.shadow[0], expected)


def test_an_average_without_decay_follows_the_weights():
    weight = torch.nn.Parameter(torch.zeros(3))
    average = ExponentialAverage([weight], 0.0)
    torch.nn.init.normal_(weight)
    average.update()
    assert torch.equal(average.shadow[0], weight)


def test_an_average_is_applied_for_a_while_only_even_through_an_error():
    weight = torch.nn.Parameter(torch.zeros(3))
    average = ExponentialAverage([weight], 0.9)
    torch.nn.init.ones_(weight)
    with pytest.raises(RuntimeError), average.applied():
        assert not weight.any()
        raise RuntimeError
    assert weight.eq(1).all()
    assert weight.requires_grad


def test_adam_atan2_does_not_care_for_the_scale_of_gradients():
    moved = []
    for scale in (1e-6, 1.0, 1e6):
        weight = torch.nn.Parameter(torch.zeros(4))
        optimizer = AdamAtan2([weight], lr=0.1)
        for step in range(5):
            weight.grad = scale * torch.sin(torch.arange(4.0) + step)
            optimizer.step()
        moved.append(weight.detach().clone())
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moved[2], moved[1], rtol=1e-4, atol=1e-5)


def test_adam_atan2_leaves_weights_without_gradient_alone():
    still, moving = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = AdamAtan2([still, moving], lr=0.1, weight_decay=1.0)
    moving.grad = torch.zeros(2)
    optimizer.step()
    assert still.eq(1).all()
    assert torch.equal(moving, torch.full((2,), 0.9))  # no gradient to follow, but decay


def test_sign_sgd_adds_up_the_gradients_of_a_row_and_leaves_other_rows():
    table = torch.nn.Parameter(torch.ones(4, 2))
    rows, values = torch.tensor([[2, 0, 2]]), torch.tensor([[3.0, 1.0], [0.0, -1.0], [-1.0, -2.0]])
    table.grad = torch.sparse_coo_tensor(rows, values, table.shape, check_invariants=True)
    SparseSignSGD([table], lr=0.1, weight_decay=0.5).step()
    kept = 1 - 0.1 * 0.5
    expected = [[kept, kept + 0.1], [1.0, 1.0], [kept - 0.1, kept + 0.1], [1.0, 1.0]]
    torch.testing.assert_close(table.data, torch.tensor(expected))


def test_stablemax_is_its_formula_and_a_distribution():
    logits = torch.tensor([[-50.0, -1.0, 0.0, 2.0, 1e4]], dtype=torch.float64)
    s = torch.where(logits < 0, 1 / (1 - logits), logits + 1)
    torch.testing.assert_close(log_stablemax(logits), (s / s.sum()).log())
    anywhere = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(log_stablemax, (anywhere,))
    zero = torch.zeros(1, 3, requires_grad=True)
    log_stablemax(zero)[0, 0].backward()
    assert zero.grad.isfinite().all()


@pytest.mark.parametrize("objective", ["stablemax", "softmax"])
def test_tokens_that_are_not_asked_for_cost_nothing(objective):
    logits = torch.randn(2, 4, 5, requires_grad=True)
    targets = torch.tensor([[1, IGNORE, 2, IGNORE], [IGNORE] * 4])
    loss = answer_loss(logits, targets, objective)
    each = token_loss(logits, targets, objective)
    assert loss[0].item() == pytest.approx(((each[0, 0] + each[0, 2]) / 2).item())
    assert loss[1] == 0
    loss.sum().backward()
    assert not logits.grad[0, [1, 3]].any()
    assert not logits.grad[1].any()
    answers = torch.nn.functional.one_hot(torch.tensor([[1, 4, 2, 4], [3, 3, 3, 3]]), 5).float()
    assert is_correct(answers, targets).tolist() == [True, True]
    assert is_correct(answers, torch.tensor([[1, 0, 2, IGNORE], [IGNORE] * 4])).tolist() == [False, True]


def losses(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("name", ["adam-atan2", "adamw", "muon"])
def test_the_loss_falls(tiny, tmp_path, name):
    overrides = (f"training.optimizer.name={name}", "training.optimizer.clip=1.0", "training.steps=60")
    watched = ("training.log_every=10", "training.save_every=60", "training.evaluate_every=60")
    train(tiny(*overrides, *watched), out=tmp_path, device="cpu", quiet=True)
    course = losses(tmp_path)
    assert all(math.isfinite(loss) for loss in course)
    assert course[-1] < 0.8 * course[0]


def test_a_recipe_with_an_identity_prefix_trains_its_table_by_sign_sgd(tmp_path):
    small = (
        "task.box=[2,2]", "reasoner.width=16", "reasoner.channel_inner=32", "reasoner.token_inner=16",
        "reasoner.prefix=3", "data.source=generated", "data.count=60", "data.held_out_count=20",
        "data.limit=null", "training.batch=16", "training.steps=2", "training.optimizer.warmup=0",
        "training.optimizer.identity_lr=0.125", "training.optimizer.identity_weight_decay=0",
    )  # fmt: skip
    trained = train("trm-sudoku", small, out=tmp_path, device="cpu", quiet=True)
    table = trained.reasoner.embedding.identity.weight
    # Two sign steps from zero: every element is at 0 or ±1/4 (exact in binary).
    assert set(table.abs().unique().tolist()) <= {0.0, 0.25}
    assert table.abs().max() == 0.25
    again = eq.load(tmp_path / "last").reasoner.embedding.identity.weight
    assert torch.equal(again, table)


def test_a_feed_forward_recipe_trains(tmp_path):
    small = (
        "task.box=[2,2]", "reasoner.width=16", "reasoner.channel_inner=32", "reasoner.token_inner=16",
        "reasoner.layers=2", "data.source=generated", "data.count=60", "data.held_out_count=20",
        "data.limit=null", "training.batch=16", "training.steps=3",
    )  # fmt: skip
    trained = train("feedforward-sudoku", small, out=tmp_path, device="cpu", quiet=True)
    (answer,) = trained.solve("1..." + "." * 12, depth=9)
    assert answer.nfe == 1


def test_the_trained_reasoner_holds_the_average_and_is_what_was_saved(tiny, tmp_path):
    trained = train(tiny("training.average=0.5"), out=tmp_path, device="cpu", quiet=True)
    assert not trained.reasoner.training
    saved = eq.load(tmp_path / "last")
    for name, weight in trained.reasoner.state_dict().items():
        assert torch.equal(weight, saved.reasoner.state_dict()[name])
    assert "10 of 10" in saved.card
    assert (tmp_path / "best" / "model.safetensors").is_file()
    assert eq.load_recipe(str(tmp_path / "config.yaml")) == tiny("training.average=0.5")


def test_evaluating_and_logging_do_not_change_the_course(tiny, tmp_path, same_state):
    watched = ("training.log_every=1", "training.evaluate_every=2", "training.save_every=1")
    train(tiny(*watched), out=tmp_path / "a", device="cpu", quiet=True)
    train(tiny("training.evaluate_every=100"), out=tmp_path / "b", device="cpu", quiet=True)
    same_state(tmp_path / "a", tmp_path / "b")


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(
        TrainingError, match=r"training\.batch 10 must be a multiple of processes x accumulate"
    ):
        Launch("cpu").share(10, 4)
    with pytest.raises(TrainingError, match="device 'tpu'"):
        Launch("tpu")


def test_the_cost_of_a_step_is_what_its_matrices_say():
    sizes = ("width=64", "layers=2", "channel_inner=128", "token_inner=64", "H_cycles=2", "L_cycles=2")
    recipe = eq.load_recipe("eqr-sudoku6-cpu", [f"reasoner.{size}" for size in sizes])
    task = recipe.build_task()
    cost = estimate(recipe.build_reasoner(task), recipe.training, torch.float32)
    tokens, width, vocabulary, layers = 36, 64, 8, 2
    # gate and value, then down: three matrices a SwiGLU, two FLOPs a multiply-add.
    block = 6 * tokens * width * 64 + 6 * tokens * width * 128
    forward, tracked = 2 * 3, 1 * 3  # T (n + 1) module updates, of which the last cycle is tracked
    heads = 2 * tokens * width * vocabulary + 2 * width * 2
    step = block * layers * (forward + 2 * tracked) + 3 * heads
    assert cost.flops_per_step == pytest.approx(recipe.training.batch * step, rel=0.05)
    assert cost.flops_per_iteration == pytest.approx(block * layers * forward, rel=0.05)
    weights = 2 * vocabulary * width + layers * (3 * 64 * tokens + 3 * 128 * width) + 2 * width + 2
    assert cost.parameters == weights
    assert cost.equivalent_layers == 12
    assert cost.tracked_layers == 6
    # Five copies of the weights, and per row at least: two states, x, and the tracked blocks' inputs.
    least = 4 * (5 * weights + 128 * tokens * width * (4 + 1 + 6))
    assert least < cost.memory < 20 * least


@pytest.mark.parametrize("recipe", ["eqr-sudoku6-cpu", "hrm-maze-unique", "urm-maze-unique"])
def test_the_memory_of_a_segment_is_what_the_profiler_sees(recipe):
    small = [] if recipe == "eqr-sudoku6-cpu" else ["task.size=12", "reasoner.width=64"]
    recipe = eq.load_recipe(recipe, [*small, "training.batch=12"])
    reasoner = recipe.build_reasoner(recipe.build_task())
    config, rows = recipe.training, recipe.training.batch
    carry = _sample_carry(reasoner, config, rows)
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        backward(reasoner, carry, config)
    changes = [
        event.nbytes() for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"
    ]
    fullest = max(accumulate(changes))
    estimated = estimate(reasoner, config, torch.float32).memory
    held = sum(value.nbytes for value in carry.tensors().values())
    estimated -= 16 * reasoner.parameter_count() + 3 * held  # weights, moments, average; the rolling batch
    assert estimated == pytest.approx(fullest, rel=0.1)


def test_gradients_accumulated_in_parts_need_less_memory():
    recipe = eq.load_recipe("eqr-sudoku6-cpu")
    reasoner = recipe.build_reasoner(recipe.build_task())
    whole = estimate(reasoner, recipe.training, torch.float32)
    parts = recipe.training.model_copy(update={"accumulate": 4})
    assert estimate(reasoner, parts, torch.float32).memory < whole.memory
    assert estimate(reasoner, parts, torch.float32).flops_per_step == whole.flops_per_step
    assert estimate(reasoner, recipe.training, torch.float32, processes=2).memory < whole.memory
