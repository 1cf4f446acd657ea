"""Gradients through equilibria against those of Attractor's code, of torchdeq, and of a dense solve."""

import pytest
import torch

from equilibria.dynamics.gradients import Gradient, Implicit, Neumann, OneStep, Phantom

LEAVES = ("W", "b", "c")
# Both stop anywhere below the tolerance 1e-6, absolute there and relative here.
SOLVED = {"torchdeq/ift_fixed_point": 1e-5, "torchdeq/ift_anderson": 1e-5}
SAME = 1e-6  # the same sums in another order


def rule_for(name: str, setting) -> Gradient:
    """Ours for one of theirs."""
    if "bw_type" in setting:
        if setting["bw_type"] == "onestep":
            return Neumann(terms=2, clip=setting["adjoint_clip"])
        return Implicit(
            solver=setting["bw_type"],
            window=setting["anderson_m"],
            mixing=setting["anderson_beta"],
            # As published: an absolute ridge, no restarts, and Anderson's test from its third evaluation on.
            scaled=False,
            restart=False,
            tolerance=setting["bw_tol"],
            max_iterations=setting["bw_max_iter"],
            min_iterations=max(setting["bw_min_iter"], 3 if setting["bw_type"] == "anderson" else 1),
            together=True,
        )
    if "grad" in setting:
        # Their τ weighs the new state.
        return Phantom(steps=setting["grad"], damping=1.0 - setting["tau"])
    solver = "anderson" if setting["b_solver"] == "anderson" else "picard"
    return Implicit(solver=solver, tolerance=setting["b_tol"], max_iterations=setting["b_max_iter"])


def gradients(case, rule: Gradient, y, dtype=torch.float32):
    """The equilibrium that a rule gives back, and gradients of `sum(w · y*)` by W, b and c."""
    leaves = {name: case[f"in/{name}"].to(dtype).requires_grad_() for name in LEAVES}

    def f(y):
        return torch.tanh(y @ leaves["W"].T + leaves["b"] + leaves["c"])

    rested = rule.attach(f, y)
    found = torch.autograd.grad((case["in/w"].to(dtype) * rested).sum(), list(leaves.values()))
    return rested.detach(), dict(zip(leaves, found, strict=True))


def test_published_rules(golden, agree):
    case = golden("implicit_gradients")
    assert case.config["settings"], "a file of no settings"
    for name, setting in case.config["settings"].items():
        rested, found = gradients(case, rule_for(name, setting), case["in/y_star"])
        for leaf in LEAVES:
            agree(f"{name}: {leaf}", found[leaf], case[f"out/{name}/grad_{leaf}"], SOLVED.get(name, SAME))
        if f"out/{name}/z" in case.tensors:
            agree(f"{name}: z", rested, case[f"out/{name}/z"], SAME)


@pytest.mark.parametrize("solver", ["picard", "anderson"])
def test_exact_gradients(solver, golden, agree):
    """Float32 from the stored equilibrium, as a recipe has it by default; and float64 to the last digits."""
    case = golden("implicit_gradients")
    rested, found = gradients(case, Implicit(solver=solver, max_iterations=400), case["in/y_star"])
    agree("y*", rested, case["out/exact/y_star"], 1e-6)
    exact = Implicit(solver=solver, tolerance=1e-14, max_iterations=400)
    y = case["out/exact/y_star"]
    _, closer = gradients(case, exact, y, torch.float64)
    for leaf in LEAVES:
        agree(f"float32: {leaf}", found[leaf], case[f"out/exact/grad_{leaf}"], 1e-5)
        agree(f"float64: {leaf}", closer[leaf], case[f"out/exact/grad_{leaf}"], 1e-11)


def test_the_first_term_is_one_step(golden):
    """`onestep` of Attractor's code is not the one step that other papers mean."""
    case = golden("implicit_gradients")
    _, jacobian_free = gradients(case, OneStep(), case["in/y_star"])
    _, phantom = gradients(case, Phantom(steps=1), case["in/y_star"])
    for leaf in LEAVES:
        assert torch.equal(jacobian_free[leaf], phantom[leaf])
        distance = (jacobian_free[leaf] - case[f"out/attractor/onestep/grad_{leaf}"]).abs().max()
        assert distance > 0.05 * jacobian_free[leaf].abs().max()
