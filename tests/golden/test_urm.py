"""URM against numbers from its published implementation; training goes through the rolling batch."""

import torch
import torch.nn.functional as F

from equilibria.dynamics.halting import LearnedHead
from equilibria.interop import from_published
from equilibria.training.losses import answer_loss, is_correct
from equilibria.training.schedules import SegmentedOnline
from equilibria.training.segment import Supervision


def test_convolutional_swiglu(golden, agree):
    case = golden("urm")
    reasoner = from_published("urm", case.config, case.group("weights/"))
    first = next(iter(reasoner.blocks))
    agree("mlp", first.channel_mixing(case["in/mlp_x"]).detach(), case["out/mlp_y"], 2e-4)


def test_urm(golden, parity, agree, problems, fresh, segment):
    # The one file whose table was stored before its sign-SGD step (see test_training.py for the step).
    case = golden("urm")
    reasoner = from_published("urm", case.config, case.group("weights/"))
    condition = reasoner.encode(case["in/inputs"], case["in/puzzle_identifiers"])
    start = state = reasoner.initial_state(condition, None)
    with torch.no_grad():
        for k in range(1, case.facts["K"] + 1):
            state = reasoner.iterate(state, condition).state
            parity.outputs(case, f"out/iter{k}", state, reasoner.decode(state))
            state = case[f"out/iter{k}/hidden"][:, None]

    supervision = Supervision(SegmentedOnline(), LearnedHead(exploration=0.0), case.config["loops"])
    labels = case["in/labels"].long()
    batch = problems(case["in/inputs"], labels, case["in/puzzle_identifiers"])
    done, (now,) = segment(reasoner, fresh(reasoner, supervision, batch, start), supervision)
    done.loss.backward()

    expected = case.group("out/train/")
    parity.outputs(case, "out/train", done.carry.state, now)
    answer = answer_loss(now.logits, labels, "stablemax").sum().detach()
    agree("lm_loss", answer, expected["lm_loss"], 1e-5)
    correct = is_correct(now.logits, labels)
    assert correct.tolist() == [False, False, True]  # the last row's labels are the model's own answer
    halt = F.binary_cross_entropy_with_logits(now.halt_logit, correct.float(), reduction="sum").detach()
    agree("q_halt_loss", halt, expected["q_halt_loss"], 1e-5)
    agree("total_loss", done.loss.detach(), expected["total_loss"], 1e-5)
    assert torch.equal(done.carry.steps, expected["steps"].long())
    parity.gradients(reasoner, case.group("out/grad/"), "urm")
