"""FPRM against its published implementation: evaluation, windows, the rolling batch, every variant."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from equilibria.dynamics.halting import AnyOf, LearnedHead, Residual
from equilibria.dynamics.noise import NoiseSource
from equilibria.dynamics.solvers import PatienceDamped
from equilibria.interop import from_published, our_name, translate_config
from equilibria.reasoners.advance import Position, Rollout
from equilibria.reasoners.blocks import level
from equilibria.reasoners.interface import ProblemShape
from equilibria.training.carry import Carry, fresh_memory
from equilibria.training.losses import answer_loss
from equilibria.training.schedules import SegmentedOnline
from equilibria.training.segment import Supervision

CASES = ["fprm_sudoku", "fprm_maze", "fprm_causal"]
STATE, LOSS, RESIDUAL = 2e-4, 1e-5, 1e-4
MEMORY = {"residual": "residues", "best": "best_residues"}
EXACT = {"patience": "patience", "step_size": "stepsize"}


def solver(case, mode):
    config = case.config
    return PatienceDamped(
        step_size=config["stepsize"],
        decay=config[f"stepsize_decay_{mode}"],
        patience=config["decay_patience"],
        threshold=config["fp_thresh"],
    )


def supervision(case):
    """Windows of K iterations; rows leave at rest, and the halting head is trained beside that."""
    window, weight = case.config["n_backwards_L"], case.config["q_loss_coeff"]
    rest = Residual(tolerance=case.config["fp_thresh"])
    halting = AnyOf(of=(rest, LearnedHead(acts=False, weight=weight)))
    depth = window * case.config["max_iter"]  # the published cap counts windows
    return Supervision(SegmentedOnline(iterations=window), halting, depth, solver=solver(case, "train"))


def check_solver(agree, name, memory, expected):
    for ours, published in MEMORY.items():
        assert_close(memory[ours], expected[published], rtol=RESIDUAL, atol=0)
        agree(f"{name}/{published}", memory[ours], expected[published], RESIDUAL)
    for ours, published in EXACT.items():
        assert torch.equal(memory[ours], expected[published].flatten()), f"{name}: {ours}"


@pytest.mark.parametrize("name", CASES)
def test_evaluation(name, golden, parity, agree):
    case = golden(name)
    reasoner = from_published("fprm", case.config, case.group("weights/"))
    expected = case.group("out/eval/")
    rule = Residual(tolerance=case.config["fp_thresh"])
    with torch.no_grad():
        condition = reasoner.encode(case["in/inputs"], case["in/puzzle_identifiers"])
        agree("x", condition.x, expected["x"], STATE)
        state, own = case["in/y0"][:, None], solver(case, "eval")
        noise = NoiseSource(torch.zeros(len(state), dtype=torch.int64))
        rollout = Rollout(reasoner, own, condition, noise)
        position = Position(state, own.init(state))
        for call in range(case.facts["calls"]["eval"]):
            advance = rollout(position, call)
            position = advance.position
            now = {key: value[call] for key, value in expected.items() if key != "x"}
            prediction = reasoner.decode(position.state, condition)
            agree(f"call {call}: y", position.state[:, 0], now["y"], STATE)
            parity.prediction(now, f"call {call}", prediction)
            check_solver(agree, f"call {call}", position.memory, now)
            # The published evaluation stops the batch as one, by its largest residual and step size.
            steps = now["iter_idx"].long()
            signals = advance.signals(prediction, steps)
            assert signals.residual is not None
            assert signals.step_size is not None
            largest = replace(
                signals,
                residual=signals.residual.amax().expand(len(steps)),
                step_size=signals.step_size.amax().expand(len(steps)),
            )
            halted, _ = rule.halts(largest, {})
            spent = steps >= case.config["max_iter_eval"]
            assert torch.equal((halted | spent).int(), now["halted"])


@pytest.mark.parametrize("name", CASES)
def test_two_windows(name, golden, parity, agree, problems, fresh, segment):
    case = golden(name)
    reasoner = from_published("fprm", case.config, case.group("weights/"))
    rules, labels = supervision(case), case["in/labels"].long()
    batch = problems(case["in/inputs"], labels, case["in/puzzle_identifiers"])
    carry = fresh(reasoner, rules, batch, case["in/y0"][:, None])
    for window, gradients in (("train", "grad"), ("train2", "grad2")):
        expected = case.group(f"out/{window}/")
        reasoner.zero_grad()
        done, (now,) = segment(reasoner, carry, rules)
        done.loss.backward()
        carry = done.carry
        agree(f"{window}: y", carry.state[:, 0], expected["y"], STATE)
        parity.prediction(expected, window, now)
        assert torch.equal(now.logits.argmax(-1).int(), expected["preds"])
        check_solver(agree, window, carry.memory, expected)
        answer = answer_loss(now.logits, labels, "stablemax").sum().detach()
        agree(f"{window}: lm_loss", answer, expected["lm_loss"], LOSS)
        agree(f"{window}: total", done.loss.detach(), expected["total"], LOSS)
        assert torch.equal(carry.halted.int(), expected["halted"])
        assert torch.equal(carry.steps.int(), expected["iter_idx"])
        parity.gradients(reasoner, case.group(f"out/{gradients}/"), "fprm")
        # The next window goes on with the same rows, halted or not.
        carry = replace(carry, halted=torch.zeros_like(carry.halted))


@pytest.mark.parametrize("name", CASES)
def test_rolling_batch(name, golden, parity, agree, problems, segment):
    case = golden(name)
    reasoner = from_published("fprm", case.config, case.group("weights/"))
    rules, window = supervision(case), case.config["n_backwards_L"]
    rows = case.config["batch_size"]
    carry = Carry.free(reasoner, rules.solver, rules.halting, rows, torch.device("cpu"))
    for call in range(case.facts["calls"]["carry"]):
        given = {key: value[call] for key, value in case.group("in/carry/").items()}
        expected = {key: value[call] for key, value in case.group("out/carry/").items()}
        arriving = problems(given["inputs"], given["labels"], given["puzzle_identifiers"])
        start = given["draws"][:, None]
        carry = carry.refill(arriving, start, fresh_memory(rules.solver, rules.halting, start))
        done, (now,) = segment(reasoner, carry, rules)
        carry = done.carry
        agree(f"call {call}: y", carry.state[:, 0], expected["y"], STATE)
        parity.prediction(expected, f"call {call}", now)
        check_solver(agree, f"call {call}", carry.memory, expected)
        assert torch.equal(carry.halted.int(), expected["halted"])
        assert torch.equal(carry.steps.int(), expected["iter_idx"])
        assert torch.equal(carry.steps.int(), window * expected["steps"])  # the published code counts windows
        assert torch.equal(carry.batch.inputs.int(), expected["current/inputs"])
        assert torch.equal(carry.batch.targets.int(), expected["current/labels"])
        assert torch.equal(carry.batch.identifiers.int(), expected["current/puzzle_identifiers"])
        agree(f"call {call}: total", done.loss.detach(), expected["total"], LOSS)
        metrics = done.metrics
        assert metrics["finished"] == expected["metrics/count"]
        assert metrics["exact"] == expected["metrics/sequence_accuracy"]
        assert metrics["halt_right"] == expected["metrics/q_halt_accuracy"]
        assert metrics["steps"] == window * expected["metrics/steps"]
        agree(f"call {call}: accuracy", metrics["token_accuracy"], expected["metrics/accuracy"], 1e-6)


def test_a_changed_suffix_leaves_the_answers_before_it(golden, agree):
    case = golden("fprm_causal")
    reasoner = from_published("fprm", case.config, case.group("weights/"))
    changed = case["in/inputs"] != case["in/causality/inputs"]
    same = int(changed.any(dim=0).nonzero()[0])
    answers = {}
    for what, inputs in (("logits", "in/causality/inputs"), ("logits_original", "in/inputs")):
        with torch.no_grad():
            condition = reasoner.encode(case[inputs])
            state = case["in/y0"][:, None]
            for _ in range(case.config["n_backwards_L"]):
                state = reasoner.iterate(state, condition).state
            answers[what] = reasoner.decode(state).logits
        agree(what, answers[what], case[f"out/causality/{what}"], STATE)
    first, second = answers.values()
    assert torch.equal(first[:, :same], second[:, :same])
    assert not torch.equal(first[:, same:], second[:, same:])


def test_every_variant_of_the_level(golden, agree):
    case = golden("fprm_variants")
    side = round(case.config["seq_len"] ** 0.5)
    shape = ProblemShape(7, case.config["seq_len"], (side, side))
    weights = case.group("weights/")
    for name, variant in case.facts["variants"].items():
        options = case.config | variant
        options |= {"pos_encodings": "rope" if variant["rope"] else "none"}
        options |= {"init_std": 1.0, "puzzle_emb_ndim": case.config["hidden_size"]}
        own = level(translate_config("fprm", options), shape)
        found = {}
        for published, value in weights.items():
            kind, _, rest = published.partition(".")
            if kind in ("conv1d", "conv2d"):
                if kind != variant["conv_type"]:
                    continue
                published = f"conv.{rest}"
            ours = our_name(f"inner.L_level.{published}", "fprm").removeprefix("blocks.")
            if ours in own.state_dict():
                found[ours] = value.squeeze(1) if rest == "weight" and kind.startswith("conv") else value
        if variant["residual_scale"] == "fixed":  # numbers of the options, not among the weights
            alphas = {"scale.alpha_1": "alpha_1_init", "scale.alpha_2": "alpha_2_init"}
            found |= {ours: torch.tensor(case.config[option]) for ours, option in alphas.items()}
        own.load_state_dict(found, strict=True)
        with torch.no_grad():
            agree(name, own(case["in/z"], case["in/x"]), case[f"out/{name}"], STATE)
