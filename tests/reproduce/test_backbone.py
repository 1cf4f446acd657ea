"""EqR Tab. 14, lower half, at toy size."""

import pytest

from equilibria.reproduce import backbone
from equilibria.reproduce.backbone import BACKBONES, STEPS, Size
from equilibria.reproduce.small import variant


def test_both_backbones_are_trained_tried_and_drawn(setup, tiny, monkeypatch):
    monkeypatch.setitem(backbone.SIZES, "cpu", Size(8, 4, 2))
    made = setup(overrides=tiny)
    findings = backbone.run(made)
    table, said, runs = findings.sheets
    assert [(row["backbone"], row["step"]) for row in table.rows] == [
        (name, step) for name in BACKBONES for step in STEPS
    ]
    assert len(said.rows) == 6
    assert len({row["folder"] for row in runs.rows}) == 4
    assert findings.pictures[0].stat().st_size > 5000


@pytest.mark.parametrize("scale", ["cpu", "paper"])
def test_backbones_differ_in_how_tokens_are_mixed_alone(scale):
    for mlp, attention in zip(*BACKBONES.values(), strict=True):
        one, other = (variant(scale, 0, cell.changes) for cell in (mlp, attention))
        fields = one.reasoner.model_dump()
        differing = {key for key, value in other.reasoner.model_dump().items() if value != fields[key]}
        assert differing == {"mixing", "positions"}
        assert one.training == other.training


def test_steps_are_compared_within_a_backbone():
    found = []
    for place, (baseline, shaped) in enumerate(BACKBONES.values()):
        about = {"seed": 0, "parameters": 10}
        found.append(about | {"method": baseline.label, "exact": 80.0 - place})
        found.append(
            about | {"method": shaped.label, "exact": 79.5, "deep": 85.0, "scaled": 95.0 - 30 * place}
        )
    said = backbone.statements(found)
    assert [one.holds for one in said] == [False, True, True, True, True, False]
    assert said[2].published == "86.4 → 99.8"
