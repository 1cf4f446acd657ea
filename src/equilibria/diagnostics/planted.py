"""Reasoners whose landscape is known because it was planted, to hold diagnostics against the truth.

Nothing is trained. A state has one coordinate, the marker, whose interval [0, 1) is cut into *cells*. Each
cell has a centre, and a cell that comes next; an iteration takes the state from around the one centre to
around the other,

    z ↦ c_next + A (z − c),

so a cell that is its own successor holds a fixed point, and a ring of p of them a cycle of p states. The
marker starts uniformly distributed and contracts towards the middle of its cell: so the mass of a basin is
the width of its cells, exactly, and the eigenvalues of the Jacobian are those of A and the marker's own.
Which answer a centre decodes to is planted too. In cells that *wander* nothing settles: every coordinate
follows a chaotic map.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from equilibria.dynamics.noise import NoiseSource
from equilibria.dynamics.residual import distance
from equilibria.errors import RecipeError
from equilibria.reasoners.interface import (
    Condition,
    Noise,
    Prediction,
    ProblemShape,
    Reasoner,
    ReasonerConfig,
    Step,
)

_INITIAL, _MARKER, _PATH = range(3)  # streams of draws
_CHAOS = 1.9
"""u ↦ 1 − a u² is chaotic there, and stays in [−1, 1]."""
MARKER = 0.25
"""Eigenvalue of the marker, an iteration."""
HEIGHT = 4.0
"""Logit of the planted answer at a centre; those of other values are near 0."""


@dataclass(frozen=True)
class Basin:
    """A planted attractor, or a part of the space without one.

    Attributes:
        mass: share of initial states that it draws; the masses of a landscape sum to 1.
        answers: what its states decode to, one answer a phase (`[tokens]` each); so their number is the
            period.
        eigenvalues: leading ones of A: reals, and one of each complex pair. The others are smaller.
        wanders: no attractor: restarts that start here never settle.
    """

    mass: float
    answers: tuple[tuple[int, ...], ...]
    eigenvalues: tuple[complex, ...] = (0.5,)
    wanders: bool = False

    @property
    def period(self) -> int:
        """States of the attractor."""
        return len(self.answers)

    @property
    def radius(self) -> float:
        """Spectral radius of the Jacobian over a lap, the marker's eigenvalue included."""
        return max(MARKER, *(abs(value) for value in self.eigenvalues)) ** self.period


class PlantedConfig(ReasonerConfig):
    """What is planted, the size of a state, and the noise along a path."""

    family: str = "equilibria.diagnostics.planted"
    basins: tuple[Basin, ...]
    width: int = 8
    noise: float = 0.0
    """β: standard deviation of the path noise on everything but the marker."""
    seed: int = 0
    """Of the centres, and of the directions that eigenvalues belong to."""


class PlantedReasoner(Reasoner[PlantedConfig]):
    """One landscape, the same for every problem."""

    Config = PlantedConfig

    def __init__(self, config: PlantedConfig, shape: ProblemShape) -> None:
        """Plant it.

        Raises:
            RecipeError: masses do not sum to 1, or the width has no room for the values.
        """
        super().__init__(config, shape)
        total = math.fsum(basin.mass for basin in config.basins)
        if abs(total - 1) > 1e-9:
            raise RecipeError(f"the masses of all basins must sum to 1, not {total:g}")
        if config.width < shape.vocabulary + 1:
            raise RecipeError(
                f"width must be at least {shape.vocabulary + 1}: a channel a value, and the marker"
            )
        generator = torch.Generator().manual_seed(config.seed)
        elements = shape.tokens * config.width
        centres, edges, following, basin_of = list[Tensor](), [0.0], list[int](), list[int]()
        for number, basin in enumerate(config.basins):
            first = len(centres)
            for phase, answer in enumerate(basin.answers):
                centres.append(self._centre(answer, generator))
                edges.append(edges[-1] + basin.mass / basin.period)
                following.append(first + (phase + 1) % basin.period)
                basin_of.append(number)
        matrices = [_matrix(basin.eigenvalues, elements - 1, generator) for basin in config.basins]
        self.centres = nn.Parameter(torch.stack(centres), requires_grad=False)  # [cells, elements − 1]
        self.matrices = nn.Parameter(torch.stack(matrices), requires_grad=False)  # one a basin
        edges[-1] = 1.0  # whatever the sum was rounded to
        self.edges = nn.Parameter(torch.tensor(edges, dtype=torch.float64), requires_grad=False)
        self.following = nn.Parameter(torch.tensor(following), requires_grad=False)
        self.basin_of = nn.Parameter(torch.tensor(basin_of), requires_grad=False)

    def _centre(self, answer: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """A state that decodes to an answer, the marker (the last element) left out."""
        values = torch.randn(self.shape.tokens, self.config.width, generator=generator, dtype=torch.float64)
        values[:, : self.shape.vocabulary] = 0
        values[torch.arange(self.shape.tokens), torch.tensor(answer)] = HEIGHT
        return values.flatten()[:-1]

    def encode(self, tokens: Tensor, identifiers: Tensor | None = None) -> Condition:
        """Nothing of the problem is read but its size."""
        x = torch.zeros(*tokens.shape, self.config.width, dtype=self.compute_dtype, device=tokens.device)
        return Condition(x, tokens)

    def initial_state(self, condition: Condition, noise: Noise) -> Tensor:
        """Normal, and the marker uniform."""
        if not isinstance(noise, NoiseSource):
            raise ValueError("a planted reasoner starts from draws of a noise source")
        x = condition.x
        state = noise.normal(_INITIAL, (1, *x.shape[1:]), x.dtype)
        state[:, 0, -1, -1] = noise.uniform(_MARKER, 1)[:, 0].to(x.dtype)
        return state

    def iterate(
        self, state: Tensor, condition: Condition, *, tracked: int | None = None, noise: Noise = None
    ) -> Step:
        """One step: from around the centre of a cell to around that of the next."""
        flat = state.flatten(1)
        z, marker = flat[:, :-1], flat[:, -1]
        place = torch.bucketize(marker.detach().double(), self.edges, right=True) - 1
        cell = place.clamp(0, len(self.centres) - 1)
        following, at_home = self.following[cell], self.basin_of[cell]
        away = z - self.centres[cell].to(z)
        moved = torch.zeros_like(away)
        for number, (basin, matrix) in enumerate(zip(self.config.basins, self.matrices, strict=True)):
            here = 1 - _CHAOS * away.clamp(-1, 1).square() if basin.wanders else away @ matrix.T.to(z)
            moved = torch.where((at_home == number)[:, None], here, moved)
        after = self.centres[following].to(z) + moved
        if isinstance(noise, NoiseSource) and self.config.noise:
            after = after + self.config.noise * noise.normal(_PATH, tuple(after.shape[1:]), after.dtype)
        middle = (self.edges[:-1] + self.edges[1:]).to(z) / 2
        marked = middle[following] + MARKER * (marker - middle[cell])
        state_after = torch.cat([after, marked[:, None]], dim=1).view_as(state)
        return Step(state_after, residual=distance(state_after.detach(), state.detach()))

    def decode(self, state: Tensor, condition: Condition | None = None) -> Prediction:
        """The first channels of a token are its logits."""
        return Prediction(state[:, 0, :, : self.shape.vocabulary])

    @property
    def equivalent_layers(self) -> int:
        return 1

    @property
    def tracked_layers(self) -> int:
        return 1

    @property
    def state_shape(self) -> tuple[int, int, int]:
        return (1, self.shape.tokens, self.config.width)


def _matrix(eigenvalues: tuple[complex, ...], size: int, generator: torch.Generator) -> Tensor:
    """A normal matrix `[size, size]` of these eigenvalues and smaller ones, in a random orthonormal basis."""
    blocks = [_block(complex(value)) for value in eigenvalues]
    filled = sum(map(len, blocks))
    smaller = 0.7 * min(abs(value) for value in eigenvalues)
    rest = smaller * (2 * torch.rand(size - filled, generator=generator, dtype=torch.float64) - 1)
    draws = torch.randn(size, size, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(draws).Q
    return basis @ torch.block_diag(*blocks, rest.diag()) @ basis.T


def _block(value: complex) -> Tensor:
    """A real matrix with an eigenvalue and its conjugate: 1×1 or 2×2."""
    if not value.imag:
        return torch.tensor([[value.real]], dtype=torch.float64)
    return torch.tensor([[value.real, -value.imag], [value.imag, value.real]], dtype=torch.float64)
