"""The benchmarks run, and what they compare is the same work."""

import importlib
import json
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from equilibria.interop import our_name
from equilibria.nn import int8
from equilibria.recipes import load_recipe

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch):
    """`measure`, `plain` and `train_step`, as the scripts import them."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    train_step = importlib.import_module("train_step")
    return train_step.measure, train_step.plain, train_step


def toy(measure, name, **changes):
    precision = measure.Precision.fp32
    return measure.Case(name, replace(measure.TOYS[name], **changes), precision, 3, torch.device("cpu"))


def test_the_published_sudoku_model_is_that_of_its_recipe(scripts):
    measure, plain, _ = scripts
    case = measure.Case("sudoku", plain.SUDOKU, measure.Precision.bf16, 1, torch.device("cpu"))
    assert case.recipe() == load_recipe("eqr-sudoku")


def test_flops_are_those_of_the_formulas_attention_included(scripts):
    measure, plain, _ = scripts
    for name in ("sudoku", "maze"):
        case = toy(measure, name)
        model, rows = case.model, case.batch
        tokens, width = model.tokens, model.width
        channels = 6 * tokens * width * plain.inner(width)
        mixing = {
            "sudoku": 6 * width * tokens * plain.inner(tokens),
            "maze": 8 * tokens * width**2 + 4 * tokens**2 * width,
        }
        assert measure.flops(measure.products(case)) == rows * (channels + mixing[name])


@pytest.mark.parametrize("name", ["sudoku", "maze"])
def test_a_plain_training_step_is_ours(scripts, monkeypatch, name):
    measure, plain, train_step = scripts
    case = toy(measure, name)
    # As published, weights and averages would move by a few roundings.
    monkeypatch.setattr(plain, "WARM_UP", 1)
    monkeypatch.setattr(plain, "AVERAGE", 0.9)
    overrides = ("reasoner.noise=0", "training.optimizer.warmup=1", "training.average=0.9")
    theirs, ours = train_step.plain_training(case), train_step.our_training(case, *overrides)
    theirs.noise = 0.0
    before = {key: weight.detach().clone() for key, weight in theirs.weights.items()}

    carry = ours.rolling.carry
    assert carry.steps.tolist() == theirs.steps.tolist() == [0, 5, 10]
    assert not (carry.halted | theirs.halted).any()
    # The draws differ by design, so both begin with the same states and problems, and no row is done soon.
    carry.state.copy_(torch.stack(theirs.streams, dim=1))
    carry.batch.inputs.copy_(theirs.tokens)
    carry.batch.targets.copy_(theirs.targets)
    for steps in (carry.steps, theirs.steps):
        steps.zero_()
    for _ in range(3):
        ours.step()
        theirs.step()

    mine = dict(ours.reasoner.named_parameters())
    average = dict(zip(mine, ours.average.shadow, strict=True))
    for key, weight in theirs.weights.items():
        for got, expected in ((mine[our_name(key)], weight), (average[our_name(key)], theirs.average[key])):
            moved, wanted = got.detach() - before[key], expected.detach() - before[key]
            assert wanted.norm() > 0, key
            assert (moved - wanted).norm() < 0.01 * wanted.norm(), key


def test_a_plain_sudoku_symmetry_keeps_solutions(scripts):
    _, plain, _ = scripts
    line = torch.arange(9)
    board = (3 * (line % 3) + line // 3)[:, None] + line  # rows shifted so that boxes too hold every digit
    board = (board % 9 + 2).flatten().expand(20, -1)
    puzzle = torch.where(torch.rand(20, 81) < 0.5, board, 1)
    given, solved = plain.sudoku_symmetry(puzzle, board)
    assert ((given == solved) | (given == 1)).all()
    assert ((given == 1).sum(1) == (puzzle == 1).sum(1)).all()
    assert (solved != board).any(dim=1).all()
    grid = solved.view(20, 9, 9)
    boxes = grid.view(20, 3, 3, 3, 3).transpose(2, 3).flatten(3).flatten(1, 2)
    for groups in (grid, grid.transpose(1, 2), boxes):
        assert (groups.sort(dim=2).values == line + 2).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "model", "paths"),
    [
        ("train_step", "maze", ["plain", "eager", "compiled"]),
        ("solve", "sudoku", ["plain", "eager", "fast", *(["int8"] if int8.available() else [])]),
    ],
)
def test_a_quick_run_writes_every_timing(tmp_path, script, model, paths):
    file = tmp_path / "times.json"
    options = ["--quick", "--device", "cpu", "--model", model, "--threads", "1", "--json", str(file)]
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "times faster" in done.stdout
    facts = json.loads(file.read_text())
    assert facts["benchmark"] == script
    assert facts["threads"] == 1
    (case,) = facts["cases"]
    assert (case["model"], case["dtype"]) == (model, "bf16")
    assert list(case["paths"]) == paths
    plain = case["paths"]["plain"]["median_ms"]
    for path in case["paths"].values():
        assert len(path["milliseconds"]) >= 2
        assert min(path["milliseconds"]) == path["min_ms"] > 0
        assert path["median_ms"] == statistics.median(path["milliseconds"])
        assert path["first_call_seconds"] > 0
        assert path["times_faster"] == pytest.approx(plain / path["median_ms"])
        assert path["gflops"] == pytest.approx(1e3 * case["gflop"] / path["median_ms"])
        for share, rate in (
            ("share_of_own_matmuls", "own_matmuls_gflops"),
            ("share_of_square_matmul", "square_matmul_gflops"),
        ):
            assert path[share] == pytest.approx(path["gflops"] / case[rate])
