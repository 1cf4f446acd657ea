"""How probable answers are right: learned, kept, checked, and silent about what it was not learned from."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import equilibria as eq
from equilibria.diagnostics.calibration import calibrate, reliability
from equilibria.dynamics.halting import AnyOf, FixedDepth, LearnedHead, QLearning, Residual
from equilibria.dynamics.solvers import Anderson, Picard
from equilibria.errors import CheckpointError, DataError, EquilibriaError
from equilibria.inference.budget import Budget
from equilibria.inference.calibration import (
    Calibration,
    UntilConfident,
    calibrated_budget,
    conditions,
    features,
)
from equilibria.inference.restarts import Restart

NAN = math.nan


def restart(number, answer, residual, logit=0.0, accepted=False):
    return Restart(number, 8, 8, answer.encode(), residual, residual, logit, accepted, accepted, accepted)


@pytest.fixture(scope="module")
def learned():
    """From 4,000 answers that are right with a probability that falls with the residual."""
    random = np.random.default_rng(0)
    residuals = np.exp(random.normal(-1, 1, 4_000))
    right = random.random(4_000) < 1 / (1 + residuals**2)
    rows = [features([restart(0, "a", value, NAN)], b"a") for value in residuals]
    return Calibration.fit(rows, right.tolist())


def test_features_are_those_of_the_restarts_that_gave_the_answer():
    ended = [restart(0, "a", 0.5, 1.0), restart(1, "b", 0.1, 9.0, True), restart(2, "a", 0.25, -2.0)]
    assert features(ended, b"a") == pytest.approx([math.log(0.25), 1.0, math.log(2), math.log(2), 0.0])
    assert features(ended, b"b") == pytest.approx([math.log(0.1), 9.0, 0.0, math.log(3), 1.0])
    assert features([restart(0, "a", 0.0, NAN)], b"a")[:2] == pytest.approx([math.log(1e-12), 0.0])


def test_probabilities_fall_with_the_residual_and_mean_what_they_say(learned):
    grid = [learned.probability([restart(0, "a", value, NAN)], b"a") for value in np.geomspace(1e-3, 1e2, 60)]
    assert all(lower <= higher for higher, lower in pairwise(grid))
    assert 0 < grid[-1] < 0.1 < 0.9 < grid[0] < 1
    random = np.random.default_rng(1)
    residuals = np.exp(random.normal(-1, 1, 4_000))
    right = random.random(4_000) < 1 / (1 + residuals**2)
    said = [learned.probability([restart(0, "a", value, NAN)], b"a") for value in residuals]
    assert reliability(said, right.tolist()).error < 0.03


def test_nobody_is_surer_than_what_was_seen_allows():
    rows = [[value, 0.0, 0.0, 0.0, 0.0] for value in (1.0, 2.0, 3.0, 4.0)]
    sure = Calibration.fit(rows, [True, True, False, False])
    assert sure.probabilities[0] >= 1 / 6
    assert sure.probabilities[-1] <= 5 / 6
    with pytest.raises(ValueError, match="all answers are right"):
        Calibration.fit(rows, [True] * 4)


def drawn(seed, count=3_000):
    """Features of all kinds, and how probable each is right: a world that the first step can describe."""
    random = np.random.default_rng(seed)
    kinds = [random.normal(-3, 1.5, count), random.normal(0, 4, count)]
    kinds += [np.log(random.integers(1, 5, count)), np.log(random.integers(1, 5, count))]
    rows = np.stack([*kinds, random.integers(0, 2, count)], axis=1).astype(float)
    true = 1 / (1 + np.exp(-(rows @ [-0.8, 0.3, 1.0, -1.5, 2.0] - 2)))
    return rows, true, random.random(count) < true


def test_known_probabilities_are_found_again():
    rows, _, right = drawn(0)
    made = Calibration.fit(rows.tolist(), right.tolist())
    rows, true, right = drawn(1)
    said = np.interp(rows @ made.weights, made.scores, made.probabilities)
    assert np.abs(said - true).mean() < 0.03
    assert reliability(said.tolist(), right.tolist()).error < 0.03
    signs = np.sign(made.weights).tolist()
    assert signs == [-1, 1, 1, -1, 1]


@given(st.lists(st.tuples(*[st.floats(-20, 20)] * 5, st.booleans()), min_size=2, max_size=12))
def test_a_higher_score_is_never_less_probable(rows):
    right = [row[-1] for row in rows]
    assume(len(set(right)) == 2)
    made = Calibration.fit([row[:-1] for row in rows], right)
    assert all(a < b for a, b in pairwise(made.scores))
    assert all(a <= b for a, b in pairwise(made.probabilities))
    least = 1 / (len(rows) + 2)
    assert least <= made.probabilities[0] <= made.probabilities[-1] <= 1 - least + 1e-15
    assert Calibration.from_json(made.to_json(), "here") == made


@pytest.mark.parametrize("lost", [NAN, math.inf])
def test_a_trajectory_that_diverged_is_no_reason_to_trust_or_to_fail(learned, lost):
    gone, settled = restart(0, "a", lost, NAN), restart(1, "b", 1e-3, NAN)
    assert learned.probability([gone], b"a") == learned.probabilities[0]
    for ended in ([gone, settled._replace(answer=b"a")], [settled._replace(answer=b"a"), gone]):
        assert features(ended, b"a")[0] == math.log(1e-3)
    policy = UntilConfident(confidence=0.6, calibration=learned)
    assert policy.candidates([gone, settled]) == [1]
    assert policy.wants([gone, settled], 5) == 2
    rows = [features([one], one.answer) for one in (gone, settled, gone, settled)]
    assert math.isfinite(Calibration.fit(rows, [False, True, False, True]).probabilities[0])


def test_the_calibration_error_is_that_of_the_bins():
    found = reliability([0.9, 0.95, 0.1, 0.55], [True, False, False, True], bins=2)
    low, high = found.bins
    assert (low.count, low.predicted, low.right) == (1, pytest.approx(0.1), 0.0)
    assert (high.count, high.predicted, high.right) == (3, pytest.approx(0.8), pytest.approx(2 / 3))
    assert found.error == pytest.approx((0.1 + 3 * (0.8 - 2 / 3)) / 4)
    assert found.problems == 4
    assert reliability([1.0], [True]).error == 0.0
    assert reliability([1.0], [False]).error == 1.0


def test_it_reads_back_to_the_last_bit_and_refuses_what_is_damaged(learned):
    kept = replace(learned, conditions={"depth": 3}, about={"problems": 7})
    assert Calibration.from_json(kept.to_json(), "here") == kept
    content = json.loads(kept.to_json())
    broken = ["{", "[]", json.dumps(content | {"features": ["luck"]}), json.dumps(content | {"scores": []})]
    broken += [
        json.dumps({k: v for k, v in content.items() if k != "weights"}),
        json.dumps(content | {"x": 1}),
        json.dumps(content | {"weights": [NAN] * 5}),
        json.dumps(content | {"scores": [2.0, 1.0], "probabilities": [0.1, 0.9]}),
        json.dumps(content | {"scores": [1.0, 2.0], "probabilities": [0.9, 0.1]}),
        json.dumps(content | {"scores": [1.0, 2.0], "probabilities": [0.1, 1.1]}),
    ]
    for text in broken:
        with pytest.raises(CheckpointError, match=r"here: not a calibration .*equilibria calibrate"):
            Calibration.from_json(text, "here")


@pytest.mark.parametrize(
    "halting",
    [
        FixedDepth(),
        LearnedHead(threshold=3.0),
        QLearning(),
        Residual(tolerance=0.2, patience=2),
        AnyOf(of=(Residual(), LearnedHead(acts=False))),
    ],
    ids=lambda rule: rule.rule,
)
def test_the_conditions_give_back_the_budget(learned, halting):
    budget = Budget(depth=7, breadth=5, halting=halting, tolerance=0.03, nfe=30)
    kept = replace(learned, conditions=conditions(budget, Picard()), about={"breadth": 5, "nfe": 30})
    read = Calibration.from_json(kept.to_json(), "here")
    assert calibrated_budget(read) == budget
    assert conditions(calibrated_budget(read), Picard()) == read.conditions
    assert conditions(budget, Anderson()) != read.conditions
    damaged = [{"conditions": None}, {"about": None}, {"conditions": kept.conditions | {"halting": 3}}]
    for content in ({"conditions": {}}, {"about": {}}, *damaged):
        with pytest.raises(CheckpointError, match="does not say how it was made"):
            calibrated_budget(replace(kept, **content))


def test_confidence_asks_for_the_next_restart_until_it_is_reached(learned):
    sure, unsure = restart(0, "a", 1e-3, NAN), restart(0, "b", 50.0, NAN)
    reached = learned.probability([sure], b"a")
    policy = UntilConfident(confidence=reached, calibration=learned)
    assert policy.wants([], 5) == 1
    assert policy.wants([sure], 5) == 1
    surer = UntilConfident(confidence=math.nextafter(reached, 1), calibration=learned)
    assert surer.wants([sure], 5) == 2
    assert policy.wants([unsure], 5) == 2
    assert policy.wants([unsure], 1) == 1
    assert policy.candidates([unsure, sure._replace(number=1)]) == [1]
    for wrong in (0, 1, 1.5, -0.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            UntilConfident(confidence=wrong, calibration=learned)


@pytest.fixture(scope="module")
def pipeline():
    """The 6×6 reasoner at a depth that leaves some puzzles wrong, calibrated on real ones."""
    made = eq.load("sudoku-6x6")
    made.calibration = None
    problems = eq.held_out_problems("sudoku-6x6")[:400]
    made.calibrate(problems, depth=5, breadth=2, halting="fixed", restarts="fixed")
    return made


def test_real_answers_are_as_often_right_as_said(pipeline):
    asked = eq.held_out_problems("sudoku-6x6")[400:1000]
    answers = pipeline.solve(asked, depth=5, breadth=2, halting="fixed", restarts="fixed")
    right = [bool((answer.tokens == asked.labels[answer.index]).all()) for answer in answers]
    said = [answer.confidence for answer in answers]
    assert 0.6 < np.mean(right) < 0.95
    assert reliability(said, right).error < 0.08
    sure = [ok for ok, probability in zip(right, said, strict=True) if probability > 0.95]
    assert len(sure) > 100
    assert np.mean(sure) > 0.95


def test_answers_below_the_confidence_are_not_settled(pipeline):
    asked = eq.held_out_problems("sudoku-6x6")[1000:1100]
    answers = pipeline.solve(asked, confidence=0.9, breadth=6)
    assert {answer.settled for answer in answers} == {True, False} or all(a.settled for a in answers)
    for answer in answers:
        assert answer.settled == (answer.confidence >= 0.9)
        assert answer.settled or answer.restarts == 6
    assert sum(answer.restarts == 1 for answer in answers) > 30


def test_it_is_silent_about_other_conditions(pipeline):
    asked = eq.held_out_problems("sudoku-6x6")[:4]
    for other in ({"depth": 6}, {"halting": "learned"}, {"tolerance": 0.2}):
        (answer, *_) = pipeline.solve(asked, **({"depth": 5, "halting": "fixed"} | other))
        assert math.isnan(answer.confidence)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"restarts": "fixed"}, "the confidence decides about restarts"),
        ({"depth": 9}, "is calibrated for .*leave depth, halting and tolerance"),
        ({"confidence": 1.0}, "confidence must be between 0 and 1"),
    ],
)
def test_a_budget_that_cannot_be_is_refused_in_words(pipeline, how, message):
    with pytest.raises(EquilibriaError, match=message):
        pipeline.budget(**({"confidence": 0.9} | how))


def test_a_checkpoint_keeps_its_calibration_and_loses_it_with_its_weights(pipeline, tmp_path):
    folder = pipeline.save(tmp_path / "saved")
    assert eq.load(folder).calibration == pipeline.calibration
    replace(pipeline, calibration=None).save(folder)
    assert eq.load(folder).calibration is None
    with pytest.raises(EquilibriaError, match=r"has no calibration.*equilibria calibrate"):
        eq.load(folder).budget(confidence=0.9)


def test_nothing_can_be_learned_from_too_little_or_from_what_is_always_right(pipeline):
    problems = eq.held_out_problems("sudoku-6x6")[:40]
    with pytest.raises(DataError, match="needs at least 20 problems"):
        calibrate(pipeline.engine, problems[:19], Budget(depth=2))
    with pytest.raises(DataError, match="needs problems with answers"):
        calibrate(pipeline.engine, replace(problems, labels=None), Budget(depth=2))
    with pytest.raises(DataError, match="all answers are right, or all are wrong; use more or harder"):
        calibrate(pipeline.engine, problems, Budget(depth=1))
