"""EqR as its mathematics is read off the page: what our speed is measured against.

Functions of a model's description and a dict of its weights under their published names. Every weight is
cast to the dtype of the activations at every use, tokens are mixed between two transpositions or by
PyTorch's attention, norms and rotations run in float32 and are left to autograd, and every update draws
fresh noise from the global generator. The optimizer goes parameter by parameter. Nothing of the library is
imported.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

NEW, NOISE = 0.95, 0.01  # weight of the new value in an update; standard deviation of the path noise
DEPTH, EXPLORATION = 16, 0.1  # iterations a row lives at most; chance that it must live to a random one
RATE, WARM_UP, BETAS, DECAY = 1e-4, 2000, (0.9, 0.95), 1.0  # of Adam-atan2
AVERAGE = 0.999  # decay of the moving average of the weights


@dataclass(frozen=True)
class Model:
    """The shape of a published model.

    Attributes:
        vocabulary: token values, pad (0) included.
        tokens: of a problem, a square board row by row.
        width: channels.
        layers: blocks of the map F.
        heads: of attention with rotary positions; None: an MLP mixes the tokens.
        H_cycles: slow cycles of an iteration.
        L_cycles: fast updates of a slow cycle.
    """

    vocabulary: int
    tokens: int
    width: int
    layers: int
    heads: int | None
    H_cycles: int
    L_cycles: int


SUDOKU = Model(vocabulary=11, tokens=81, width=512, layers=2, heads=None, H_cycles=3, L_cycles=6)
MAZE = Model(vocabulary=6, tokens=900, width=128, layers=1, heads=8, H_cycles=3, L_cycles=4)

Weights = Mapping[str, Tensor]
Streams = tuple[Tensor, Tensor]  # z_H and z_L, each [batch, tokens, width]


def inner(size: int) -> int:
    """Inner width of a SwiGLU: eight thirds of its outer one, rounded up to a multiple of 256."""
    return -(-round(4 * size * 2 / 3) // 256) * 256


def weights(model: Model, device: torch.device | None = None) -> dict[str, Tensor]:
    """Random trainable weights: 4,855,298 numbers of the Sudoku model, 263,938 of the maze model."""
    width, tokens = model.width, model.tokens
    shapes = {"inner.embed_tokens.embedding_weight": (model.vocabulary, width)}
    for layer in range(model.layers):
        path = f"inner.L_level.layers.{layer}"
        if model.heads is None:
            shapes[f"{path}.mlp_t.gate_up_proj.weight"] = (2 * inner(tokens), tokens)
            shapes[f"{path}.mlp_t.down_proj.weight"] = (tokens, inner(tokens))
        else:
            shapes[f"{path}.self_attn.qkv_proj.weight"] = (3 * width, width)
            shapes[f"{path}.self_attn.o_proj.weight"] = (width, width)
        shapes[f"{path}.mlp.gate_up_proj.weight"] = (2 * inner(width), width)
        shapes[f"{path}.mlp.down_proj.weight"] = (width, inner(width))
    shapes["inner.lm_head.weight"] = (model.vocabulary, width)
    drawn = {name: truncated_normal(torch.empty(shape), shape[1] ** -0.5) for name, shape in shapes.items()}
    drawn["inner.q_head.weight"] = torch.zeros(2, width)
    drawn["inner.q_head.bias"] = torch.full((2,), -5.0)
    return {name: weight.to(device).requires_grad_() for name, weight in drawn.items()}


def truncated_normal(out: Tensor, std: float = 1.0) -> Tensor:
    """Fill `out` with draws of a normal that is cut at two of its deviations and then has the one wanted."""
    within, scale = math.erf(math.sqrt(2)), 1.1368473 * std
    draws = out.uniform_(-within, within).erfinv_().mul_(math.sqrt(2) * scale)
    return draws.clamp_(-2 * scale, 2 * scale)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """`x Wᵀ`, the weight cast at use."""
    return F.linear(x, weight.to(x.dtype))


def rms_norm(x: Tensor) -> Tensor:
    """Over the last axis, in float32, without a gain."""
    full = x.float()
    return (full * torch.rsqrt(full.square().mean(-1, keepdim=True) + 1e-5)).to(x.dtype)


def swiglu(x: Tensor, weights: Weights, path: str) -> Tensor:
    """`(SiLU(gate) ⊙ value) · down` over the last axis."""
    gate, value = linear(x, weights[f"{path}.gate_up_proj.weight"]).chunk(2, dim=-1)
    return linear(F.silu(gate) * value, weights[f"{path}.down_proj.weight"])


@cache
def turns(tokens: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary angles, each `[tokens, width]` in float32."""
    frequencies = 1.0 / 10_000.0 ** (torch.arange(0, width, 2, device=device) / width)
    angles = torch.outer(torch.arange(tokens, device=device).float(), frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(x: Tensor) -> Tensor:
    """`[batch, heads, tokens, head width]`, each vector turned by its place, in float32."""
    cos, sin = turns(x.shape[-2], x.shape[-1], x.device)
    full = x.float()
    first, second = full.chunk(2, dim=-1)
    return (full * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)


def attention(x: Tensor, weights: Weights, path: str, heads: int) -> Tensor:
    """Softmax attention of all tokens to all tokens, with rotary positions."""
    qkv = linear(x, weights[f"{path}.qkv_proj.weight"]).unflatten(-1, (3, heads, -1))
    query, key, value = (part.transpose(1, 2) for part in qkv.unbind(2))
    mixed = F.scaled_dot_product_attention(rotate(query), rotate(key), value)
    return linear(mixed.transpose(1, 2).flatten(-2), weights[f"{path}.o_proj.weight"])


def module(x: Tensor, weights: Weights, model: Model) -> Tensor:
    """The map F: `[batch, tokens, width]` → the same shape."""
    for layer in range(model.layers):
        path = f"inner.L_level.layers.{layer}"
        if model.heads is None:
            turned = x.transpose(1, 2)
            x = rms_norm(turned + swiglu(turned, weights, f"{path}.mlp_t")).transpose(1, 2)
        else:
            x = rms_norm(x + attention(x, weights, f"{path}.self_attn", model.heads))
        x = rms_norm(x + swiglu(x, weights, f"{path}.mlp"))
    return x


def update(z: Tensor, injected: Tensor, weights: Weights, model: Model, noise: float) -> Tensor:
    """`(1 − λ) z + λ F(z + i) + σ ξ`, λ the weight of the new value."""
    return (1 - NEW) * z + NEW * module(z + injected, weights, model) + noise * torch.randn_like(z)


def cycle(streams: Streams, x: Tensor, weights: Weights, model: Model, noise: float) -> Streams:
    """The fast stream refined under the slow one and the problem, then the slow one once."""
    slow, fast = streams
    for _ in range(model.L_cycles):
        fast = update(fast, slow + x, weights, model, noise)
    return update(slow, fast, weights, model, noise), fast


def embed(tokens: Tensor, weights: Weights, dtype: torch.dtype) -> Tensor:
    """`√width · E[tokens]`."""
    table = weights["inner.embed_tokens.embedding_weight"].to(dtype)
    return math.sqrt(table.shape[1]) * F.embedding(tokens, table)


def heads(slow: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """Answer logits `[batch, tokens, vocabulary]` and the halting logit `[batch]`, read off z_H."""
    bias = weights["inner.q_head.bias"].to(slow.dtype)
    halt = F.linear(slow[:, 0], weights["inner.q_head.weight"].to(slow.dtype), bias)
    return linear(slow, weights["inner.lm_head.weight"]), halt.float()[:, 0]


@torch.no_grad()
def iteration(
    streams: Streams, tokens: Tensor, weights: Weights, model: Model, noise: float = NOISE
) -> tuple[Streams, Tensor, Tensor]:
    """One inference iteration: the new streams, answer logits and halting logit."""
    x = embed(tokens, weights, streams[0].dtype)
    for _ in range(model.H_cycles):
        streams = cycle(streams, x, weights, model, noise)
    return streams, *heads(streams[0], weights)


def stablemax_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """`[batch, tokens, vocabulary]`, `[batch, tokens]` → `[batch, tokens]` in float64."""
    x = logits.double()
    s = torch.where(x < 0, 1 / (1 - x + 1e-30), x + 1)
    return -torch.log(s / s.sum(-1, keepdim=True)).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def segment(
    streams: Streams, tokens: Tensor, targets: Tensor, weights: Weights, model: Model, noise: float = NOISE
) -> tuple[Streams, Tensor, Tensor]:
    """One training segment: the new streams, the loss summed over rows, the halting logit.

    Gradient flows in the last cycle, from the loss; the streams are detached.
    """
    with torch.no_grad():
        x = embed(tokens, weights, streams[0].dtype)
        for _ in range(model.H_cycles - 1):
            streams = cycle(streams, x, weights, model, noise)
    x = embed(tokens, weights, streams[0].dtype)
    slow, fast = cycle(streams, x, weights, model, noise)
    logits, halt = heads(slow, weights)
    answer = stablemax_cross_entropy(logits, targets).mean(dim=1).sum()
    correct = (logits.detach().argmax(-1) == targets).all(dim=1)
    loss = answer + 0.5 * F.binary_cross_entropy_with_logits(halt, correct.float(), reduction="sum")
    return (slow.detach(), fast.detach()), loss, halt.detach()


def sudoku_symmetry(tokens: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Boards `[batch, 81]`, a random symmetry a row: turned over, lines moved, digits renamed."""
    batch, device = len(tokens), tokens.device

    def lines() -> Tensor:
        """Three bands in a random order, and three lines in each: `[batch, 9]`."""
        bands = torch.rand(batch, 3, 1, device=device).argsort(1)
        return (3 * bands + torch.rand(batch, 3, 3, device=device).argsort(2)).flatten(1)

    rows, columns = lines()[:, :, None].expand(-1, -1, 9), lines()[:, None, :].expand(-1, 9, -1)
    digits = torch.rand(batch, 9, device=device).argsort(1) + 2
    names = torch.cat([torch.arange(2, device=device).expand(batch, 2), digits], dim=1)
    turned = torch.rand(batch, 1, 1, device=device) < 0.5

    def image(boards: Tensor) -> Tensor:
        grid = boards.unflatten(1, (9, 9))
        grid = torch.where(turned, grid.transpose(1, 2), grid)
        return names.gather(1, grid.gather(1, rows).gather(2, columns).flatten(1))

    return image(tokens), image(targets)


class Training:
    """Segmented online training: every `step` is one turn of EqR's Algorithm 1. It counts nothing on the way.

    Args:
        model: its shape.
        weights: of it; they are trained in place.
        problems: the training set's tokens and targets, each int64 `[problems, tokens]`.
        batch: rows that are worked on.
        dtype: of activations.
        vary: turns tokens and targets `[batch, tokens]` into equivalent ones; None: as they are.
        noise: standard deviation of the path noise.

    Attributes:
        streams, tokens, targets: what the rows work on.
        steps: `[batch]` iterations each has done; at first they are spread, as in the middle of a run.
        halted: `[batch]` whether a row is free for a new problem.
        average: moving averages of the weights.
    """

    def __init__(
        self,
        model: Model,
        weights: Weights,
        problems: tuple[Tensor, Tensor],
        batch: int,
        dtype: torch.dtype,
        vary: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
        noise: float = NOISE,
    ) -> None:
        self.model, self.weights, self.problems = model, weights, problems
        self.batch, self.dtype, self.vary, self.noise = batch, dtype, vary, noise
        self.device = problems[0].device
        self.streams = self.initial_streams()
        self.tokens, self.targets = self.arriving()
        self.steps = torch.arange(batch, device=self.device) * DEPTH // batch
        self.halted = torch.zeros(batch, dtype=torch.bool, device=self.device)
        self.first = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        self.second = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        self.average = {name: weight.detach().clone() for name, weight in weights.items()}
        self.count = 0

    def arriving(self) -> tuple[Tensor, Tensor]:
        """A problem for every row."""
        chosen = torch.randint(len(self.problems[0]), (self.batch,), device=self.device)
        tokens, targets = self.problems[0][chosen], self.problems[1][chosen]
        return self.vary(tokens, targets) if self.vary else (tokens, targets)

    def initial_streams(self) -> Streams:
        """A state for every row to start from, drawn in the dtype of activations as published."""
        shape = (self.batch, self.model.tokens, self.model.width)
        slow, fast = (torch.empty(shape, dtype=self.dtype, device=self.device) for _ in range(2))
        return truncated_normal(slow), truncated_normal(fast)

    def step(self) -> None:
        """Free rows take new problems, all rows advance by a segment, its loss moves the weights."""
        self.refill()
        self.streams, loss, halt = segment(
            self.streams, self.tokens, self.targets, self.weights, self.model, self.noise
        )
        (loss / self.batch).backward()
        self.move()
        self.steps = self.steps + 1
        explores = torch.rand(self.batch, device=self.device) < EXPLORATION
        until = torch.randint(2, DEPTH + 1, (self.batch,), device=self.device)
        done = (self.steps >= DEPTH) | (halt > 0)
        self.halted = done & (self.steps >= torch.where(explores, until, 0))

    def refill(self) -> None:
        """A `where` on everything a row holds."""
        tokens, targets = self.arriving()
        self.tokens = torch.where(self.halted[:, None], tokens, self.tokens)
        self.targets = torch.where(self.halted[:, None], targets, self.targets)
        slow, fast = self.initial_streams()
        free = self.halted[:, None, None]
        self.streams = torch.where(free, slow, self.streams[0]), torch.where(free, fast, self.streams[1])
        self.steps = torch.where(self.halted, 0, self.steps)

    @torch.no_grad()
    def move(self) -> None:
        """Adam-atan2 with decoupled decay, then the averages; gradients are spent."""
        self.count += 1
        rate = RATE * min(1.0, self.count / WARM_UP)
        mean_share, square_share = (1 - beta**self.count for beta in BETAS)
        for name, weight in self.weights.items():
            weight.mul_(1 - rate * DECAY)
            mean, square = self.first[name], self.second[name]
            mean.mul_(BETAS[0]).add_(weight.grad, alpha=1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(weight.grad, weight.grad, value=1 - BETAS[1])
            weight.sub_(torch.atan2(mean, (square / square_share).sqrt()), alpha=rate / mean_share)
            weight.grad = None
        for name, weight in self.weights.items():
            self.average[name].mul_(AVERAGE).add_(weight, alpha=1 - AVERAGE)
