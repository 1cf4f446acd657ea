"""Recipes: all of them load, say everything, and name what is wrong."""

import pytest
from pydantic import ValidationError

from equilibria.errors import RecipeError
from equilibria.recipes import load_recipe, parse_recipe, recipe_names

EVERY = pytest.mark.parametrize("name", recipe_names())


def test_the_published_recipes_are_there():
    expected = {"eqr-sudoku", "eqr-sudoku6-cpu", "trm-sudoku", "feedforward-sudoku"}
    assert expected <= set(recipe_names())


@EVERY
def test_a_recipe_loads_under_its_own_name(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary
    task = recipe.build_task()
    assert recipe.build_reasoner(task).shape.tokens == task.tokens


@EVERY
def test_a_recipe_written_whole_is_the_same_recipe(name, tmp_path):
    recipe = load_recipe(name)
    text = recipe.to_yaml()
    assert parse_recipe(text) == recipe
    assert type(parse_recipe(text).reasoner) is type(recipe.reasoner)
    (tmp_path / "mine.yml").write_text(text)
    assert load_recipe(str(tmp_path / "mine.yml")) == recipe


@EVERY
def test_a_reasoner_is_the_same_every_time_it_is_built(name):
    recipe = load_recipe(name, ["reasoner.width=32", "reasoner.layers=1"])
    first, second = (recipe.build_reasoner(recipe.build_task()).state_dict() for _ in range(2))
    assert all(first[key].equal(second[key]) for key in first)
    other = load_recipe(name, ["reasoner.width=32", "reasoner.layers=1", "training.seed=1"])
    assert (
        not other.build_reasoner(other.build_task())
        .state_dict()["embedding.weight"]
        .equal(first["embedding.weight"])
    )


def test_overrides_go_on_top():
    recipe = load_recipe("eqr-sudoku", ["training.steps=7", "task.box=[2,2]", "data.limit=null"])
    assert recipe.training.steps == 7
    assert recipe.build_task().tokens == 16
    assert recipe.data.limit is None
    assert recipe.training.batch == 768


def test_a_recipe_cannot_be_changed():
    recipe = load_recipe("eqr-sudoku")
    with pytest.raises(ValidationError, match="frozen"):
        recipe.training.steps = 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.stepps=3", r"unknown key 'training\.stepps'; did you mean 'training\.steps'"),
        ("training.optimizer.larning=3", r"unknown key 'training\.optimizer\.larning'"),
        ("training.optimizer.warmupp=3", r"did you mean 'training\.optimizer\.warmup'"),
        ("reasoner.widht=64", r"unknown key 'reasoner\.widht'; did you mean 'reasoner\.width'"),
        ("trainnig.steps=3", r"unknown key 'trainnig'; did you mean 'training'"),
        (
            "inference.zzzz=3",
            r"unknown key 'inference\.zzzz'; valid: "
            "depth, breadth, halting, restarts, nfe, solver, tolerance",
        ),
        ("task.bax=[2,2]", "task sudoku has no key 'bax'; nearest: 'box'"),
        ("task.name=sudku", "there is no task 'sudku'; nearest: 'sudoku'"),
        ("reasoner.family=recursve", "unknown family 'recursve'; did you mean 'recursive'"),
        ("training.steps=many", r"training\.steps: .*valid integer.*'many'"),
        ("training.steps=0", r"training\.steps: .*greater than 0.*\(got 0\)"),
        ("training.average=1", r"training\.average: .*less than 1"),
        ("training.optimizer.name=sgd", r"optimizer\.name: .*'adam-atan2', 'adamw' or 'muon'.*'sgd'"),
        ("reasoner.width=wide", r"reasoner\.width: .*valid integer.*'wide'"),
        ("reasoner.damping=1.5", r"reasoner\.damping: .*less than 1"),
        ("reasoner.positions=rope", "positions: rotary positions need mixing: attention"),
        ("training.accumulate=7", r"training: batch 768 must be a multiple of accumulate 7"),
        ("training.halting=sometimes", r"training\.halting"),
        ("training.halting.rule=sometimes", r"training\.halting: .*'sometimes'.*'fixed', 'learned'"),
        (
            "training.halting.exploraton=1",
            r"unknown key 'training\.halting\.exploraton'; did you mean '.*exploration'",
        ),
        ("training.halting.exploration=2", r"training\.halting: exploration must be between 0 and 1, not 2"),
        ("training.solver.widnow=2", r"unknown key 'training\.solver\.widnow'"),
        ("training.schedule.iterations=3", r"training: depth 16 must be a multiple of the schedule's 3"),
        ("data.limit=-1", r"data\.limit: .*greater than 0"),
        ("training", "write section.key=value"),
        ("=3", "write section.key=value"),
    ],
)
def test_what_is_wrong_is_named(override, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("eqr-sudoku", [override])


def test_every_fault_has_its_line():
    with pytest.raises(RecipeError) as caught:
        load_recipe("eqr-sudoku", ["training.stepps=3", "training.batch=x"])
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b", "a recipe is a mapping of sections"),
        ("a: [", "not a readable recipe"),
        ("a: ${nowhere}", "not a readable recipe"),
        ("name: x", "the key 'summary' is missing"),
        ("name: x\nsummary: y\ntask: 3\nreasoner: {family: recursive}", "task"),
        ("name: x\nsummary: y\ntask: {name: sudoku}\nreasoner: big", "reasoner"),
        ("name: x\nsummary: y\ntask: {name: sudoku}\nreasoner: {width: 8}", "family"),
    ],
)
def test_text_that_is_no_recipe_is_refused(text, message):
    with pytest.raises(RecipeError, match=message):
        parse_recipe(text)


def test_a_recipe_that_is_not_there_names_the_nearest(tmp_path):
    with pytest.raises(RecipeError, match="no recipe 'eqr-sudok'; did you mean 'eqr-sudoku'"):
        load_recipe("eqr-sudok")
    with pytest.raises(RecipeError, match="no such recipe file"):
        load_recipe(str(tmp_path / "mine.yaml"))


def test_what_determines_a_run_is_in_its_identity_and_how_it_is_watched_is_not():
    def identity(*overrides):
        return load_recipe("eqr-sudoku", list(overrides)).identity("data")

    same = ("training.log_every=1", "training.save_every=1", "training.steps=7", "inference.depth=3")
    assert {identity(override) for override in same} == {identity()}
    others = ("training.seed=1", "training.batch=4", "reasoner.noise=0", "task.box=[2,3]")
    identities = {identity(override) for override in others}
    assert len(identities | {identity()}) == len(others) + 1
    assert load_recipe("eqr-sudoku").identity("other data") != identity()
    falling = "training.optimizer.min_ratio=0.1"
    assert identity(falling) != identity(falling, "training.steps=7")
