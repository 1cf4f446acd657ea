"""Word problems of a finite group: what all elements so far multiply to, after each of them."""

from equilibria.tasks.permutations.group import Group, group
from equilibria.tasks.permutations.metrics import final_state_right, prefix_accuracy, prefix_right
from equilibria.tasks.permutations.rows import draw_rows, products
from equilibria.tasks.permutations.task import Permutations

__all__ = [
    "Group",
    "Permutations",
    "draw_rows",
    "final_state_right",
    "group",
    "prefix_accuracy",
    "prefix_right",
    "products",
]
