"""Loops beyond the trained depth: where both schemes are looked at, and what is said of them."""

from equilibria.reproduce import loop_use
from equilibria.reproduce.boards import board
from equilibria.reproduce.loop_use import (
    BEYOND,
    POST,
    REPRODUCTION,
    SCALED,
    VARIANTS,
    depths,
    statements,
    summary,
)


def curve(scheme, accuracies, residual):
    return [
        {"scheme": scheme, "layers": layers, "accuracy": accuracy, "residual": residual}
        for layers, accuracy in zip((8, 16, 32, 64), accuracies, strict=True)
    ]


def test_schemes_differ_in_norm_and_scaling_alone():
    scaled, post = (board("paper", 0, variant).model_dump() for variant in VARIANTS)
    assert (post["reasoner"].pop("norm"), post["reasoner"].pop("residual_scale")) == ("post", "none")
    assert (scaled["reasoner"].pop("norm"), scaled["reasoner"].pop("residual_scale")) == ("pre", "channel")
    assert scaled == post


def test_depths_reach_beyond_the_trained_one_which_is_among_them():
    assert depths(48) == [1, 2, 4, 8, 16, 32, 48, 64, 128, 256, 384]
    assert depths(72)[-1] == BEYOND * 72


def test_both_are_trained_followed_and_drawn(setup, board, monkeypatch):
    monkeypatch.setattr(loop_use, "PROBLEMS", {"cpu": 6})
    surroundings = setup()
    places = {"out": surroundings.out, "cache": surroundings.cache, "device": "cpu", "say": str}
    shallow = ("training.depth=4",)
    findings = REPRODUCTION.make("cpu", (*board, *shallow), **places, jobs=1)
    assert [row["scheme"] for row in findings.sheets[0].rows] == [SCALED, POST]
    assert findings.sheets[0].rows[0]["trained"] == 4
    assert len(findings.sheets[2].rows) == 2 * len(depths(4))
    assert (surroundings.out / "loop-use.png").read_bytes()[:4] == b"\x89PNG"


def test_the_scheme_that_still_gains_later_saturates_at_greater_depth():
    curves = [*curve(SCALED, (20.0, 40.0, 60.0, 80.0), 0.01), *curve(POST, (20.0, 50.0, 51.0, 51.5), 0.02)]
    table = [summary(scheme, curves, 16, 1) for scheme in (SCALED, POST)]
    assert [row["saturation"] for row in table] == [64, 32]
    assert [round(row["gain"], 1) for row in table] == [40.0, 1.5]
    assert all(one.holds for one in statements(table))
    other = [summary(scheme, curves, 16, 1) | {"residual": scheme == POST} for scheme in (POST, SCALED)]
    said = statements([other[0], other[1] | {"residual": 1e-6}])
    assert [one.holds for one in said] == [False, False, True, False]
