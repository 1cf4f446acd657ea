"""EqR Tab. 8: the rows, what they have in common, and what is said of them."""

import pytest

from equilibria.reproduce import construction_path
from equilibria.reproduce.cost_formula import Shape
from equilibria.reproduce.training_dynamics import (
    HALTING,
    NUMBERED,
    SILENT,
    SINGLE,
    TERMINAL,
    TOO_LARGE,
    TRAJECTORY,
    TWICE,
    WAYS,
    attempts,
    draw,
    draw_halting,
    needed,
    verdict,
)

FEW = ("data.count=20", "data.held_out_count=8")


def test_every_row_but_the_one_too_large_is_trained(setup):
    todo = attempts(WAYS, setup())
    assert {one.way for one in todo} == {way.name for way in (*NUMBERED, SINGLE, SILENT)} - {TOO_LARGE.name}
    assert len(todo) == 16
    assert [way.name for way in HALTING[2:]] == ["⑫ ⑩ + learned halting", "⑪ ⑩ + oracle halting"]


def test_small_runs_are_matched_in_steps_and_iterations_and_published_ones_in_batch(setup):
    for one in attempts(WAYS, setup()):
        training = one.recipe.training
        interval = training.schedule.interval(training.depth)
        assert (training.steps, training.batch * interval) == (700, 128)
    assert {one.recipe.training.batch for one in attempts(WAYS, setup(scale="paper"))} == {768}


def test_gradients_go_as_far_as_the_paper_says(setup):
    reach = {}
    for one in attempts(WAYS, setup()):
        reasoner = one.recipe.build_reasoner(one.recipe.build_task())
        shape = Shape.of(reasoner, one.recipe)
        reach[one.way] = (shape.anchors, shape.tracked)
    by_number = {name.split()[0]: value for name, value in reach.items() if name != SINGLE.name}
    assert by_number["③"] == (1, 12) and by_number["⑤"] == (1, 6) and by_number["⑥"] == (16, 6)
    assert [by_number[number] for number in "⑦⑧⑨⑩"] == [(1, 6), (1, 3), (1, 6), (1, 3)]


def test_rows_of_the_construction_path_are_its_runs(setup):
    here = setup(overrides=FEW)
    path = [one for one in construction_path.attempts(here) if one.recipe.training.optimizer.lr == 3e-3]
    shared = [NUMBERED[place] for place in (0, 1, 6, 9, 11)]
    ours = attempts(shared, here)
    assert [one.run(here.cache).folder.name for one in ours] == [
        construction_path.CachedRun.of(one.recipe, here.cache).folder.name for one in path
    ]


def found(accuracies):
    return {
        way.name: {
            **{"way": way.name, "evaluation": value, "spread": 0.0, "seeds": 1, "steps_lived": 4.0},
            **{"published": way.accuracy, "label": way.label},
        }
        for way, value in zip(WAYS, accuracies, strict=True)
    }


def test_the_verdict_holds_of_the_papers_own_numbers_and_not_of_others(tmp_path):
    published = [76.0 if way is SILENT else way.accuracy for way in WAYS]
    said = verdict(found(published))
    assert len(said) == 10
    assert all(": yes, " in one or "reversal holds" in one for one in said)
    said = verdict(found([100 - accuracy for accuracy in published]))
    assert all(": no, " in one or "does not hold" in one for one in said)
    rows = found(published)
    draw(list(rows.values()), tmp_path / "all.png")
    draw_halting([rows[way.name] for way in HALTING], tmp_path / "halting.png")
    assert (tmp_path / "all.png").is_file() and (tmp_path / "halting.png").is_file()


def test_the_row_too_large_would_take_hundreds_of_gigabytes(setup):
    assert 500 < needed(setup(overrides=FEW)) < 5000


def test_schedules_of_whole_trajectories_have_a_rate_of_their_own(setup):
    assert len(attempts((TWICE, TERMINAL, TRAJECTORY), setup())) == 6
    assert len(attempts((TWICE, TERMINAL), setup(overrides=("training.optimizer.lr=1e-3",)))) == 2


@pytest.mark.slow
def test_the_table_is_made(setup, board):
    from equilibria.reproduce.training_dynamics import run

    findings = run(setup(overrides=(*board, "training.optimizer.lr=1e-3")))
    rows = findings.sheets[0].rows
    assert [row["way"] for row in rows[:12]] == [way.name for way in NUMBERED]
    assert rows[3]["evaluation"] is None and "GB" in rows[3]["note"]
    assert len(findings.pictures) == 2
