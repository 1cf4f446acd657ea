"""What a user holds: saved and loaded whole, or refused in words; and files that are whole or not there."""

import os

import pytest
import torch
from safetensors.torch import load_file

import equilibria as eq
from equilibria.errors import CheckpointError, DataError, EquilibriaError
from equilibria.files import write_atomically, write_tensors, write_text
from equilibria.pipeline import Pipeline
from equilibria.recipes import load_recipe

SMALL = (
    "task.box=[2,2]", "reasoner.width=8", "reasoner.heads=2", "reasoner.layers=1",
    "reasoner.channel_inner=12", "reasoner.token_inner=12", "inference.depth=3", "inference.breadth=2",
)  # fmt: skip
PUZZLES = ["1..." + "." * 12, "." * 15 + "4", "12..34.........."]


@pytest.fixture(params=["eqr-sudoku", "trm-sudoku", "feedforward-sudoku"])
def pipeline(request):
    recipe = load_recipe(request.param, SMALL)
    task = recipe.build_task()
    return Pipeline(recipe.build_reasoner(task).eval(), task, recipe, "# A card\n", {"step": "3"}, "mine")


@pytest.fixture
def saved(tmp_path):
    recipe = load_recipe("eqr-sudoku", SMALL)
    task = recipe.build_task()
    return Pipeline(recipe.build_reasoner(task).eval(), task, recipe).save(tmp_path / "saved")


def test_a_loaded_pipeline_gives_identical_answers(pipeline, tmp_path):
    torch.manual_seed(7)  # loading must not depend on, or disturb, what the weights were drawn from
    loaded = eq.load(pipeline.save(tmp_path / "saved"))
    for mine, theirs in zip(pipeline.solve(PUZZLES, seed=2), loaded.solve(PUZZLES, seed=2), strict=True):
        assert torch.equal(mine.tokens, theirs.tokens)
        assert (mine.answer, mine.residual, mine.nfe, mine.agreement, mine.halting_score) == (
            theirs.answer,
            theirs.residual,
            theirs.nfe,
            theirs.agreement,
            theirs.halting_score,
        )
    assert loaded.recipe == pipeline.recipe
    assert loaded.card == pipeline.card
    assert loaded.facts["step"] == "3"
    assert not loaded.reasoner.training


def test_saving_again_replaces_the_checkpoint_and_leaves_nothing_else(pipeline, tmp_path):
    pipeline.save(tmp_path / "saved")
    before = sorted(path.name for path in (tmp_path / "saved").iterdir())
    with torch.no_grad():
        pipeline.reasoner.answer_head.weight.add_(1)
    pipeline.save(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == before
    loaded = eq.load(tmp_path / "saved")
    assert torch.equal(loaded.reasoner.answer_head.weight, pipeline.reasoner.answer_head.weight)


def test_the_budget_is_the_recipes_unless_changed(saved):
    loaded = eq.load(saved)
    assert (loaded.budget().depth, loaded.budget().breadth) == (3, 2)
    changed = loaded.budget(depth=9, breadth=None, selection="majority")
    assert (changed.depth, changed.breadth, changed.selection) == (9, 2, "majority")
    with pytest.raises(EquilibriaError, match="depth must be a whole number"):
        loaded.solve(PUZZLES, depth=0)


def test_problems_come_as_text_texts_file_or_problems(saved, tmp_path):
    loaded = eq.load(saved)
    (tmp_path / "puzzles.txt").write_text("\n".join(PUZZLES))
    expected = [answer.answer for answer in loaded.solve(PUZZLES)]
    for given in (tmp_path / "puzzles.txt", "\n".join(PUZZLES), loaded.problems(PUZZLES), iter(PUZZLES)):
        assert [answer.answer for answer in loaded.solve(given)] == expected
    with pytest.raises(DataError, match="no problem to solve"):
        loaded.solve([])


def test_answers_say_what_rules_they_break(saved):
    for answer in eq.load(saved).solve(PUZZLES):
        assert answer.valid == (not answer.violations)
        assert answer.nfe == 6
        assert len(answer.answer) == 16


@pytest.mark.parametrize("name", ["model.safetensors", "config.yaml"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        eq.load(saved)


def test_a_missing_card_is_no_harm(saved):
    (saved / "README.md").unlink()
    assert eq.load(saved).card == ""


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\x00" * 100])
def test_damaged_weights_are_refused(saved, damage):
    weights = saved / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged"):
        eq.load(saved)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00garbage", b"a: [", b"", b"- 1"])
def test_a_damaged_recipe_is_refused(saved, content):
    (saved / "config.yaml").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.yaml"):
        eq.load(saved)


def test_weights_of_another_recipe_are_refused(saved):
    recipe = eq.load(saved).recipe
    other = recipe.model_copy(update={"reasoner": recipe.reasoner.model_copy(update={"width": 16})})
    write_text(saved / "config.yaml", other.to_yaml())
    with pytest.raises(CheckpointError, match="weights do not fit the recipe beside them"):
        eq.load(saved)


def test_a_name_that_is_nothing_says_what_there_is(tmp_path):
    with pytest.raises(CheckpointError, match="no reasoner 'nonesuch': shipped are"):
        eq.load("nonesuch")
    with pytest.raises(CheckpointError, match="no reasoner"):
        eq.load(tmp_path / "absent")


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "kept.txt"
    write_text(path, "old")

    def fail(partial):
        partial.write_text("ne")
        raise RuntimeError("no room left")

    with pytest.raises(RuntimeError, match="no room left"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["kept.txt"]  # noqa: PTH208


def test_a_write_that_fails_at_first_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write_atomically(tmp_path / "never.txt", lambda partial: 1 / 0)
    assert not list(tmp_path.iterdir())


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def write(partial):
        partial.write_text("new")
        assert path.read_text() == "old"

    write_atomically(path, write)
    assert path.read_text() == "new"


def test_folders_are_made_and_tensors_of_any_layout_written(tmp_path):
    turned = torch.arange(6.0).view(2, 3).T
    tensors = {"turned": turned, "flags": torch.tensor([True]), "one": torch.tensor(3)}
    write_tensors(tmp_path / "a" / "b" / "t.safetensors", tensors, {"fact": "1"})
    back = load_file(tmp_path / "a" / "b" / "t.safetensors")
    assert all(torch.equal(back[name], value) for name, value in tensors.items())


def test_answers_are_not_verified_where_nobody_knows_the_rules(saved):
    loaded = eq.load(saved)
    assert loaded.solve(PUZZLES, verify=True)
    loaded.task.rules = False
    with pytest.raises(EquilibriaError, match="cannot be verified: nobody has told its rules"):
        loaded.solve(PUZZLES, verify=True)
