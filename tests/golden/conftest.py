"""What every parity test of a reasoner does: outputs, losses, gradients, and a rolling batch to run in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from equilibria.dynamics.halting import LearnedHead, Signals
from equilibria.interop import from_published, our_name
from equilibria.reasoners.interface import Condition, Prediction, Reasoner, Step
from equilibria.training.carry import Batch, Carry, fresh_memory
from equilibria.training.losses import answer_loss, is_correct
from equilibria.training.segment import Segment, Supervision, run_segment

STATE, LOSS, GRADIENT = 2e-4, 1e-5, 1e-3


@dataclass(frozen=True)
class Parity:
    """Holds numbers of ours against those of one golden case."""

    agree: Callable[[str, Tensor, Tensor, float], None]

    def outputs(self, case: Any, name: str, state: Tensor, prediction: Prediction) -> None:
        """State and prediction of one iteration, as far as they are stored."""
        streams = {"z_H": 0, "z_L": state.shape[1] - 1, "hidden": 0, "carry_hidden": 0}
        for stream, index in streams.items():
            if f"{name}/{stream}" in case.tensors:
                self.agree(f"{name}/{stream}", state[:, index], case[f"{name}/{stream}"], STATE)
        self.prediction(case.group(f"{name}/"), name, prediction)

    def prediction(self, expected: dict[str, Tensor], name: str, prediction: Prediction) -> None:
        """Logits of the answer and of the halting head."""
        self.agree(f"{name}/logits", prediction.logits.detach(), expected["logits"], STATE)
        halting = {"q_halt_logits": prediction.halt_logit, "q_continue_logits": prediction.continue_logit}
        for what, got in halting.items():
            if what in expected:
                assert got is not None
                self.agree(f"{name}/{what}", got.detach(), expected[what], STATE)

    def losses(self, case: Any, step: Step, prediction: Prediction, labels: Tensor) -> Tensor:
        """Losses of one supervised iteration, summed over the batch as the case has them; the total."""
        correct = is_correct(prediction.logits, labels)
        answer = answer_loss(prediction.logits, labels, "stablemax").sum()
        signals = Signals(torch.ones(len(labels)), halt_logit=prediction.halt_logit, correct=correct)
        halting = LearnedHead(weight=0.5).loss(signals, peek=lambda: signals).sum()
        total = answer + halting if step.penalty is None else answer + halting + step.penalty
        self.outputs(case, "out/train", step.state.detach(), prediction)
        self.agree("lm_loss", answer.detach(), case["out/train/lm_loss"], LOSS)
        self.agree("q_halt_loss", 2 * halting.detach(), case["out/train/q_halt_loss"], LOSS)
        self.agree("total_loss", total.detach(), case["out/train/total_loss"], LOSS)
        if "out/train/seq_is_correct" in case.tensors:
            assert torch.equal(correct, case["out/train/seq_is_correct"])
        return total

    def gradients(
        self, reasoner: Reasoner[Any], expected: dict[str, Tensor], family: str, identity_scale: float = 1.0
    ) -> None:
        """Every gradient; those of identities are stored row by row, some times `identity_scale`."""
        parameters = dict(reasoner.named_parameters())
        table = parameters.pop("embedding.identity.weight", None)
        for published, value in expected.items():
            if published == "inner.puzzle_emb.local_weights":
                assert table is not None and table.grad is not None
                self.agree(published, table.grad._values() * identity_scale, value, GRADIENT)
                continue
            own = parameters.pop(str(our_name(published, family)))
            got = torch.zeros_like(own) if own.grad is None else own.grad
            self.agree(published, got.view_as(value), value, GRADIENT)
        assert not parameters, f"no published gradient for {sorted(parameters)}"


@pytest.fixture
def parity(agree: Callable[[str, Tensor, Tensor, float], None]) -> Parity:
    """Comparisons with the published numbers."""
    return Parity(agree)


@pytest.fixture
def problems() -> Callable[..., Batch]:
    """A batch of stored problems; nothing in it is drawn."""

    def build(inputs: Tensor, targets: Tensor, identifiers: Tensor | None = None) -> Batch:
        zeros = torch.zeros(len(inputs), dtype=torch.int64)
        named = zeros if identifiers is None else identifiers.long()
        return Batch(inputs.long(), targets.long(), zeros, named)

    return build


@pytest.fixture
def fresh() -> Callable[[Reasoner[Any], Supervision, Batch, Tensor], Carry]:
    """A rolling batch whose rows have all just taken their problem and stand at a given state."""

    def build(reasoner: Reasoner[Any], supervision: Supervision, batch: Batch, state: Tensor) -> Carry:
        solver, halting = supervision.solver, supervision.halting
        carry = Carry.free(reasoner, solver, halting, len(state), torch.device("cpu"))
        return carry.refill(batch, state, fresh_memory(solver, halting, state))

    return build


@pytest.fixture
def segment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Segment, list[Prediction]]]:
    """Runs a training segment, and gives beside it every prediction that was made in it, in order."""

    def run(reasoner: Reasoner[Any], carry: Carry, rules: Supervision) -> tuple[Segment, list[Prediction]]:
        predictions: list[Prediction] = []
        decode = type(reasoner).decode

        def listen(state: Tensor, condition: Condition | None = None) -> Prediction:
            predictions.append(decode(reasoner, state, condition))
            return predictions[-1]

        with monkeypatch.context() as patch:
            patch.setattr(reasoner, "decode", listen)
            return run_segment(reasoner, carry, rules), predictions

    return run


@pytest.fixture
def weights_before_sign_sgd() -> Callable[[Any, str], dict[str, Tensor]]:
    """The weights that outputs were computed with."""
    return _weights_before_sign_sgd


def _weights_before_sign_sgd(case: Any, family: str) -> dict[str, Tensor]:
    """Undo the sign-SGD step of the identity table.

    In these files the identity table was stored after its sign-SGD step (it equals `out/signsgd`), while
    outputs and gradients belong to the table before it. The step is invertible up to the last bit. The
    mixer case is chaotic (one bit grows to 2e-3 in three iterations), so where several floats step to
    the stored one, we keep the one that reproduces the first iteration best.
    """
    weights = case.group("weights/")
    after = weights["inner.puzzle_emb.weights"]
    assert torch.equal(after, case["out/signsgd/puzzle_emb_weights_after"])
    rate, decay = case.facts["signsgd"]["lr"], case.facts["signsgd"]["weight_decay"]
    ids = case["in/puzzle_identifiers"].long()
    gradient = torch.zeros_like(after).index_add(0, ids, case["in/signsgd/local_weights_grad"])
    touched = torch.zeros_like(after, dtype=torch.bool)
    touched[ids.unique()] = True

    def step(values: Tensor, signs: Tensor) -> Tensor:
        return values.mul(1 - rate * decay).add_(signs, alpha=-rate)

    reasoner = from_published(family, case.config, weights)
    table = reasoner.embedding.identity.weight.data
    decoded = "out/iter1/z_H" if "out/iter1/z_H" in case.tensors else "out/iter1/z_L"

    def first_iteration_error() -> float:
        condition = reasoner.encode(case["in/inputs"], case["in/puzzle_identifiers"])
        state = reasoner.iterate(reasoner.initial_state(condition, None), condition).state
        return (state[:, 0] - case[decoded]).abs().max().item()

    with torch.no_grad():
        ambiguous = []
        for place in touched.nonzero().tolist():
            sign, stored = gradient[*place].sign(), after[*place]
            exact = ((stored.double() + rate * sign.double()) / (1 - rate * decay)).float()
            nearby = (exact.view(torch.int32) + torch.arange(-3, 4, dtype=torch.int32)).view(torch.float32)
            preimages = nearby[step(nearby, sign.expand(7)) == stored]
            table[*place] = preimages[len(preimages) // 2]
            if len(preimages) > 1:
                ambiguous.append((place, preimages))
        error = first_iteration_error()
        for place, preimages in ambiguous:
            for value in preimages:
                kept = table[*place].item()
                table[*place] = value
                got = first_iteration_error()
                if got < error:
                    error = got
                else:
                    table[*place] = kept
    return weights | {"inner.puzzle_emb.weights": table.clone()}
