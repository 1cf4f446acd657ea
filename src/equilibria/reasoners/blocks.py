"""What families built from reasoning blocks share: the way in, the blocks, the way out."""

from typing import Literal, TypeVar

from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from equilibria.nn.attention import Attention
from equilibria.nn.block import Norm, ReasoningBlock
from equilibria.nn.convolution import BoardConvolution, SequenceConvolution
from equilibria.nn.embedding import TokenEmbedding
from equilibria.nn.heads import HaltHead
from equilibria.nn.level import Level, Placement
from equilibria.nn.linear import Linear
from equilibria.nn.residual_scale import ResidualScale, ScaleMode
from equilibria.nn.rotary import BoardRotary, Rotary, SequenceRotary
from equilibria.nn.swiglu import ConvolutionalSwiGLU, Gate, SwiGLU, TokenMixer, inner_width
from equilibria.reasoners.interface import (
    Condition,
    Prediction,
    ProblemShape,
    Reasoner,
    ReasonerConfig,
)


class BlockConfig(ReasonerConfig):
    """How wide a reasoning block is and how it mixes tokens."""

    width: PositiveInt = 512
    heads: PositiveInt = 8
    layers: PositiveInt = 2
    mixing: Literal["mlp", "attention"] = "mlp"
    positions: Literal["none", "rope", "rope2d", "learned"] = "none"
    rope_theta: float = 10_000.0
    expansion: float = 4.0
    channel_inner: PositiveInt | None = None
    """Inner width of the channel SwiGLU; None: the published rule (`inner_width`)."""
    token_inner: PositiveInt | None = None
    """Inner width of the token SwiGLU; None: the published rule."""
    gate: Gate = "silu"
    """How gate and value meet: SiLU as published, or bounded, which Muon prefers."""
    channel_convolution: PositiveInt | None = None
    """Taps of a convolution over tokens inside the channel SwiGLU (URM: 2); None: none."""
    causal: bool = False
    """Attention looks back only."""
    temperature: float = Field(default=1.0, gt=0)
    """By which attention scores are divided."""
    norm: Norm = "post"
    """Where a block normalises: after the residual sum, before a sub-layer, or before and after it."""
    norm_placement: Placement = "none"
    """One more norm: on what enters a level, on what leaves it, or none."""
    normalize_injection: bool = False
    residual_scale: ScaleMode = "none"
    """α of the residual stream and of the state where the problem is mixed in (FPRM): none, fixed numbers,
    learned a channel, or computed from the input."""
    scale_outer_only: bool = False
    """Scale where the problem is mixed in, and not the sub-layers."""
    alpha_1: float = Field(default=0.75, gt=0, lt=1)
    alpha_2: float = Field(default=0.25, gt=0, lt=1)
    """Scales at the start of training."""
    convolution: Literal["none", "sequence", "board"] = "none"
    """What replaces the tokens of the state at the start of a level: a look back along the sequence, or a
    square neighbourhood on the board."""
    convolution_kernel: PositiveInt = 4
    convolution_bias: bool = False
    prefix: int = Field(default=0, ge=0)
    """Slots before the board for the puzzle's identity (TRM: 16). 0: no identity, as EqR."""
    identity_width: PositiveInt | None = None
    """Width of an identity vector; None: the width of the reasoner."""

    @model_validator(mode="after")
    def _consistent(self) -> "BlockConfig":
        if self.mixing == "attention" and self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be a multiple of 2 x heads = {2 * self.heads}")
        if self.mixing == "mlp" and self.positions in ("rope", "rope2d"):
            raise ValueError("positions: rotary positions need mixing: attention (token MLPs know places)")
        if self.mixing == "mlp" and (self.causal or self.temperature != 1.0):
            raise ValueError("causal, temperature: a token MLP mixes all tokens; they need mixing: attention")
        if self.convolution == "board" and self.convolution_kernel % 2 == 0:
            raise ValueError(f"convolution_kernel: on a board it must be odd, not {self.convolution_kernel}")
        if self.positions == "rope2d" and self.prefix:
            raise ValueError("positions: rope2d covers the board only; set prefix: 0 or use rope")
        if self.prefix and (self.identity_width or 0) > self.prefix * self.width:
            raise ValueError(f"identity_width {self.identity_width} does not fit {self.prefix} prefix slots")
        return self


def rotary(config: BlockConfig, shape: ProblemShape) -> Rotary | None:
    """The position encoding of the attention blocks, shared by all of them."""
    head_width = config.width // config.heads
    if config.positions == "rope":
        return SequenceRotary(config.prefix + shape.tokens, head_width, config.rope_theta)
    if config.positions == "rope2d":
        if shape.board is None:
            raise ValueError("positions: rope2d needs a task whose tokens are a board")
        return BoardRotary(shape.board, head_width, config.rope_theta)
    return None


def convolution(config: BlockConfig, shape: ProblemShape) -> SequenceConvolution | BoardConvolution | None:
    """What a level begins with, or None."""
    kernel, bias = config.convolution_kernel, config.convolution_bias
    if config.convolution == "sequence":
        return SequenceConvolution(config.width, kernel, look_back=kernel - 1, bias=bias)
    if config.convolution == "board":
        if shape.board is None or 1 in shape.board:
            raise ValueError("convolution: board needs a task whose tokens are a board; use sequence")
        return BoardConvolution(shape.board, config.width, kernel, bias=bias)
    return None


def level(config: BlockConfig, shape: ProblemShape) -> Level:
    """The module F: `config.layers` distinct reasoning blocks and what surrounds them."""
    tokens = config.prefix + shape.tokens
    places = rotary(config, shape)

    def token_mixing() -> Attention | TokenMixer:
        if config.mixing == "attention":
            return Attention(
                config.width, config.heads, places, causal=config.causal, temperature=config.temperature
            )
        return TokenMixer(tokens, config.token_inner or inner_width(tokens, config.expansion), config.gate)

    def channel_mixing() -> SwiGLU:
        inner = config.channel_inner or inner_width(config.width, config.expansion)
        if config.channel_convolution:
            return ConvolutionalSwiGLU(config.width, inner, config.gate, kernel=config.channel_convolution)
        return SwiGLU(config.width, inner, config.gate)

    scale = None
    if config.residual_scale != "none":
        scale = ResidualScale(
            config.residual_scale,
            config.width,
            2 * config.layers,
            config.alpha_1,
            config.alpha_2,
            outer_only=config.scale_outer_only,
        )
    return Level(
        (ReasoningBlock(token_mixing(), channel_mixing(), config.norm) for _ in range(config.layers)),
        convolution=convolution(config, shape),
        scale=scale,
        placement=config.norm_placement,
        normalize_injection=config.normalize_injection,
        prefix=config.prefix,
    )


B = TypeVar("B", bound=BlockConfig)


class BlockReasoner(Reasoner[B]):
    """Embeds tokens behind an optional identity prefix; reads answer and halting score off stream 0."""

    def __init__(self, config: B, shape: ProblemShape) -> None:
        super().__init__(config, shape)
        self.embedding = TokenEmbedding(
            shape.vocabulary,
            shape.tokens,
            config.width,
            prefix=config.prefix,
            identifiers=shape.identifiers,
            identity_width=config.identity_width or config.width,
            learned_positions=config.positions == "learned",
        )
        self.blocks = level(config, shape)
        self.answer_head = Linear(config.width, shape.vocabulary)
        self.halt_head = HaltHead(config.width)

    def encode(self, tokens: Tensor, identifiers: Tensor | None = None) -> Condition:
        return Condition(self.embedding(tokens, identifiers, self.compute_dtype), tokens, self.config.prefix)

    def decode(self, state: Tensor, condition: Condition | None = None) -> Prediction:
        decoded = state[:, 0]
        halt, go_on = self.halt_head(decoded)
        return Prediction(self.answer_head(decoded[:, self.config.prefix :]), halt, go_on)

    def identity_parameters(self) -> list[nn.Parameter]:
        return [] if self.embedding.identity is None else list(self.embedding.identity.parameters())

    def undecayed_parameters(self) -> list[nn.Parameter]:
        levels = [part for part in self.modules() if isinstance(part, ResidualScale)]
        return [logit for scale in levels for logit in scale.logits()]
