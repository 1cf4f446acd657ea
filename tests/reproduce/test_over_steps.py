"""Accuracy over steps is what a run logged while it trained."""

from equilibria.recipes import parse_recipe
from equilibria.reproduce.graded import Attempt, logged
from equilibria.reproduce.over_steps import all_curves, over_seeds


def test_a_curve_has_a_point_for_every_evaluation(recipe, setup):
    watched = parse_recipe(recipe.to_yaml(), ["training.log_every=2", "training.evaluate_every=2"])
    attempt = Attempt("SOT", watched, within="over-steps")
    points = all_curves([attempt], setup())
    assert [point["step"] for point in points] == [2, 4]
    lines = logged(attempt.run(setup().cache).folder)
    assert [point["held_out"] for point in points] == [100 * line["held_out_exact"] for line in lines]
    assert [point["train"] for point in points] == [100 * line["exact"] for line in lines]
    assert "took" not in points[0]


def test_seeds_are_averaged_step_by_step():
    same = {"way": "SOT", "rate": 1e-3, "step": 50}
    rows = [
        same | {"seed": 0, "train": 10.0, "held_out": 4.0},
        same | {"seed": 1, "train": 20.0, "held_out": 6.0},
        same | {"seed": 0, "step": 100, "train": 1.0, "held_out": 1.0},
    ]
    first, second = over_seeds(rows)
    assert (first["train"], first["held_out"], first["gap"], first["seeds"]) == (15.0, 5.0, -10.0, 2)
    assert (second["step"], second["seeds"]) == (100, 1)
