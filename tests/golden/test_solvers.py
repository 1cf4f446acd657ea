"""Solvers against the published ones: which states they evaluate, how often, and where they end."""

import pytest
import torch

from equilibria.dynamics.solve import solve
from equilibria.dynamics.solvers import Anderson, PatienceDamped, Picard

FIRST = 10  # evaluations: later ones compound the rounding of small systems


def test_solvers_of_attractor_models(golden, agree):
    case = golden("anderson")
    weight, bias, c = case["in/W"], case["in/b"], case["in/c"]
    for name, facts in case.facts["counts"].items():
        kind, _, setting = name.partition("/")
        tolerance = float(setting.rpartition("tol")[2])
        if kind == "fpi":
            solver, least = Picard(norm="relative-l2"), 1
        else:
            # The published solver tests residuals from the third evaluation on, never restarts, and its ridge
            # is absolute.
            solver = Anderson(mixing=float(kind.rpartition("beta")[2]), restart=False, scaled=False)
            least = 8 if setting.startswith("min_iter8") else 3
        asked: list[torch.Tensor] = []

        def f(y, asked=asked):
            asked.append(y)
            return torch.tanh(y @ weight.T + bias + c)

        limits = {"tolerance": tolerance, "max_iterations": case.config["max_iter"], "min_iterations": least}
        solution = solve(f, case["in/y0"], solver, together=True, **limits)
        assert solution.iterations.tolist() == [facts["iters"]] * 3, name
        assert solution.settled.all()
        inputs, published = torch.stack(asked)[:FIRST], case[f"out/{name}/eval_inputs"][:FIRST]
        agree(f"{name}: first states", inputs, published, 1e-4)
        agree(f"{name}: y*", solution.state, case[f"out/{name}/y_star"], 1e-4)
        residuals = case[f"out/{name}/rel_residuals"][:FIRST].T
        agree(f"{name}: residuals", solution.residuals[:, : residuals.shape[1]], residuals, 1e-3)


def drive(solver, z, proposals):
    """Memories and states after each step; `proposals(state, t)` gives f."""
    memory, states, memories = solver.init(z), [], []
    for t in range(12):
        z, memory, residual = solver.step(lambda state, t=t: proposals(state, t), z, memory)
        assert torch.equal(residual, memory["residual"])
        states.append(z)
        memories.append(memory)
    return torch.stack(states), {name: torch.stack([m[name] for m in memories]) for name in memory}


@pytest.mark.parametrize("mode", ["train", "eval", "driven"])
def test_fixed_point_optimizer(mode, golden, agree):
    case = golden("fpopt")
    config = case.config
    solver = PatienceDamped(
        step_size=config["stepsize"],
        decay=config["stepsize_decay_eval" if mode == "eval" else "stepsize_decay_train"],
        patience=config["decay_patience"],
        threshold=config["fp_thresh"],
    )
    if mode == "driven":
        z0, given = case["in/driven/z0"], case["in/driven/proposals"]
        states, memory = drive(solver, z0, lambda _, t: given[t])
    else:
        a, c = case["in/A"], case["in/c"]
        states, memory = drive(solver, case["in/z0"], lambda z, _: c + (z - c) @ a.mT)
    agree("states", states, case[f"out/{mode}/y"], 2e-4)
    agree("residuals", memory["residual"], case[f"out/{mode}/residues"], 1e-4)
    agree("best residuals", memory["best"], case[f"out/{mode}/best_residues"], 1e-4)
    assert torch.equal(memory["patience"], case[f"out/{mode}/patience"])
    agree("step sizes", memory["step_size"], case[f"out/{mode}/stepsize"], 1e-6)


@pytest.mark.parametrize("decay", ["0.9", "0.95", "0.99", "0.997", "0.999"])
def test_step_sizes_in_bfloat16(decay, golden):
    """As published, they round; ours stay in float32 unless asked."""
    expected = golden("fpopt")[f"out/bf16_stepsize/{decay}"]
    z = torch.ones(1, 1, 2, dtype=torch.bfloat16)
    solver = PatienceDamped(decay=float(decay), patience=1, threshold=0.0, state_dtype=True)
    memory, got = solver.init(z), []
    for _ in range(len(expected) + 1):
        # The residual of this f never improves: every step after the first decays.
        z, memory, _ = solver.step(lambda state: torch.full_like(state, -1e4), torch.ones_like(z), memory)
        got.append(memory["step_size"].float())
    assert torch.equal(torch.cat(got[1:]), expected)
    exact = PatienceDamped(decay=float(decay), patience=1, threshold=0.0)
    assert exact.init(z)["step_size"].dtype == torch.float32
