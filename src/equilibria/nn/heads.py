"""What is read off a state: an answer for every token, and whether to stop."""

import torch
from torch import Tensor, nn

from equilibria.nn.linear import Linear


class HaltHead(nn.Module):
    """Scores "halt" and "continue" from the first token; starts certain of neither (weights 0, biases −5)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = Linear(width, 2, bias=True)
        assert self.score.bias is not None
        with torch.no_grad():
            self.score.weight.zero_()
            self.score.bias.fill_(-5.0)

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """`[batch, tokens, width]` → (halt logit, continue logit), each `[batch]` in float32."""
        assert self.score.bias is not None
        # Row by row and in float32. A matrix product of so few columns rounds otherwise for another number of
        # rows, and a trajectory must end alike whatever runs beside it.
        products = state[:, 0].float()[:, None] * self.score.weight.float()
        halt, go_on = (products.sum(dim=-1) + self.score.bias.float()).unbind(-1)
        return halt, go_on
