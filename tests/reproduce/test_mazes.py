"""EqR's maze tables: what is trained alike, what is counted as right, what is said of it."""

import csv

import pytest

from equilibria.reproduce import ambiguity, maze
from equilibria.reproduce.mazes import attempts, by_method, mean

TINY = (
    *("task.size=6", "reasoner.width=16", "reasoner.heads=2", "reasoner.channel_inner=32"),
    *("data.count=20", "data.held_out_count=12", "training.steps=2", "training.batch=4", "training.depth=2"),
    *("training.compiled=false", "training.evaluate_every=100", "training.save_every=100"),
)


def test_trm_and_eqr_differ_in_what_eqr_adds_and_in_nothing_else(setup):
    for scale in ("cpu", "paper"):
        trm, eqr = (attempt.recipe for attempt in attempts((maze.TRM, maze.EQR), setup(scale=scale, seeds=1)))
        differing = {
            key for key, value in trm.reasoner.model_dump().items() if value != eqr.reasoner.model_dump()[key]
        }
        allowed = {"initial", "damping", "noise", "sigma_H", "sigma_L"}
        # TRM as published has slots for a puzzle identity
        assert differing <= (allowed if scale == "cpu" else allowed | {"prefix"})
        assert {"initial", "damping", "noise"} <= differing
        assert trm.training == eqr.training
        assert trm.data == eqr.data and trm.task == eqr.task


def test_the_sorts_of_mazes_differ_in_nothing_but_the_task(setup):
    grid = attempts(ambiguity.VARIANTS, setup(seeds=2))
    assert [attempt.recipe.training.seed for attempt in grid] == [0, 0, 0, 1, 1, 1]
    assert len({attempt.recipe.reasoner.model_dump_json() for attempt in grid}) == 1
    without, unique, several = (attempt.recipe.task for attempt in grid[:3])
    assert without == {"name": "maze", "size": 11}
    assert unique == without | {"mode": "random", "unique": True}
    assert several == without | {"mode": "random", "unique": False}


def row(**changes):
    return {
        **{"method": "EqR", "recipe": "r", "seed": 0, "trained": 8, "depth": 8, "breadth": 1, "problems": 10},
        **{"parameters": 5, "exact": 40.0, "any_shortest": 50.0, "majority": None, "most_converged": None},
        **{"auroc": 0.9, "path_independence": None, "residual": 0.1, "seconds": 60.0},
    } | changes


def test_seeds_are_averaged_and_what_is_missing_is_left_out():
    (found,) = by_method([row(), row(seed=1, exact=50.0, auroc=float("nan"))])
    assert (found["exact"], found["spread"], found["seeds"], found["auroc"]) == (45.0, 5.0, 2, 0.9)
    assert found["majority"] is None
    assert mean([]) is None


def table(**changes):
    """The lines of a table in which each of the paper's statements holds, but for `changes`."""
    rows = [row(method="TRM", exact=30.0), row(method="TRM", depth=32, exact=31.0), row(), row(depth=32)]
    rows[3] |= {"exact": 60.0}
    many = {"breadth": 16, "path_independence": 5.0, "majority": 70.0, "most_converged": 80.0}
    rows += [row(**many), row(depth=32, exact=61.0, **many)]
    rows[3] |= changes
    return maze.budgets(by_method(rows))


def test_each_statement_is_judged_by_the_numbers_of_the_table():
    assert [note.split(": ")[1][:3] for note in maze.verdict(table())[:5]] == ["yes"] * 5
    falling = maze.verdict(table(exact=39.0))
    assert "within the spread" not in falling[0]
    assert falling[1] == "Depth beyond training helps EqR (4 times): no, 40.0 to 39.0%."
    assert "AUROC 0.900" in falling[-1]
    assert "nothing to tell apart" in maze.verdict(table(auroc=None))[-1]


def test_a_gap_that_seeds_alone_may_make_is_said_to_be_one():
    rows = [row(method=method, depth=depth) for method in ("TRM", "EqR") for depth in (8, 32)]
    rows.append(row(depth=32, breadth=16, majority=1.0, most_converged=1.0))
    rows.append(row(method="TRM", seed=1, exact=38.0))
    assert maze.verdict(maze.budgets(by_method(rows)))[0].endswith("spread of the seeds.")


def test_published_numbers_stand_beside_the_budgets_they_are_of():
    lines = {(line["method"], line["depth"], line["selection"]): line["published"] for line in table()}
    assert lines["TRM", 8, "single"] == 44.9
    assert lines["EqR", 32, "single"] == 88.9
    assert lines["EqR", 32, "Top-1 convergence"] is None


def test_more_depth_is_judged_for_each_sort_of_mazes():
    exact = {8: 40.0, 16: 45.0, 64: 44.0}
    rows = [row(method="several shortest paths", depth=d, exact=value) for d, value in exact.items()]
    said = ambiguity.verdict(by_method(rows), "several shortest paths")
    assert "depth 8, 16, 64: exact accuracy 40.0 → 45.0 (+5.0) → 44.0 (-1.0)" in said
    assert "a shortest path 50.0 → 50.0 (+0.0) → 50.0 (+0.0)." in said


def test_both_are_made_from_the_same_runs_and_written(setup, tmp_path):
    made = setup(seeds=1, overrides=TINY, jobs=1)
    first = maze.run(made)
    assert [sheet.name for sheet in first.sheets] == ["maze", "depths", "runs"]
    assert len(first.sheets[0].rows) == 2 * 3 + 2 * 3  # three depths alone, two of many by three ways
    trained = {folder.name for folder in made.cache.iterdir() if (folder / "trained").is_dir()}
    second = ambiguity.run(made)
    assert len(second.notes) == 3
    assert trained < {folder.name for folder in made.cache.iterdir() if (folder / "trained").is_dir()}
    assert all(path.stat().st_size > 5000 for path in (*first.pictures, *second.pictures))
    assert csv.reader(first.sheets[0].csv().splitlines())


@pytest.mark.parametrize("made", [maze.REPRODUCTION, ambiguity.REPRODUCTION])
def test_costs_are_said_for_both_scales(made):
    assert set(made.scales) == {"cpu", "paper"}
