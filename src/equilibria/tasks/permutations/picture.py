"""A row of a group for a picture: a table of elements, and below each the product so far."""

from torch import Tensor

from equilibria.tasks.permutations.group import Group
from equilibria.tasks.permutations.rows import products
from equilibria.tasks.permutations.text import symbol
from equilibria.tasks.picture import ANSWER, FILLED, PROBLEM, RIGHT, Cell, Panel, remark

ACROSS = 16  # elements before the next lines begin


def product_panels(
    group: Group, inputs: Tensor, answers: Tensor | None, labels: Tensor | None, broken: list[str] | None
) -> list[Panel]:
    """One problem [tokens] as one table. The right products are shown where there are labels, or mistakes."""
    count = int((inputs > 0).sum())
    right = products(group, inputs[None])[0].tolist()
    lines = {PROBLEM: [Cell(symbol(token, group), bold=True) for token in inputs[:count].tolist()]}
    if answers is not None:
        lines[ANSWER] = [
            Cell(symbol(token, group), ink=FILLED, wrong=token != wanted)
            for token, wanted in zip(answers[:count].tolist(), right[:count], strict=True)
        ]
    if labels is not None or broken:
        lines[RIGHT] = [Cell(symbol(token, group), ink=FILLED) for token in right[:count]]
    rows: list[tuple[Cell | None, ...]] = []
    heads: list[str] = []
    for start in range(0, count, ACROSS):
        end = min(start + ACROSS, count)
        if start:
            rows.append(())
            heads.append("")
        for title, cells in lines.items():
            rows.append(tuple(cells[start:end]))
            heads.append(f"{title} {start + 1}–{end}" if title == PROBLEM else title)
    note = "" if answers is None else remark(rows, broken, known=True)
    return [
        Panel(f"elements of {group.name}, and their products so far", tuple(rows), None, tuple(heads), note)
    ]
