"""The cells of EqR Tab. 3 and their runs."""

from equilibria.reproduce.cells import CELLS, EQR, TRM, by_seed, described, measured, trials
from equilibria.reproduce.small import NI, RI, variant


def test_cells_differ_in_random_starts_and_path_noise_alone():
    recipes = [variant("paper", 0, cell.changes).reasoner.model_dump() for cell in CELLS]
    told = [(one["initial"], one["noise"], one["damping"]) for one in recipes]
    assert told == [("fixed", 0, 0), ("gaussian", 0, 0), ("fixed", 0.01, 0.05), ("gaussian", 0.01, 0.05)]
    assert EQR.changes == RI + NI
    for one in recipes:
        assert one | {"initial": "fixed", "noise": 0, "damping": 0} == recipes[0]


def folder(trial, run):
    return f"{trial.cell.label} {trial.seed} {run.folder.name}"


def test_every_run_is_measured_in_its_order_and_told(setup, tiny):
    said: list[str] = []
    made = setup(overrides=tiny, say=said.append)
    todo = trials((TRM, EQR), made, [1, 0])
    found = measured(todo, folder, made, str.upper)
    assert [trial for trial, _ in found] == todo
    assert [(trial.cell, trial.seed) for trial in todo] == [(TRM, 1), (EQR, 1), (TRM, 0), (EQR, 0)]
    assert [result.split()[0] for _, result in found] == ["TRM", "+", "TRM", "+"]
    assert len({result.split()[-1] for _, result in found}) == 4
    assert said[0].startswith("1 of 4: TRM, seed 1: TRM 1 ")
    assert [trial.recipe.training.seed for trial in todo] == [1, 1, 0, 0]
    assert list(described(todo)) == [TRM.label, EQR.label]


def test_numbers_are_taken_seed_by_seed():
    found = [{"method": name, "x": value} for name, value in (("a", 1), ("b", 2), ("a", 3))]
    assert by_seed(found, "a", "x") == [1, 3]
