"""Decay and patience: what is run under which setting, and what is said of it."""

import pytest

from equilibria.errors import EquilibriaError
from equilibria.pipeline import Pipeline
from equilibria.reproduce import step_size
from equilibria.reproduce.boards import FPRM, TRM, Variant, board
from equilibria.reproduce.loop_use import POST, SCALED
from equilibria.reproduce.step_size import (
    DECAYS,
    PATIENCES,
    REPRODUCTION,
    effects,
    run_with,
    statements,
    summary,
)

TINY = ("task.box=[2,2]", "reasoner.width=16", "reasoner.channel_inner=32", "reasoner.token_inner=16")


def fresh(name, *changes):
    recipe = board("cpu", 0, Variant("", name), (*TINY, *changes))
    task = recipe.build_task()
    return Pipeline(recipe.build_reasoner(task).eval(), task, recipe), task.generate(6, seed=0)


def row(patience, decay, **changes):
    known = {
        "accuracy": 50.0,
        "low": 45.0,
        "high": 55.0,
        "layers": 10.0,
        "median_layers": 9.0,
        "halted": 100.0,
    }
    about = {"norm": SCALED, "patience": patience, "decay": decay, "problems": 10, "spent": 0.0}
    return about | known | changes


def test_a_state_that_never_rests_is_stopped_by_its_step_size_the_sooner_the_faster_it_decays():
    never = ("inference.halting.tolerance=1e-30", "inference.solver.threshold=0")
    pipeline, problems = fresh(FPRM, *never)
    quick, slow = (run_with(pipeline, problems, decay, 1, 200) for decay in (0.1, 0.5))
    assert quick["layers"] < slow["layers"] < 200.0
    assert quick["halted"] == 100.0
    patient = run_with(pipeline, problems, 0.1, 5, 200)
    assert patient["layers"] > quick["layers"]


def test_another_solver_has_no_such_settings():
    pipeline, problems = fresh(TRM)
    with pytest.raises(EquilibriaError, match="patience-damped, not picard"):
        run_with(pipeline, problems, 0.9, 5, 4)


def test_every_setting_is_measured_on_two_trained_reasoners(setup, board, monkeypatch):
    monkeypatch.setattr(step_size, "BUDGET", {"cpu": 6})
    monkeypatch.setattr(step_size, "PROBLEMS", {"cpu": 4})
    surroundings = setup()
    places = {"out": surroundings.out, "cache": surroundings.cache, "device": "cpu", "say": str}
    findings = REPRODUCTION.make("cpu", board, **places, jobs=1)
    rows = findings.sheets[0].rows
    settings = [(n, p, d) for n in (SCALED, POST) for p in PATIENCES for d in DECAYS]
    assert [(r["norm"], r["patience"], r["decay"]) for r in rows] == settings
    assert all(0.0 < r["layers"] <= 6.0 for r in rows)
    assert (surroundings.out / "step-size.png").read_bytes()[:4] == b"\x89PNG"
    assert len(list(surroundings.cache.glob("*/trained"))) == 2


def test_the_effect_of_all_settings_is_told_of_each_reasoner():
    table = [row(5, 0.9, accuracy=40.0), row(10, 0.9, accuracy=60.0, layers=30.0), row(5, 0.9, norm=POST)]
    scaled, post = effects(table)
    assert "40.0 to 60.0% at 10 to 30 layers" in scaled
    assert post.startswith("post: 50.0 to 50.0%")


def test_statements_follow_the_curves():
    rising = [
        summary([row(p, d, accuracy=50.0 + place, layers=10.0 * 2**place, spent=20.0 if d > 0.99 else 0.0)])
        for p in PATIENCES
        for place, d in enumerate(DECAYS)
    ]
    assert all(one.holds for one in statements(rising))
    falling = [
        summary([row(p, d, accuracy=50.0 - 5 * place * (p - 4), layers=100.0 - place)])
        for p in PATIENCES
        for place, d in enumerate(DECAYS)
    ]
    assert not any(one.holds for one in statements(falling))
