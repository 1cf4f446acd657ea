"""The recursive family: EqR, TRM, and their single-stream variant.

Two streams share one module F. A fast stream z_L is refined n times under the slow stream and the
problem, then the slow stream z_H once under the fast one; this cycle is repeated T times per iteration
(EqR Alg. 1). Random initial states, damping λ and path noise β make it EqR; a fixed initial state and
λ = β = 0 make it TRM, with an optional prefix that carries the puzzle's identity.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any, Literal, Self, TypeVar

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from equilibria.distributions import truncated_normal
from equilibria.dynamics.noise import DeferredNormal, NoiseSource, normal
from equilibria.dynamics.relaxation import Relaxation
from equilibria.dynamics.residual import distance
from equilibria.nn.int8 import round_to_int8
from equilibria.nn.level import Level, Module
from equilibria.nn.linear import Linear
from equilibria.reasoners.blocks import BlockConfig, BlockReasoner
from equilibria.reasoners.initial import draw_states
from equilibria.reasoners.interface import Condition, Noise, ProblemShape, Step

SLOW, FAST = 0, 1  # streams of the state; the slow one is decoded


class RecursiveConfig(BlockConfig):
    """Everything that makes one member of the family."""

    family: str = "recursive"
    streams: Literal[1, 2] = 2
    H_cycles: PositiveInt = 3
    """T: slow cycles in one iteration."""
    L_cycles: PositiveInt = 6
    """n: fast updates in one slow cycle."""
    tracked: PositiveInt | None = None
    """Trailing module updates that carry gradient; None: the last slow cycle, n + 1."""
    initial: Literal["gaussian", "fixed", "learned"] = "gaussian"
    """Random per trajectory (EqR's RI), one fixed vector for all tokens and rows (TRM), or predicted from
    the problem by a two-layer network g_φ (EqR Tab. 10)."""
    sigma_H: float = Field(default=1.0, ge=0)
    sigma_L: float = Field(default=1.0, ge=0)
    damping: float = Field(default=0.05, ge=0, lt=1)
    """λ of EqR Eq. 2: the weight of the old state."""
    noise: float = Field(default=0.01, ge=0)
    """β of EqR Eq. 2: the standard deviation of the path noise."""
    noise_learned: bool = False
    """Learn β, one a channel, from `noise` on (EqR Tab. 12)."""

    @model_validator(mode="after")
    def _reachable(self) -> "RecursiveConfig":
        updates = self.H_cycles * (self.L_cycles + 1)
        if self.initial == "learned" and (self.tracked or self.L_cycles + 1) < updates:
            raise ValueError(f"initial: learned is out of reach of gradients; set tracked: {updates} (all)")
        if self.noise_learned and not self.noise:
            raise ValueError("noise_learned: noise must be positive to start from")
        return self


@dataclass(frozen=True)
class Update:
    """One module update: stream `target` ← F(target + sources [+ x])."""

    target: int
    sources: tuple[int, ...]
    conditioned: bool

    def injection(self, streams: list[Tensor], x: Tensor) -> Tensor | None:
        """What is added to the target stream before F sees it, or None."""
        terms = [streams[source] for source in self.sources]
        if self.conditioned:
            terms.append(x)
        return reduce(add, terms) if terms else None


Updates = tuple[Update, ...]
Modules = Sequence[Module]
Draw = Tensor | DeferredNormal


R = TypeVar("R", bound=RecursiveConfig)


def _forget_other_starts(module: nn.Module, weights: dict[str, Any], prefix: str, *_: Any) -> None:
    """A reasoner trained from a fixed or a learned state may be run from random ones: EqR draws its
    restarts so for TRM too. What it started from in training is then of no use."""
    own = module.state_dict(keep_vars=True)
    for name in [
        name for name in weights if name.startswith((f"{prefix}fixed_state", f"{prefix}initial_map."))
    ]:
        if name.removeprefix(prefix) not in own:
            del weights[name]


class Recursion(BlockReasoner[R]):
    """What every member of the family does; which updates make an iteration is said by `slow_cycle`."""

    adjustable = frozenset({"H_cycles", "L_cycles", "tracked", "damping", "noise", "sigma_H", "sigma_L"})

    def __init__(self, config: R, shape: ProblemShape) -> None:
        super().__init__(config, shape)
        self.fixed_state: Tensor | None
        fixed = truncated_normal(torch.rand(config.streams, config.width), 1.0)
        self.register_buffer("fixed_state", fixed if config.initial == "fixed" else None)
        width = config.width
        self.initial_map = (
            nn.Sequential(Linear(width, width), nn.SiLU(), Linear(width, config.streams * width))
            if config.initial == "learned"
            else None
        )
        self.log_noise = (
            nn.Parameter(torch.full((width,), math.log(config.noise))) if config.noise_learned else None
        )
        self.register_load_state_dict_pre_hook(_forget_other_starts)
        self.adjust({})
        self._update = self._eager_update
        self._advance = self._eager_advance
        self._draw_states = draw_states
        self._defers = False

    def adjust(self, changes: Mapping[str, Any]) -> None:
        super().adjust(changes)
        noise = 1.0 if self.config.noise_learned else self.config.noise
        self.relaxation = Relaxation(self.config.damping, noise)
        self.cycle = self.slow_cycle()
        self.updates = self.cycle * self.config.H_cycles

    @abstractmethod
    def slow_cycle(self) -> Updates:
        """The module updates of one slow cycle, in order; an iteration repeats them T times."""

    def levels(self) -> tuple[Level, ...]:
        """The module of each stream."""
        return (self.blocks,) * self.config.streams

    def compiled(self) -> Self:
        """Run every update through `torch.compile` from here on, on the device where it is now.

        The same mathematics, rounded in other places. The first iteration of every batch size, dtype and
        mode (with or without gradient) takes some ten seconds more. Returns self.
        """
        # A GPU waits for memory, so path noise is drawn where it is used; a CPU draws faster word by word.
        self._defers = self.embedding.weight.device.type != "cpu"
        if self._defers:
            self._draw_states = torch.compile(draw_states, dynamic=False)
        # One graph for every batch size, with gradient some more: none may fall back to eager unnoticed.
        self._update = torch.compile(  # pyright: ignore[reportCallIssue]
            self._eager_update, dynamic=False, recompile_limit=64, isolate_recompiles=True
        )
        return self

    def frozen(self, int8: bool = False) -> Self:
        """Compile for inference with the weights as they are now. Returns self.

        They are cast to the compute dtype, packed for the processor and become constants of one graph a
        slow cycle: later changes of the parameters are not seen, and there are no gradients. Like
        `compiled`, it rounds in other places; the first iteration of every batch size takes some 15
        seconds more.

        Args:
            int8: mix channels with 8-bit integers, on CPUs that can: faster again, and coarser. Measure the
                accuracy of your reasoner before you rely on it (`benchmarks/int8.py`).

        Raises:
            EquilibriaError: int8 is not to be had here.
        """
        from torch._inductor import config as inductor  # slow to import, and only this needs it

        constants = deepcopy(self.levels())
        for level in constants:
            level.to(self.compute_dtype).eval().requires_grad_(False)
        if int8:
            for level in set(constants):
                round_to_int8(level)

        def advance(
            streams: list[Tensor], x: Tensor, draws: Sequence[Draw] | None, updates: Updates
        ) -> list[Tensor]:
            return self._eager_advance(constants, streams, x, draws, updates)

        graph = torch.compile(  # pyright: ignore[reportCallIssue]
            advance, dynamic=False, recompile_limit=64, isolate_recompiles=True
        )

        def run(
            modules: Modules, streams: list[Tensor], x: Tensor, draws: Sequence[Draw] | None, updates: Updates
        ) -> list[Tensor]:
            with torch.no_grad(), inductor.patch(freezing=True):
                return graph(streams, x, draws, updates)

        self._advance = run
        return self

    def initial_state(self, condition: Condition, noise: Noise) -> Tensor:
        x, streams = condition.x, self.config.streams
        if self.fixed_state is not None:
            fixed = self.fixed_state.to(x.dtype)[None, :, None, :]
            return fixed.expand(len(x), streams, *x.shape[1:]).contiguous()
        if self.initial_map is not None:
            return self.initial_map(x).unflatten(-1, (streams, -1)).transpose(1, 2).contiguous()
        sigmas = (self.config.sigma_H, self.config.sigma_L)[:streams]
        if isinstance(noise, NoiseSource):
            return self._draw_states(noise, tuple(x.shape[1:]), sigmas, x.dtype)
        if noise is None:
            raise ValueError("a random initial state needs a noise source, or raw draws of the state's shape")
        return noise.to(x) * noise.new_tensor(sigmas).to(x).view(1, -1, 1, 1)

    @property
    def learns_initial_state(self) -> bool:
        return self.initial_map is not None

    def iterate(
        self, state: Tensor, condition: Condition, *, tracked: int | None = None, noise: Noise = None
    ) -> Step:
        """As `Reasoner.iterate`; an iteration is T slow cycles of module updates."""
        kept = self.tracked_updates if tracked is None else tracked
        free = len(self.updates) - min(kept, len(self.updates))
        cycle = len(self.cycle)
        cast = {level: level.cast(condition.x.dtype) for level in set(self.levels())}
        modules = tuple(cast[level] for level in self.levels())
        streams = [stream.contiguous() for stream in state.unbind(1)]
        # Slow cycle by slow cycle, and none across the border where gradients begin.
        for start, stop in pairwise(sorted({0, free, *range(cycle, len(self.updates) + 1, cycle)})):
            draws = self._draws(noise, condition.x, start, stop)
            with torch.set_grad_enabled(torch.is_grad_enabled() and start >= free):
                streams = self._advance(modules, streams, condition.x, draws, self.updates[start:stop])
        after = torch.stack(streams, dim=1)
        return Step(after, residual=distance(after.detach(), state.detach()))

    def _eager_advance(
        self,
        modules: Modules,
        streams: list[Tensor],
        x: Tensor,
        draws: Sequence[Draw] | None,
        updates: Updates,
    ) -> list[Tensor]:
        """Some updates, one after the other; of `draws`, each takes one."""
        streams = list(streams)
        for place, update in enumerate(updates):
            draw = None if draws is None else draws[place]
            injection = update.injection(streams, x)
            z, module = streams[update.target], modules[update.target]
            streams[update.target] = self._update(module, z, injection, draw)
        return streams

    def _eager_update(self, module: Module, z: Tensor, injection: Tensor | None, draw: Draw | None) -> Tensor:
        """`z ← (1 − λ) F(z + injection) + λ z + β draw`, F being `module`."""
        if isinstance(draw, DeferredNormal):
            draw = draw.draw(tuple(z.shape[1:]))
        if draw is not None and self.log_noise is not None:
            draw = draw * self.log_noise.exp().to(draw.dtype)
        return self.relaxation(z, module(z, injection), draw)

    def _draws(self, noise: Noise, like: Tensor, start: int, stop: int) -> Sequence[Draw] | None:
        """Path noise of updates `start` to `stop`, each `[batch, tokens, width]`, or None for none."""
        if noise is None or self.relaxation.noise == 0.0:
            return None
        if isinstance(noise, Tensor):
            return noise[start:stop].to(like.dtype).unbind()
        keys = noise.stream_keys(start, stop)
        if self._defers:
            return [DeferredNormal.of(key, like.dtype) for key in keys]
        draws = normal(keys.flatten(), tuple(like.shape[1:]), like.dtype)
        return draws.unflatten(0, keys.shape).unbind()

    @property
    def tracked_updates(self) -> int:
        """Module updates that carry gradient in training."""
        return self.config.tracked or len(self.cycle)

    @property
    def equivalent_layers(self) -> int:
        return len(self.updates) * self.config.layers

    @property
    def tracked_layers(self) -> int:
        return min(self.tracked_updates, len(self.updates)) * self.config.layers

    @property
    def state_shape(self) -> tuple[int, int, int]:
        return (self.config.streams, self.config.prefix + self.shape.tokens, self.config.width)


class RecursiveReasoner(Recursion[RecursiveConfig]):
    """z_L ← F(z_L; x + z_H) n times, then z_H ← F(z_H; z_L); T times; gradient in the last (EqR Alg. 1)."""

    Config = RecursiveConfig

    def slow_cycle(self) -> Updates:
        """n fast updates and a slow one.

        A single stream plays both parts, and its slow update has nothing injected (TRM's single-z variant).
        """
        if self.config.streams == 1:
            fast, slow = Update(SLOW, (), True), Update(SLOW, (), False)
        else:
            fast, slow = Update(FAST, (SLOW,), True), Update(SLOW, (FAST,), False)
        return (fast,) * self.config.L_cycles + (slow,)
