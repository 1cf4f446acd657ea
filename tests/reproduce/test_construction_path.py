"""The table of EqR Tab. 2: what is trained, what is chosen on what, what is said of it."""

import csv

import pytest
from omegaconf import OmegaConf

from equilibria.reproduce import runs
from equilibria.reproduce.construction_path import REPRODUCTION, ROWS, attempts, summary, verdict

TINY = (
    "task.box=[2,2]",
    *("reasoner.width=16", "reasoner.heads=2", "reasoner.channel_inner=32", "reasoner.token_inner=16"),
    *("data.count=40", "data.held_out_count=32", "training.steps=2", "training.batch=8"),
)


def result(**changes):
    return {
        **{
            "recipe": "path-sot",
            "rate": 1e-3,
            "seed": 0,
            "train": 90.0,
            "validation": 50.0,
            "evaluation": 60.0,
        },
        **{"blocks": 1, "parameters": 10, "layers": 96, "seconds": 60.0},
    } | changes


def test_every_row_gets_the_same_steps_rates_and_seeds(setup):
    grid = attempts(setup(seeds=2))
    assert len(grid) == 5 * 2 * 2
    assert [attempt.row for attempt in grid[:5]] == list(ROWS)
    assert {attempt.recipe.training.seed for attempt in grid[:10]} == {0}
    assert {attempt.recipe.training.optimizer.lr for attempt in grid} == {1e-3, 3e-3}
    same = {
        (training.steps, training.batch, training.average, training.optimizer.weight_decay)
        for training in (attempt.recipe.training for attempt in grid)
    }
    assert len(same) == 1
    assert len({attempt.recipe.data for attempt in grid}) == 1


def test_rows_of_the_paper_have_its_blocks_and_its_equivalent_layers(setup):
    for scale, blocks, layers in (("cpu", 6, 6), ("paper", 42, 42)):
        grid = attempts(setup(scale=scale, seeds=1))
        for attempt in grid:
            reasoner = attempt.recipe.build_reasoner(attempt.recipe.build_task()) if scale == "cpu" else None
            assert reasoner is None or reasoner.equivalent_layers == layers
        assert grid[0].recipe.reasoner.layers == blocks
        assert [attempt.recipe.training.depth for attempt in grid[:5]] == [1, 1, 16, 16, 16]


def test_one_learning_rate_can_be_asked_for(setup):
    grid = attempts(setup(overrides=("training.optimizer.lr=5e-4",)))
    assert [attempt.recipe.training.optimizer.lr for attempt in grid] == [5e-4] * 5


def test_a_rate_is_chosen_by_validation_and_not_by_what_is_reported():
    results = [
        result(seed=0, validation=40.0, evaluation=99.0),
        result(seed=1, validation=40.0, evaluation=99.0),
        result(rate=3e-3, seed=0, validation=39.0, evaluation=50.0),
        result(rate=3e-3, seed=1, validation=43.0, evaluation=60.0),
    ]
    row = summary(ROWS[2], results)
    assert row["rate"] == 3e-3
    assert (row["evaluation"], row["spread"], row["seeds"]) == (55.0, 5.0, 2)
    assert (row["published_train"], row["published_evaluation"]) == (94.9, 74.7)


def test_the_verdict_names_the_rows_that_break_the_papers_order():
    rising = [{"method": str(value), "evaluation": float(value), "spread": 0.4} for value in (1, 2, 3)]
    assert "order holds" in verdict(rising)
    assert "2 (2.0%) is no better than 3 (3.0%)." in verdict(rising[::2] + rising[1:2])
    near = [rising[0], rising[1] | {"evaluation": 0.5}]
    assert "than 1 (1.0%), within the spread of the seeds" in verdict(near)


@pytest.mark.slow
def test_the_whole_table_is_made_once_and_then_read(tmp_path, monkeypatch):
    said = []

    def make():
        overrides = (*TINY, "training.optimizer.lr=1e-3")
        folders = {"out": tmp_path / "out", "cache": tmp_path / "cache"}
        return REPRODUCTION.make("cpu", overrides, **folders, seeds=1, jobs=1, device="cpu", say=said.append)

    findings = make()
    table = list(csv.DictReader((tmp_path / "out" / "construction-path.csv").read_text().splitlines()))
    assert [row["recipe"] for row in table] == [row.recipe for row in ROWS]
    assert [row["layers"] for row in table] == ["6", "6", "96", "96", "96"]
    assert len(list(csv.DictReader((tmp_path / "out" / "runs.csv").read_text().splitlines()))) == 5
    assert (tmp_path / "out" / "construction-path.png").read_bytes().startswith(b"\x89PNG")
    made = OmegaConf.load(tmp_path / "out" / "config.yaml")
    assert made["rates"] == [1e-3]
    assert made["recipes (first seed, first rate)"]["path-act"]["training"]["halting"]["rule"] == "learned"
    assert len(said) == 5
    assert said[-1].startswith("5 of 5: + ACT")

    monkeypatch.setattr(runs, "train", lambda *a, **o: pytest.fail("trained again"))
    assert [row["evaluation"] for row in make().sheets[0].rows] == [
        row["evaluation"] for row in findings.sheets[0].rows
    ]
