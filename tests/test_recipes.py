"""Recipes: all of them load, say everything, and name what is wrong."""

import pytest
from pydantic import ValidationError

import equilibria as eq
from equilibria.errors import DataError, RecipeError
from equilibria.recipes import load_recipe, parse_recipe, recipe_names
from equilibria.tasks.maze import Maze

EVERY = pytest.mark.parametrize("name", recipe_names())


def test_the_published_recipes_are_there():
    expected = {"eqr-sudoku", "eqr-sudoku6-cpu", "trm-sudoku", "feedforward-sudoku"}
    assert expected <= set(recipe_names())


MAZES = {  # parameters, equivalent layers, what the paper's table says (EqR Tab. 17), published accuracy
    "eqr-maze-unique": (263_938, 15, "2.64", "EqR Tab. 3, 4; 82.2% at (16, 1), 93.0% at (64, 128)"),
    "trm-maze-unique": (263_938, 15, "2.64", "EqR Tab. 1; published 44.9%"),
    "hrm-maze-unique": (526_082, 6, "5.26", "EqR Tab. 1; published 0.3%"),
    "urm-maze-unique": (265_474, 12, "2.65", "EqR Tab. 1; published 51.4%"),
    "attractor-maze-27m": (27_270_146, 264, None, "Tab. 2; published 93.1%"),
    "fprm-maze": (6_825_986, 2, None, "Tab. 1; published 87.0%"),
    "eqr-sudoku-attention": (6_828_034, 42, None, "EqR Tab. 14; published 74.7%, and 95.9%"),
}


@pytest.mark.parametrize("name", MAZES)
def test_a_published_recipe_has_the_published_size_and_says_its_source(name):
    parameters, layers, printed, source = MAZES[name]
    recipe = load_recipe(name)
    reasoner = recipe.build_reasoner(recipe.build_task())
    assert (reasoner.parameter_count(), reasoner.equivalent_layers) == (parameters, layers)
    assert source in recipe.summary
    if printed:  # ten times what the table's own sizes give
        assert f"Tab. 17 prints {printed}" in recipe.summary
        assert f"{parameters / 1e6:.3f}M" in recipe.summary
        assert float(printed) == pytest.approx(parameters / 1e5, rel=0.005)


@pytest.mark.parametrize("name", [name for name in MAZES if "maze" in name])
def test_a_maze_recipe_is_planned_with_other_data(name, tmp_path):
    task = Maze(Maze.Config(size=6))
    for stem, seed in (("train", 1), ("test", 2)):
        task.write(task.generate(3, seed=seed), tmp_path / f"{stem}.csv")
    small = ["task.size=6", "reasoner.width=32", "reasoner.layers=1", "training.batch=4"]
    generated = ["data.source=generated", "data.count=3", "data.held_out_count=2"]
    for source in (generated, [f"data.source={tmp_path}"]):
        planned = eq.plan(name, [*small, *source], device="cpu")
        assert planned.data.startswith("train: 3 from")
        assert planned.cost.flops_per_iteration > 0
    assert not load_recipe(name).data.augment  # labels may name one of several paths, and EqR does without


def test_a_data_set_out_of_reach_is_said_in_the_plan(monkeypatch):
    monkeypatch.setattr("equilibria.tasks.splits.hub_file", _offline)
    small = ["task.size=6", "reasoner.width=32", "reasoner.layers=1"]
    planned = eq.plan("attractor-maze-27m", small, device="cpu")
    assert planned.data == "not readable here: sapientinc/maze-30x30-hard-1k, train.csv: no route"


def _offline(dataset, filename):
    raise DataError(f"{dataset}, {filename}: no route")


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


def test_the_data_can_be_named_by_its_section():
    recipe = load_recipe("eqr-grid", ["data=my file.jsonl", "data.held_out=other.csv"])
    assert (recipe.data.source, recipe.data.held_out) == ("my file.jsonl", "other.csv")
    hub = "hf://datasets/owner/name/data/train.parquet"
    assert load_recipe("eqr-grid", ["data.limit=7", f"data={hub}"]).data.source == hub
    assert load_recipe("eqr-grid", ["data={source: a.csv, limit: 7}"]).data.limit == 7


def test_the_recipe_for_grids_takes_any_task():
    assert load_recipe("eqr-grid", ["task.name=sudoku"]).build_task().board == (9, 9)


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
