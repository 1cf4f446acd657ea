"""HRM against numbers from its published implementation; training goes through the rolling batch."""

import torch
import torch.nn.functional as F

from equilibria.dynamics.halting import QLearning
from equilibria.interop import from_published
from equilibria.training.losses import answer_loss, is_correct
from equilibria.training.schedules import SegmentedOnline
from equilibria.training.segment import Supervision


def test_hrm(golden, parity, agree, problems, fresh, segment, weights_before_sign_sgd):
    case = golden("hrm")
    reasoner = from_published("hrm", case.config, weights_before_sign_sgd(case, "hrm"))
    condition = reasoner.encode(case["in/inputs"], case["in/puzzle_identifiers"])
    start = state = reasoner.initial_state(condition, None)
    with torch.no_grad():
        for k in range(1, case.facts["K"] + 1):
            state = reasoner.iterate(state, condition).state
            parity.outputs(case, f"out/iter{k}", state, reasoner.decode(state))
            state = torch.stack([case[f"out/iter{k}/z_H"], case[f"out/iter{k}/z_L"]], dim=1)

    halting = QLearning(exploration=case.config["halt_exploration_prob"])
    supervision = Supervision(SegmentedOnline(), halting, case.config["halt_max_steps"])
    labels = case["in/labels"].long()
    batch = problems(case["in/inputs"], labels, case["in/puzzle_identifiers"])
    done, (now, later) = segment(reasoner, fresh(reasoner, supervision, batch, start), supervision)
    done.loss.backward()

    expected = case.group("out/train/")
    parity.prediction(expected, "out/train", now)
    answer = answer_loss(now.logits, labels, "stablemax").sum().detach()
    agree("lm_loss", answer, expected["lm_loss"], 1e-5)
    correct = is_correct(now.logits, labels).float()
    halt = F.binary_cross_entropy_with_logits(now.halt_logit, correct, reduction="sum").detach()
    agree("q_halt_loss", halt, expected["q_halt_loss"], 1e-5)
    target = torch.sigmoid(torch.maximum(later.halt_logit, later.continue_logit))
    agree("target_q_continue", target, expected["target_q_continue"], 2e-4)
    go_on = 2 * (done.loss.detach() - answer) - halt  # what `QLearning.loss` added for the second value
    agree("q_continue_loss", go_on, expected["q_continue_loss"].double(), 1e-5)
    agree("total_loss", done.loss.detach(), expected["total_loss"], 1e-5)
    assert torch.equal(done.carry.halted, expected["halted"])
    assert torch.equal(done.carry.steps, expected["steps"].long())
    parity.gradients(reasoner, case.group("out/grad/"), "hrm", identity_scale=1 / len(labels))
