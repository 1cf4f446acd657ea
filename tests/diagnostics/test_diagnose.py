"""A diagnosis of a planted landscape, whose every number is known; and what cannot be diagnosed."""

import json
import math
from dataclasses import replace

import pytest
import torch

import equilibria as eq
from equilibria.diagnostics import examples
from equilibria.diagnostics.diagnose import Origin, diagnose
from equilibria.diagnostics.planted import Basin, PlantedConfig, PlantedReasoner
from equilibria.dynamics.halting import FixedDepth
from equilibria.dynamics.solvers import Relaxed
from equilibria.errors import DataError, EquilibriaError
from equilibria.inference.engine import Engine
from equilibria.reasoners.interface import ProblemShape
from equilibria.tasks import Problems, load_task

TASK = load_task({"name": "sudoku", "box": [2, 2]})
TOKENS, VALUES = TASK.tokens, TASK.vocab_size
A, B, C = (tuple(2 + (place + turn) % 4 for place in range(TOKENS)) for turn in range(3))
ORIGIN = Origin("planted", "none", "", "planted", (), "p.csv", 16, "gaussian", 0.0, "0")
PROBLEMS, BREADTH = 40, 32


def planted(*basins, **config):
    config = PlantedConfig(basins=basins, width=VALUES + 2, **config)
    return PlantedReasoner(config, ProblemShape(VALUES, TOKENS, TASK.board)).eval()


def problems(*labels):
    """Distinct problems with these labels, turn by turn."""
    inputs = torch.randint(1, VALUES, (PROBLEMS, TOKENS), dtype=torch.uint8)
    wanted = [labels[place % len(labels)] for place in range(PROBLEMS)]
    return Problems(inputs, torch.tensor(wanted, dtype=torch.uint8), ("s",) * PROBLEMS)


def run(reasoner, given, origin=ORIGIN, solver=None, **how):
    engine = Engine(reasoner) if solver is None else Engine(reasoner, solver=solver)
    return diagnose(engine, TASK, given, origin, **({"depth": 16, "breadth": BREADTH} | how))


@pytest.fixture(scope="module")
def found():
    """A attracts 60%, B 30%, and 10% go round between them; a quarter of the labels are neither."""
    torch.manual_seed(0)
    return run(planted(Basin(0.6, (A,)), Basin(0.3, (B,)), Basin(0.1, (A, B))), problems(A, A, B, C))


def near(share, truth, count):
    return abs(share - truth) <= 4 * math.sqrt(truth * (1 - truth) / count)


def test_modes_and_shares_are_those_that_were_planted(found):
    shares = {mode.mode: mode.share for mode in found.modes}
    assert shares == {"a": 0.25, "b": 0.75, "c": 0.0, "d": 0.0}
    labelled_a = [row for row in found.problems if row.problem % 4 < 2]
    restarts = len(labelled_a) * BREADTH
    assert near(sum(row.p_correct for row in labelled_a) / len(labelled_a), 0.6, restarts)
    assert near(sum(row.p_unsettled for row in labelled_a) / len(labelled_a), 0.1, restarts)
    assert found.mode("a").resting == 10 and set(found.mode("a").examples) == {3, 7, 11, 15}


def test_attractors_of_examples_are_told_apart_and_cycles_found(found):
    for row in found.basins:
        periods = [basin.period for basin in row.basins]
        assert periods.count(1) == 2 and max(periods) <= 2
        right = sum(basin.right for basin in row.basins if basin.period == 1)
        assert right == (0 if row.mode == "a" else 1)
        assert row.basins[0].stable == 1.0  # the wide one; a copy from a narrower one may leave it
        assert all(basin.stable is not None and 0 < basin.stable < 1 for basin in row.basins[1:])
    assert near(found.cycles.cycling, 0.1, found.cycles.restarts) and found.cycles.wandering == 0
    assert {cycle.period for cycle in found.cycles.examples} == {2}
    assert {cycle.cells for cycle in found.cycles.examples} == {TOKENS}  # A and B differ everywhere


def test_the_map_is_looked_at_where_restarts_rest(found):
    assert {state.right for state in found.local} == {True, False}
    assert all(state.radius == pytest.approx(0.5**state.period, rel=1e-3) for state in found.local)
    assert all((state.margin > 0) == state.right for state in found.local)


def test_budgets_are_counted(found):
    setting = found.setting
    assert setting.random_start and not setting.path_noise
    assert [point.depth for point in found.accuracy.by_depth] == [1, 2, 4, 8, 16]
    assert found.breadth.counts == (1, 2, 4, 8, 16, 32)
    assert near(found.breadth.curves["oracle"][-1], 0.75, 10**9)
    settled = found.accuracy.by_depth[-1].settled
    assert near(settled, 0.9, PROBLEMS * BREADTH) and found.accuracy.by_depth[-1].nfe < 16


def test_advice_follows_from_the_landscape(found):
    titles = [advice.title for advice in found.advice]
    assert (
        "Let the rules choose" in titles
    )  # A or B is there in three of four; only one of them is the commonest
    assert "Train further for the 10 puzzles that nothing solves" in titles
    assert "Retrain with path noise (NI)" in titles  # as the origin says
    assert any(title.startswith("Damp") for title in titles)
    assert found.verdict.startswith("Partly") and "75.0%" in found.verdict


def test_a_diagnosis_is_plain_data_and_repeats_itself(found):
    torch.manual_seed(0)
    again = run(planted(Basin(0.6, (A,)), Basin(0.3, (B,)), Basin(0.1, (A, B))), problems(A, A, B, C))
    told, other = found.to_dict(), again.to_dict()
    json.dumps(told, allow_nan=False)
    for name in ("seconds", "cpu_seconds"):
        told["setting"].pop(name), other["setting"].pop(name)
    assert told == other


def test_a_fixed_depth_shows_the_same_landscape(found):
    torch.manual_seed(0)
    reasoner = planted(Basin(0.6, (A,)), Basin(0.3, (B,)), Basin(0.1, (A, B)))
    fixed = run(reasoner, problems(A, A, B, C), halting=FixedDepth())
    assert [row.mode for row in fixed.problems] == [row.mode for row in found.problems]
    assert fixed.accuracy.by_depth[-1].nfe == 16 and fixed.setting.halting == "fixed"


def test_one_correct_attractor_needs_no_advice_but_to_stop():
    well = run(planted(Basin(1.0, (A,))), problems(A))
    assert [mode.mode for mode in well.modes if mode.count] == ["d"]
    assert well.verdict.startswith("Yes") and well.advice[0].title == "This budget is enough"
    assert math.isnan(well.coupling.auroc) and well.residuals.wrong.median == ()


def test_labels_that_contradict_each_other_are_counted():
    given = problems(A)
    twice = Problems.concatenate([given, replace(given, labels=problems(B).labels)])
    doubted = run(planted(Basin(0.5, (A,)), Basin(0.5, (B,))), twice, breadth=8)
    assert doubted.labels.contradicted == PROBLEMS
    assert any(advice.title == "Check the labels for ambiguity" for advice in doubted.advice)


def test_a_damped_solver_is_what_is_looked_at():
    found = run(planted(Basin(1.0, (A,))), problems(A), solver=Relaxed(damping=0.5), breadth=4)
    assert found.local[0].radius == pytest.approx(0.75, rel=1e-3)  # (0.5 + 1) / 2


def test_what_cannot_be_diagnosed_says_why():
    reasoner, given = planted(Basin(1.0, (A,))), problems(A)
    with pytest.raises(DataError, match="problems with answers"):
        run(reasoner, replace(given, labels=None))
    with pytest.raises(EquilibriaError, match="take 2 or more, as 32"):
        run(reasoner, given, breadth=1)
    with pytest.raises(EquilibriaError, match="take 2 or more, as 16"):
        run(reasoner, given, depth=1)
    reasoner.max_depth = 1
    with pytest.raises(EquilibriaError, match="does not iterate"):
        run(reasoner, given)


def test_restarts_that_are_all_alike_are_refused():
    pipeline = eq.load(
        "sudoku-6x6", overrides=["reasoner.sigma_H=0", "reasoner.sigma_L=0", "reasoner.noise=0"]
    )
    with pytest.raises(EquilibriaError, match=r"--set reasoner\.initial=gaussian"):
        pipeline.diagnose(eq.held_out_problems("sudoku-6x6")[:2])


def test_states_that_are_large_are_kept_of_fewer_restarts():
    assert examples.room(32, 16, 2 * 36 * 96) == (35, 32)
    fit, restarts = examples.room(32, 16, 2 * 900 * 512)
    assert 2 <= restarts < 32 and fit >= 4
    assert fit * restarts * 4 * 17 * 2 * 900 * 512 <= examples.MEMORY
    assert examples.room(32, 64, 10**9) == (1, 2)
