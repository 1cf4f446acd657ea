"""EqR Tab. 14 on Mini-ARC: one protocol for three models, and what is said of it."""

import json

from equilibria.reproduce.mini_arc import MODELS, attempts, run, summaries, verdict

PAIRS = [{"input": [[1, 2], [number, 0]], "output": [[2, number]]} for number in range(3, 6)]


def test_all_models_share_protocol_steps_and_batch(setup):
    for scale, steps in (("cpu", 2000), ("paper", 12000)):
        recipes = [attempt.recipe for attempt in attempts(setup(scale=scale, seeds=1))]
        assert [recipe.name for recipe in recipes] == [model.recipe for model in MODELS]
        assert {recipe.training.steps for recipe in recipes} == {steps}
        assert len({json.dumps([recipe.task, recipe.training.batch]) for recipe in recipes}) == 1
        assert len({recipe.data.model_dump_json() for recipe in recipes}) == 1


def row(**changes):
    return {
        **{"model": "TRM", "recipe": "trm-mini-arc", "trained": 16, "depth": 16, "breadth": 1, "seed": 0},
        **{"published": 48.35, "tasks": 149, "votes": 1000, "alone": 10.0, "pass_1": 20.0, "pass_2": 30.0},
        **{"ci95_1": [15.0, 25.0], "ci95_2": [24.0, 36.0], "seconds": 60.0, "parameters": 1, "took": 70.0},
    } | changes


def test_seeds_are_averaged_and_models_stand_in_the_papers_order():
    rows = [row(), row(seed=1, pass_1=22.0), row(model="HRM"), row(depth=64, pass_1=90.0)]
    table = summaries(rows)
    assert [(line["model"], line["depth"], line["pass_1"]) for line in table] == [
        ("HRM", 16, 20.0),
        ("TRM", 16, 21.0),
        ("TRM", 64, 90.0),
    ]
    assert table[1]["seeds"] == 2
    said = verdict(table)
    assert "HRM 20.0%, TRM 21.0%" in said and "TRM alone" in said and "90" not in said


def test_it_is_made_on_any_folder_of_puzzles(setup, tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name in ("one", "two"):
        (corpus / f"{name}.json").write_text(json.dumps({"train": PAIRS[:2], "test": PAIRS[2:]}))
    small = (
        *(f"task.corpora=[{corpus}]", "task.puzzles=2", "task.variants=4", "task.canvas=3"),
        *("reasoner.width=16", "reasoner.layers=1", "training.steps=2", "training.batch=4"),
        *("training.depth=2", "reasoner.heads=2", "training.compiled=false"),
    )
    findings = run(setup(overrides=small))
    table = findings.sheets[0].rows
    assert [(line["model"], line["depth"], line["breadth"]) for line in table] == [
        *(("HRM", 2, 1), ("HRM", 8, 1), ("TRM", 2, 1), ("TRM", 8, 1)),
        *(("EqR", 2, 1), ("EqR", 2, 4), ("EqR", 8, 1), ("EqR", 8, 4)),
    ]
    assert {line["tasks"] for line in table} == {2}
    assert [line["votes"] for line in table[4:6]] == [10, 40]
    assert findings.pictures[0].stat().st_size > 5000
    assert "55.28" in findings.notes[1]
