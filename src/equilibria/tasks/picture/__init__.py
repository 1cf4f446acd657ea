"""Pictures of problems and their answers: what they show is plain data, which `drawing` draws."""

from equilibria.tasks.picture.board import board_panels
from equilibria.tasks.picture.panel import ANSWER, FILLED, PROBLEM, RIGHT, Cell, Panel, remark

__all__ = ["ANSWER", "FILLED", "PROBLEM", "RIGHT", "Cell", "Panel", "board_panels", "remark"]
