"""EqR's Sudoku iteration as its mathematics is read off the page: what our speed is measured against.

Functions of a dict of weights under their published names. Every weight is cast to the dtype of the
activations at every use, tokens are mixed between two transpositions, norms run in float32 and are left to
autograd, and every update draws fresh noise from the global generator. Nothing of the library is imported.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VOCABULARY, TOKENS, WIDTH = 11, 81, 512
LAYERS, TOKEN_INNER, CHANNEL_INNER = 2, 256, 1536
H_CYCLES, L_CYCLES = 3, 6
NEW, NOISE = 0.95, 0.01  # weight of the new value in an update; standard deviation of the path noise

Weights = Mapping[str, Tensor]
Streams = tuple[Tensor, Tensor]  # z_H and z_L, each [batch, tokens, width]


def weights(width: int = WIDTH) -> dict[str, Tensor]:
    """Random trainable weights of the published Sudoku model: 4,855,298 numbers at its width."""
    inner = 3 * width
    shapes = {"inner.embed_tokens.embedding_weight": (VOCABULARY, width)}
    for layer in range(LAYERS):
        path = f"inner.L_level.layers.{layer}"
        shapes[f"{path}.mlp_t.gate_up_proj.weight"] = (2 * TOKEN_INNER, TOKENS)
        shapes[f"{path}.mlp_t.down_proj.weight"] = (TOKENS, TOKEN_INNER)
        shapes[f"{path}.mlp.gate_up_proj.weight"] = (2 * inner, width)
        shapes[f"{path}.mlp.down_proj.weight"] = (width, inner)
    shapes["inner.lm_head.weight"] = (VOCABULARY, width)
    drawn = {}
    for name, shape in shapes.items():
        std = 1 / math.sqrt(shape[1])
        drawn[name] = nn.init.trunc_normal_(
            torch.empty(shape), std=1.137 * std, a=-2.274 * std, b=2.274 * std
        )
    drawn["inner.q_head.weight"] = torch.zeros(2, width)
    drawn["inner.q_head.bias"] = torch.full((2,), -5.0)
    return {name: weight.requires_grad_() for name, weight in drawn.items()}


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """`x Wᵀ`, the weight cast at use."""
    return F.linear(x, weight.to(x.dtype))


def rms_norm(x: Tensor) -> Tensor:
    """Over the last axis, in float32, without a gain."""
    full = x.float()
    return (full * torch.rsqrt(full.square().mean(-1, keepdim=True) + 1e-5)).to(x.dtype)


def swiglu(x: Tensor, model: Weights, path: str) -> Tensor:
    """`(SiLU(gate) ⊙ value) · down` over the last axis."""
    gate, value = linear(x, model[f"{path}.gate_up_proj.weight"]).chunk(2, dim=-1)
    return linear(F.silu(gate) * value, model[f"{path}.down_proj.weight"])


def module(x: Tensor, model: Weights) -> Tensor:
    """The map F: `[batch, tokens, width]` → the same shape."""
    for layer in range(LAYERS):
        path = f"inner.L_level.layers.{layer}"
        turned = x.transpose(1, 2)
        turned = rms_norm(turned + swiglu(turned, model, f"{path}.mlp_t"))
        x = turned.transpose(1, 2)
        x = rms_norm(x + swiglu(x, model, f"{path}.mlp"))
    return x


def update(z: Tensor, injected: Tensor, model: Weights, noise: float) -> Tensor:
    """`(1 − λ) z + λ F(z + i) + σ ξ`, λ the weight of the new value."""
    return (1 - NEW) * z + NEW * module(z + injected, model) + noise * torch.randn_like(z)


def cycle(streams: Streams, x: Tensor, model: Weights, noise: float) -> Streams:
    """The fast stream refined under the slow one and the problem, then the slow one once."""
    slow, fast = streams
    for _ in range(L_CYCLES):
        fast = update(fast, slow + x, model, noise)
    return update(slow, fast, model, noise), fast


def embed(tokens: Tensor, model: Weights, dtype: torch.dtype) -> Tensor:
    """`√width · E[tokens]`."""
    table = model["inner.embed_tokens.embedding_weight"].to(dtype)
    return math.sqrt(table.shape[1]) * F.embedding(tokens, table)


def heads(slow: Tensor, model: Weights) -> tuple[Tensor, Tensor]:
    """Answer logits `[batch, tokens, vocabulary]` and the halting logit `[batch]`, read off z_H."""
    bias = model["inner.q_head.bias"].to(slow.dtype)
    halt = F.linear(slow[:, 0], model["inner.q_head.weight"].to(slow.dtype), bias)
    return linear(slow, model["inner.lm_head.weight"]), halt.float()[:, 0]


@torch.no_grad()
def iteration(
    streams: Streams, tokens: Tensor, model: Weights, noise: float = NOISE
) -> tuple[Streams, Tensor, Tensor]:
    """One inference iteration: the new streams, answer logits and halting logit."""
    x = embed(tokens, model, streams[0].dtype)
    for _ in range(H_CYCLES):
        streams = cycle(streams, x, model, noise)
    return streams, *heads(streams[0], model)


def stablemax_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """`[batch, tokens, vocabulary]`, `[batch, tokens]` → `[batch, tokens]` in float64."""
    x = logits.double()
    s = torch.where(x < 0, 1 / (1 - x + 1e-30), x + 1)
    return -torch.log(s / s.sum(-1, keepdim=True)).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def segment(
    streams: Streams, tokens: Tensor, targets: Tensor, model: Weights, noise: float = NOISE
) -> tuple[Streams, Tensor]:
    """One training segment, backward pass included: the new streams and the loss; weights gain gradients."""
    with torch.no_grad():
        x = embed(tokens, model, streams[0].dtype)
        for _ in range(H_CYCLES - 1):
            streams = cycle(streams, x, model, noise)
    x = embed(tokens, model, streams[0].dtype)
    streams = cycle(streams, x, model, noise)
    logits, halt = heads(streams[0], model)
    answer = stablemax_cross_entropy(logits, targets).mean(dim=1).sum()
    correct = (logits.detach().argmax(-1) == targets).all(dim=1)
    loss = answer + 0.5 * F.binary_cross_entropy_with_logits(halt, correct.float(), reduction="sum")
    loss.backward()
    return (streams[0].detach(), streams[1].detach()), loss.detach()
