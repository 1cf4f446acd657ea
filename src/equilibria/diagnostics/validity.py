"""Which answers are right though the label names another one, as the checker of the task says."""

import torch
from torch import Tensor

from equilibria.tasks.interface import Task


def valid_answers(task: Task, inputs: Tensor, answers: Tensor) -> Tensor | None:
    """Whether each of several answers to each problem keeps all rules of the task.

    Equal answers to equal problems are checked once. What a problem does not ask for does not count.

    Args:
        task: knows the rules.
        inputs: `[problems, tokens]`, on the CPU.
        answers: `[problems, restarts, tokens]`, on the CPU.

    Returns:
        bool `[problems, restarts]`; None where the label is the one right answer, so that nobody has to look.
    """
    if not task.ambiguous:
        return None
    shape = answers.shape[:2]
    given = inputs.repeat_interleave(shape[1], dim=0)
    said = answers.flatten(0, 1).masked_fill(~task.asked(given), 0)
    first: dict[bytes, int] = {}  # where a pair of problem and answer stands for the first time
    pairs = torch.cat([given, said], dim=1).numpy()
    stands = torch.tensor([first.setdefault(pair.tobytes(), row) for row, pair in enumerate(pairs)])
    rows = torch.tensor(list(first.values()))
    right = torch.zeros(len(stands), dtype=torch.bool)
    right[rows] = task.valid(given[rows], said[rows])
    return right[stands].view(shape)
