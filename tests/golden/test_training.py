"""Losses, initialisation, optimizers and the rolling batch against the published implementations."""

import torch

from equilibria.distributions import truncated_normal
from equilibria.dynamics.halting import LearnedHead
from equilibria.dynamics.noise import NoiseSource
from equilibria.dynamics.solvers import Picard
from equilibria.interop import from_published
from equilibria.training.adam_atan2 import AdamAtan2
from equilibria.training.carry import Batch, Carry, fresh_memory
from equilibria.training.losses import answer_loss, token_loss
from equilibria.training.schedules import SegmentedOnline
from equilibria.training.segment import Supervision, run_segment
from equilibria.training.sign_sgd import SparseSignSGD


def test_stablemax_cross_entropy(golden, agree):
    case = golden("stablemax_cross_entropy")
    logits = case["in/logits"].requires_grad_()
    per_token = token_loss(logits, case["in/labels"], "stablemax")
    agree("per token", per_token.detach(), case["out/per_token_loss"], 1e-10)
    (weighted,) = torch.autograd.grad((case["in/weights_per_token"] * per_token).sum(), logits)
    agree("gradient, weighted", weighted, case["out/grad_logits_weighted_sum"], 1e-6)
    total = answer_loss(logits, case["in/labels"], "stablemax").sum()
    agree("row-mean loss", total.detach(), case["out/lm_loss"], 1e-10)
    (gradient,) = torch.autograd.grad(total, logits)
    agree("gradient, row-mean", gradient, case["out/grad_logits_lm_loss"], 1e-6)


def test_truncated_normal(golden, agree):
    case = golden("trunc_normal_init")
    for std in case["in/stds"].tolist():
        name = f"out/std_{std:.6g}"
        draws = truncated_normal(torch.rand(1_000_000), std).double()
        agree(f"{name} std", draws.std(), torch.tensor(std).double(), 3e-3)
        bound = case[f"{name}/exact_clip_bound"]
        assert draws.abs().max() <= bound * (1 + 1e-5)
        levels = torch.quantile(draws, case["in/quantile_levels"])
        assert (levels - case[f"{name}/exact_quantiles"]).abs().max() < 0.01 * std
        # The map itself is exact: the same quantiles from their levels, without sampling.
        exact = truncated_normal(case["in/quantile_levels"], std)
        agree(f"{name} quantiles", exact, case[f"{name}/exact_quantiles"], 1e-6)


def test_adam_atan2(golden, agree):
    case = golden("adam_atan2")
    weight = torch.nn.Parameter(case["in/param"].clone())
    settings = case.config
    optimizer = AdamAtan2([weight], settings["lr"], tuple(settings["betas"]), settings["weight_decay"])
    for index in range(settings["steps"]):
        optimizer.param_groups[0]["lr"] = case["in/lr_per_step"][index].item()
        weight.grad = case["in/grads"][index]
        optimizer.step()
        agree(f"weight {index}", weight.detach(), case["out/param_after"][index], 1e-14)
        agree(f"m {index}", optimizer.state[weight]["m"], case["out/exp_avg_after"][index], 1e-14)
        agree(f"v {index}", optimizer.state[weight]["v"], case["out/exp_avg_sq_after"][index], 1e-14)


def test_sparse_sign_sgd(golden, agree):
    # The one file whose table was stored before its step (see test_recursive.py).
    case = golden("urm")
    table = torch.nn.Parameter(case["weights/inner.puzzle_emb.weights"].clone())
    rows = case["in/puzzle_identifiers"].long()
    gradient = case["in/signsgd/local_weights_grad"]
    table.grad = torch.sparse_coo_tensor(rows[None], gradient, table.shape, check_invariants=True)
    settings = case.facts["signsgd"]
    SparseSignSGD([table], settings["lr"], settings["weight_decay"]).step()
    agree("table", table.detach(), case["out/signsgd/puzzle_emb_weights_after"], 1e-7)


def test_act_carry(golden, agree, monkeypatch):
    case = golden("eqr_act_carry")
    depth, exploration = case.config["halt_max_steps"], case.config["halt_exploration_prob"]
    reasoner = from_published("eqr", case.config, case.group("weights/"))
    halting = LearnedHead(exploration=exploration)
    rows = case.config["batch_size"]
    carry = Carry.free(reasoner, Picard(), halting, rows, torch.device("cpu"))
    for call in range(1, case.facts["calls"] + 1):
        given, expected = case.group(f"in/step{call}/"), case.group(f"out/step{call}/")
        assert torch.equal(carry.halted, expected["halted_before"])
        # The published integer draw in {2, ..., depth}, as the middle of the interval that maps to it.
        until = (given["randint"].float() - 2 + 0.5) / (depth - 1)
        uniform = torch.stack([given["u"], until], dim=1)
        monkeypatch.setattr(NoiseSource, "uniform", lambda *_, uniform=uniform: uniform)
        zeros = torch.zeros(len(uniform), dtype=torch.int64)
        arriving = Batch(given["inputs"].long(), given["labels"].long(), zeros, zeros)
        fresh = torch.stack([given["z_H_reset"], given["z_L_reset"]], dim=1)
        carry = carry.refill(arriving, fresh, fresh_memory(Picard(), halting, fresh))
        segment = run_segment(reasoner, carry, Supervision(SegmentedOnline(), halting, depth))
        carry = segment.carry
        # The next call resets halted rows in place, and the file was written after it: compare the others.
        kept = slice(None) if call == case.facts["calls"] else ~expected["halted"]
        agree(f"call {call}: z_H", carry.state[kept, 0], expected["z_H"][kept], 2e-4)
        agree(f"call {call}: z_L", carry.state[kept, 1], expected["z_L"][kept], 2e-4)
        agree(f"call {call}: loss", segment.loss.detach(), expected["total_loss"], 1e-5)
        assert torch.equal(carry.halted, expected["halted"])
        assert torch.equal(carry.steps, expected["steps"].long())
        metrics = segment.metrics
        assert metrics["finished"] == expected["metric/count"]
        assert metrics["exact"] == expected["metric/exact_accuracy"]
        assert metrics["halt_right"] == expected["metric/q_halt_accuracy"]
        assert metrics["steps"] == expected["metric/steps"]
        agree(f"call {call}: accuracy", metrics["token_accuracy"], expected["metric/accuracy"], 1e-6)
    # The file holds one buffer of current problems, as the last call left it, under every call's name.
    assert torch.equal(carry.batch.inputs, expected["current_inputs"].long())
    assert torch.equal(carry.batch.targets, expected["current_labels"].long())
