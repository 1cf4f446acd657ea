"""Training with puzzle identities: which rows of the table move, and that a run with them resumes."""

import json

import pytest
import torch

import equilibria as eq
from equilibria.inference.engine import Engine
from equilibria.recipes import load_recipe
from equilibria.runs import read_splits, train


@pytest.fixture
def puzzles(tmp_path):
    """Two small puzzles in a folder, and a recipe that trains on them in a second."""
    folder = tmp_path / "puzzles"
    folder.mkdir()
    for name in ("one", "two"):
        pairs = [{"input": [[1, 2], [number, 0]], "output": [[2, number]]} for number in range(3, 6)]
        (folder / f"{name}.json").write_text(json.dumps({"train": pairs[:2], "test": pairs[2:]}))

    def recipe(*overrides):
        return load_recipe(
            "trm-mini-arc",
            [
                f"task.corpora=[{folder}]",
                "task.puzzles=2",
                "task.variants=5",
                "task.canvas=3",
                "reasoner.width=16",
                "reasoner.layers=1",
                "training.batch=4",
                "training.depth=3",
                "training.steps=8",
                "training.log_every=4",
                "training.evaluate_every=4",
                "training.save_every=4",
                "training.precision=fp32",
                "training.optimizer.min_ratio=1.0",
                "training.optimizer.warmup=0",
                *overrides,
            ],
        )

    return recipe


def run(recipe, folder, **options):
    return train(recipe, out=folder, device="cpu", quiet=True, **options)


def test_the_identities_that_were_drawn_have_moved(puzzles, tmp_path):
    recipe = puzzles()
    table = run(recipe, tmp_path / "run").reasoner.embedding.identity.weight
    assert table.shape == (1 + 2 * 6, 16)
    moved = table.abs().sum(dim=1) > 0
    assert not moved[0]  # no puzzle
    assert moved[1:7].any()
    assert moved[7:].any()
    unvaried = run(puzzles("data.augment=false"), tmp_path / "unvaried").reasoner.embedding.identity.weight
    assert (unvaried.abs().sum(dim=1) > 0).nonzero().flatten().tolist() == [1, 7]


def test_a_resumed_run_is_the_run_that_never_stopped(puzzles, tmp_path, same_state):
    run(puzzles(), tmp_path / "straight")
    run(puzzles("training.steps=4"), tmp_path / "halves")
    run(puzzles(), tmp_path / "halves", resume=True)
    same_state(tmp_path / "straight", tmp_path / "halves")


def test_whoever_asks_passes_the_identity_on(puzzles, tmp_path, monkeypatch):
    """In a run's evaluations, in `evaluate`, and in `solve`."""
    asked = []
    queue = Engine._queue

    def listen(self, tokens, identifiers, *rest, **how):
        asked.append(None if identifiers is None else identifiers.tolist())
        return queue(self, tokens, identifiers, *rest, **how)

    monkeypatch.setattr(Engine, "_queue", listen)
    pipeline = run(puzzles(), tmp_path / "run")
    held = read_splits(pipeline.recipe, pipeline.task).held_out
    pipeline.evaluate(held, depths=(2,))
    pipeline.solve("two: 12/30", depth=2)
    assert asked == [[1, 7]] * 3 + [[7]]


def test_an_answer_may_be_larger_than_its_problem(puzzles, tmp_path, monkeypatch):
    pipeline = run(puzzles("training.steps=1"), tmp_path / "run")
    decode = pipeline.reasoner.decode

    def all_black(state, condition=None):
        prediction = decode(state, condition)
        prediction.logits.zero_()[..., 2] = 1.0
        return prediction

    monkeypatch.setattr(pipeline.reasoner, "decode", all_black)
    (answer,) = pipeline.solve("one: 12", depth=1)
    assert (answer.problem, answer.answer, answer.valid) == ("12", "000/000/000", True)


def test_a_checkpoint_of_puzzles_loads_without_their_data(puzzles, tmp_path):
    pipeline = run(puzzles("training.steps=1"), tmp_path / "run")
    for file in (tmp_path / "puzzles").iterdir():
        file.unlink()
    again = eq.load(str(tmp_path / "run" / "last"), "cpu")
    assert again.task.identifiers == 13
    kept = again.reasoner.embedding.identity.weight
    assert torch.equal(kept, pipeline.reasoner.embedding.identity.weight)
