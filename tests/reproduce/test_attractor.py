"""Attractor Models Tab. 2: the six reasoners, and what is said of them."""

from equilibria.reproduce.attractor import METHODS, REPRODUCTION, statements, summary


def table(values):
    found = [
        {"parameters": 1000, "train": 99.0, "iterations": 16.0, "seconds": 60.0, "accuracy": v}
        for v in values
    ]
    return [summary(method, [row]) for method, row in zip(METHODS, found, strict=True)]


def test_six_reasoners_are_trained_and_set_beside_the_published_numbers(setup, board):
    surroundings = setup()
    places = {"out": surroundings.out, "cache": surroundings.cache, "device": "cpu", "say": str}
    findings = REPRODUCTION.make("cpu", (*board, "training.steps=1"), **places, jobs=1)
    rows = findings.sheets[0].rows
    assert [row["published"] for row in rows] == [0.0, 55.0, 74.7, 0.0, 54.3, 91.4]
    small, large = rows[2]["parameters"], rows[3]["parameters"]
    assert small == rows[4]["parameters"] < large == rows[5]["parameters"]
    assert all(0.0 <= row["accuracy"] <= 100.0 for row in rows)
    assert (surroundings.out / "attractor.png").read_bytes()[:4] == b"\x89PNG"


def test_statements_hold_of_the_published_table_and_not_of_its_opposite():
    published = [method.sudoku for method in METHODS]
    assert all(one.holds for one in statements(table(published)))
    assert not any(one.holds for one in statements(table([100 - value for value in published])))
