"""The Attractor puzzle model (TRM-DEQ) against numbers from its published implementation.

The published solver loses its history: entries are written by rotating all m slots and overwriting the
last, but read from the first ones. With m = 2 that does no harm, and our solver must agree; with m = 5 the
numbers are those of the defect, which lives here and not in the library.
"""

from dataclasses import replace

import pytest
import torch

from equilibria.dynamics.solve import Solution, solve
from equilibria.dynamics.solvers import Anderson
from equilibria.interop import from_published

STATE = 2e-4


def losing_anderson(f, start, *, window, mixing, ridge, tolerance, max_iterations, min_iterations):
    """Anderson acceleration as published: (last iterate that f was given, evaluations, residual of it)."""
    x = start.flatten(1)
    inputs, values = x.new_zeros(len(x), window, x.shape[1]), x.new_zeros(len(x), window, x.shape[1])

    def image(z):
        return f(z.view_as(start)).flatten(1)

    inputs[:, 0], values[:, 0] = x, image(x)
    inputs[:, 1] = x = values[:, 0].clone()
    values[:, 1] = value = image(x)
    count = 2
    for k in range(2, max_iterations):
        n = min(k, window)
        gap = values[:, :n] - inputs[:, :n]
        system = x.new_zeros(len(x), n + 1, n + 1)
        system[:, 0, 1:] = system[:, 1:, 0] = 1.0
        system[:, 1:, 1:] = gap @ gap.mT + ridge * torch.eye(n)
        wanted = x.new_zeros(len(x), n + 1, 1)
        wanted[:, 0] = 1.0
        try:
            alpha = torch.linalg.solve(system, wanted)[:, 1:].mT
        except torch.linalg.LinAlgError:  # exactly singular: the published solve ends here
            break
        x = (mixing * alpha @ values[:, :n] + (1 - mixing) * alpha @ inputs[:, :n])[:, 0]
        value = image(x)
        inputs = torch.cat([inputs[:, 1:], x[:, None]], dim=1)
        values = torch.cat([values[:, 1:], value[:, None]], dim=1)
        count = k + 1
        if count >= min_iterations and relative(value, x).max() < tolerance:
            break
    return x.view_as(start), count, relative(value, x).max()


def relative(value, x):
    """The published residual: of the image, not of the iterate."""
    return (value - x).flatten(1).norm(dim=1) / value.flatten(1).norm(dim=1)


class Watched:
    """A way to the root that notes where each solve started and ended.

    As published, a solve gives back the last iterate that f was given, not its image.
    """

    def __init__(self, config, *, losing):
        self.config, self.losing = config, losing
        self.starts, self.ends, self.evaluations, self.residuals = [], [], [], []

    def __call__(self, f, start):
        config = self.config
        limits = {
            "tolerance": config.tolerance,
            "max_iterations": config.max_iterations,
            "min_iterations": config.min_iterations,
        }
        own = config.solver
        if self.losing:
            settings = {"window": own.window, "mixing": own.mixing, "ridge": own.ridge}
            end, count, residual = losing_anderson(f, start, **settings, **limits)
            iterations = torch.full((len(start),), count)
            nobody = torch.zeros(len(start), dtype=torch.bool)
            solution = Solution(end, residual.expand(len(start), 1), iterations, nobody, nobody, {})
        else:
            given = []

            def listening(z):
                given.append(z)
                return f(z)

            solution = solve(listening, start, replace(own, restart=False), together=True, **limits)
            assert not solution.diverged.any()
            assert not solution.settled.any()  # the norms differ, and neither lets a row of this file rest
            end, count, residual = given[-1], len(given), relative(f(given[-1]), given[-1]).max()
            assert solution.iterations.tolist() == [count] * len(start)
            solution = replace(solution, state=end)
        self.starts.append(start)
        self.ends.append(end)
        self.evaluations.append(count)
        self.residuals.append(residual)
        return solution


@pytest.mark.parametrize(
    ("name", "losing"),
    [
        ("attractor_puzzle_m2", False),
        ("attractor_puzzle_m2", True),
        ("attractor_puzzle_m5_as_published", True),
        ("attractor_puzzle_m5_degenerate", True),
    ],
)
def test_attractor_puzzle(name, losing, golden, parity, agree):
    case = golden(name)
    reasoner = from_published("attractor_puzzle", case.config, case.group("weights/")).eval()
    assert isinstance(reasoner.config.solver, Anderson)
    condition = reasoner.encode(case["in/inputs"], case["in/puzzle_identifiers"])
    start = state = reasoner.initial_state(condition, None)
    with torch.no_grad():
        for k in range(1, case.facts["K"] + 1):
            watched = reasoner.find_root = Watched(reasoner.config, losing=losing)
            state = reasoner.iterate(state, condition).state
            for place, logged in enumerate(case.facts["solver_log"][f"iter{k}"]):
                stored = case.group(f"out/iter{k}/solve{place + 1}/")
                agree(f"iter{k}, solve {place}: start", watched.starts[place], stored["z_L_start"], STATE)
                got, expected = watched.ends[place], stored["z_L_solver_output"]
                # Where the defect leads to zero, numbers are rounding; what matters is their size beside 1.
                if expected.abs().max() < 1e-2:
                    assert (got - expected).abs().max() < STATE
                else:
                    agree(f"iter{k}, solve {place}: end", got, expected, STATE)
                assert watched.evaluations[place] == logged["iters"]
                agree(
                    f"iter{k}, solve {place}: residual",
                    watched.residuals[place].double(),
                    torch.tensor(logged["rel_residual"]).double(),
                    1e-3,
                )
            parity.outputs(case, f"out/iter{k}", state, reasoner.decode(state))
            # From where the published trajectory stands: rounding grows along the way.
            state = torch.stack([case[f"out/iter{k}/z_H"], case[f"out/iter{k}/z_L"]], dim=1)

    reasoner.train()
    reasoner.find_root = Watched(reasoner.config, losing=losing)
    step = reasoner.iterate(start, condition, noise=case["in/train/jacobian_probe_normal"])
    penalty = step.penalty.detach() / case.config["jacobian_reg_lambda"]
    agree("jacobian_reg", penalty, case["out/train/jacobian_reg"], 1e-4)
    parity.losses(case, step, reasoner.decode(step.state, condition), case["in/labels"].long()).backward()
    parity.gradients(reasoner, case.group("out/grad/"), "attractor_puzzle")
