"""TRM with its blocks changed: the ten cells, and what is said of them."""

from itertools import count

from equilibria.reproduce import trm_blocks
from equilibria.reproduce.boards import board, trials
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.trm_blocks import BLOCKS, REPRODUCTION, WITH, statements, summary, variants


def test_ten_cells_differ_in_their_blocks_alone():
    recipes = {one.label: board("paper", 0, one).reasoner.model_dump() for one in variants()}
    assert len(recipes) == 10
    looked_at = ("norm", "residual_scale", "scale_outer_only", "convolution", "convolution_kernel")
    cells = {tuple(own.pop(name) for name in looked_at) for own in recipes.values()}
    assert len(cells) == 10
    assert len({str(own) for own in recipes.values()}) == 1
    assert variants()[0].changes == ()


def test_every_block_learns(setup, board):
    surroundings = setup(overrides=board)
    for trial in trials(variants(), surroundings)[3:5] + trials(variants(), surroundings)[9:]:
        row = trm_blocks.measure(trial, CachedRun.of(trial.recipe, surroundings.cache), "cpu", "cpu")
        assert 0.0 <= row["accuracy"] <= 100.0
        assert row["problems"] == 32


def test_table_and_picture_set_ours_beside_the_published_numbers(setup, board, monkeypatch):
    values = count(90, -1)
    found = {"parameters": 1000, "seconds": 1.0}
    monkeypatch.setattr(
        trm_blocks, "measure", lambda trial, run, device, scale: found | {"accuracy": float(next(values))}
    )
    surroundings = setup()
    places = {"out": surroundings.out, "cache": surroundings.cache, "device": "cpu", "say": str}
    rows = REPRODUCTION.make("cpu", board, **places, jobs=1).sheets[0].rows
    assert [(row["plain"], row["conv"]) for row in rows] == [(90 - n, 85 - n) for n in range(5)]
    assert rows[0]["plain_change"] is None
    assert [row["plain_change"] for row in rows[1:]] == [-1, -2, -3, -4]
    assert rows[4]["conv_published"] == 39.46
    assert (surroundings.out / "trm-blocks.png").read_bytes()[:4] == b"\x89PNG"


def test_statements_hold_of_the_published_table_and_not_of_its_opposite():
    def table(turned):
        by_label = {}
        for block in BLOCKS:
            for label, value in ((block.label, block.without), (block.label + WITH, block.with_)):
                by_label[label] = [{"accuracy": 100 - value if turned else value}]
        return [summary(block, by_label) for block in BLOCKS]

    assert all(one.holds for one in statements(table(False)))
    assert not any(one.holds for one in statements(table(True)))
