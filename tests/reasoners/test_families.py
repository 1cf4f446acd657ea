"""Families are found by the name of their file, and one of a user's own needs nothing else."""

import math
import sys
import textwrap

import pytest
import torch

import equilibria as eq
from equilibria.errors import RecipeError
from equilibria.reasoners import configure, families, family
from equilibria.reasoners.feedforward import FeedForwardReasoner
from equilibria.reasoners.recursive import RecursiveReasoner
from equilibria.recipes import parse_recipe


def test_families_are_the_files_of_the_folder():
    assert families() == ["attractor", "deq", "feedforward", "fprm", "hrm", "looped", "recursive", "urm"]
    assert family("recursive") is RecursiveReasoner
    assert family("equilibria.reasoners.feedforward") is FeedForwardReasoner


def test_an_unknown_family_names_the_nearest():
    with pytest.raises(RecipeError, match="unknown family 'recursiv'; did you mean 'recursive'"):
        family("recursiv")
    with pytest.raises(RecipeError, match="there are: attractor, deq, feedforward"):
        family("zzz")


@pytest.mark.parametrize("shared", ["interface", "blocks", "single_level", "initial", "advance"])
def test_what_families_share_is_no_family(shared):
    with pytest.raises(RecipeError, match="unknown family"):
        family(shared)


@pytest.mark.parametrize("name", ["no.such.module", "./mine.py", "..mine", "mine..other", "mine."])
def test_a_module_that_cannot_be_imported_is_named(name):
    with pytest.raises(RecipeError, match="cannot import"):
        family(name)


def test_a_module_must_define_one_reasoner():
    with pytest.raises(RecipeError, match=r"'equilibria\.nn\.linear' must define one Reasoner, it defines 0"):
        family("equilibria.nn.linear")


def test_a_section_without_family_is_refused():
    with pytest.raises(RecipeError, match="unknown family"):
        configure({"width": 8})


OWN_FAMILY = textwrap.dedent('''
    """A family of one's own: z ← tanh(W z + x), no halting head."""

    import torch
    from pydantic import PositiveInt

    from equilibria.dynamics.residual import distance
    from equilibria.nn.embedding import TokenEmbedding
    from equilibria.nn.linear import Linear
    from equilibria.reasoners import Condition, Prediction, Reasoner, ReasonerConfig, Step


    class TanhConfig(ReasonerConfig):
        family: str = "own_families.tanh"
        width: PositiveInt = 8


    class TanhReasoner(Reasoner[TanhConfig]):
        Config = TanhConfig

        def __init__(self, config, shape):
            super().__init__(config, shape)
            self.embedding = TokenEmbedding(shape.vocabulary, shape.tokens, config.width)
            self.map = Linear(config.width, config.width)
            self.answer = Linear(config.width, shape.vocabulary)

        def encode(self, tokens, identifiers=None):
            return Condition(self.embedding(tokens, identifiers, self.compute_dtype), tokens)

        def initial_state(self, condition, noise):
            return condition.x.new_zeros(len(condition.x), *self.state_shape)

        def iterate(self, state, condition, *, tracked=None, noise=None):
            after = torch.tanh(self.map(state) + condition.x.unsqueeze(1))
            return Step(after, residual=distance(after.detach(), state.detach()))

        def decode(self, state, condition=None):
            return Prediction(self.answer(state[:, 0]))

        @property
        def equivalent_layers(self):
            return 1

        @property
        def tracked_layers(self):
            return 1

        @property
        def state_shape(self):
            return (1, self.shape.tokens, self.config.width)
''')

OWN_RECIPE = textwrap.dedent("""
    name: own
    summary: a family outside the package
    task: {name: sudoku, box: [2, 2]}
    reasoner: {family: own_families.tanh, width: 12}
    data: {source: generated, count: 40, held_out_count: 8}
    training:
      steps: 2
      batch: 8
      depth: 4
      halting: {rule: fixed}
      optimizer: {warmup: 0}
      precision: fp32
      log_every: 1
""")


@pytest.fixture
def own_family(tmp_path, monkeypatch):
    (tmp_path / "own_families").mkdir()
    (tmp_path / "own_families" / "tanh.py").write_text(OWN_FAMILY)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("own_families.tanh", "own_families"):
        sys.modules.pop(name, None)


def test_a_family_of_ones_own_trains_saves_and_solves(own_family, tmp_path):
    (tmp_path / "own.yaml").write_text(OWN_RECIPE)
    recipe = eq.load_recipe(str(tmp_path / "own.yaml"))
    fresh = recipe.build_reasoner(recipe.build_task())
    trained = eq.train(recipe, out=tmp_path / "run", device="cpu", quiet=True)
    assert not torch.equal(trained.reasoner.map.weight, fresh.map.weight)
    puzzle = "1..." + "." * 12
    (answer,) = trained.solve(puzzle, depth=5, breadth=2, seed=3)
    assert answer.nfe == 10
    assert math.isnan(answer.halting_score)
    (again,) = eq.load(tmp_path / "run" / "last").solve(puzzle, depth=5, breadth=2, seed=3)
    assert torch.equal(answer.tokens, again.tokens)
    assert answer.residual == again.residual
    assert "own_families.tanh" in (tmp_path / "run" / "last" / "config.yaml").read_text()


def test_the_keys_of_ones_own_family_are_checked(own_family):
    text = OWN_RECIPE.replace("width: 12", "widht: 12")
    with pytest.raises(RecipeError, match=r"unknown key 'reasoner\.widht'; did you mean 'reasoner\.width'"):
        parse_recipe(text)
