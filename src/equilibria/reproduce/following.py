"""Trajectories run to a budget without halting, and what a halting rule would have seen at every iteration.

Where halting is only looked at afterwards, one pass answers for every rule, and the accuracy beyond the point
of halting is known, too.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from equilibria.diagnostics.metrics import exactly_right
from equilibria.dynamics.noise import NoiseSource, fingerprint
from equilibria.pipeline import Pipeline
from equilibria.reasoners.advance import Position, Rollout
from equilibria.tasks import Problems

BATCH = 250  # problems side by side


@dataclass(frozen=True)
class Followed:
    """Every tensor is `[iterations, problems]`, on the CPU.

    Attributes:
        right: bool: exactly right after so many iterations, the first being 1.
        residual: of that iteration, in the norm of the solver.
        halt_logit: the halting head's score; NaN where there is no head.
    """

    right: Tensor
    residual: Tensor
    halt_logit: Tensor

    def of(self, problems: Tensor) -> "Followed":
        """Some problems: an index or a mask over them."""
        return Followed(self.right[:, problems], self.residual[:, problems], self.halt_logit[:, problems])

    def accuracy(self) -> list[float]:
        """Share that is right after every iteration, in percent."""
        return (100 * self.right.double().mean(dim=1)).tolist()


@torch.inference_mode()
def follow(pipeline: Pipeline, problems: Problems, iterations: int, seed: int = 0) -> Followed:
    """Run every problem for so many iterations, under the solver of its recipe's inference."""
    assert problems.labels is not None
    reasoner = pipeline.reasoner
    device = next(reasoner.parameters()).device
    parts: list[Followed] = []
    for start in range(0, len(problems), BATCH):
        some = problems[start : start + BATCH]
        assert some.labels is not None
        inputs, labels = some.inputs.to(device), some.labels.to(device)
        condition = reasoner.encode(inputs, None if some.identifiers is None else some.identifiers.to(device))
        noise = NoiseSource.trajectories(seed, fingerprint(inputs), 0)
        state = reasoner.initial_state(condition, noise)
        solver = pipeline.recipe.solver
        rollout = Rollout(reasoner, solver, condition, noise)
        position = Position(state, solver.init(state))
        seen: list[tuple[Tensor, Tensor, Tensor]] = []
        for iteration in range(iterations):
            advance = rollout(position, iteration)
            position = advance.position
            prediction = reasoner.decode(advance.answer, condition)
            right = exactly_right(prediction.logits.argmax(dim=-1), labels)
            logit = prediction.halt_logit
            score = torch.full_like(advance.residual, torch.nan) if logit is None else logit.float()
            seen.append((right, advance.residual.float(), score))
        parts.append(Followed(*(torch.stack(values).cpu() for values in zip(*seen, strict=True))))
    return Followed(
        *(
            torch.cat([getattr(part, name) for part in parts], dim=1)
            for name in ("right", "residual", "halt_logit")
        )
    )


def first(signal: Tensor) -> int | None:
    """The first iteration, from 1, of which `signal [iterations]` is true; None: of none."""
    places = signal.nonzero()
    return int(places[0]) + 1 if len(places) else None
