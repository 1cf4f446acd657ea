"""Selection and breadth metrics against the published evaluator."""

import torch

from equilibria.diagnostics.metrics import averaged, most_converged, pass_at
from equilibria.inference.engine import Engine
from equilibria.inference.selection import SELECTIONS
from equilibria.reasoners.interface import Condition, Prediction, ProblemShape, Step


class Replay(torch.nn.Module):
    """A "reasoner" whose logits are a stored trajectory."""

    compute_dtype, max_depth, state_shape = torch.float32, None, (1, 1, 1)

    def __init__(self, trajectory):
        super().__init__()
        self.trajectory = torch.nn.Parameter(trajectory, requires_grad=False)
        _, _, tokens, vocabulary = trajectory.shape
        self.shape = ProblemShape(vocabulary, tokens)

    def encode(self, tokens, identifiers=None):
        return Condition(tokens, tokens)

    def initial_state(self, condition, noise):
        return torch.zeros(len(condition.x), 1, 1, 1)

    def iterate(self, state, condition, *, tracked=None, noise=None):
        return Step(state + 1, residual=torch.ones(len(state)))

    def decode(self, state, condition=None):
        return Prediction(self.trajectory[int(state[0]) - 1])


def test_convergence_scores_and_breadth_metrics(golden, agree):
    case = golden("eqr_eval_metrics")
    puzzles, restarts = case.config["puzzles"], case.config["inits_per_puzzle"]
    top = case.config["convergence_top_k"]
    labels = case["in/labels"]
    # All rows at once: every row is at the same place of the trajectory then.
    engine = Engine(Replay(case["in/logit_trajectory"]), slots=puzzles * restarts)
    (pool,) = engine.pools(labels.clamp(min=0).byte(), depths=(case.config["steps"],), breadth=restarts)
    agree("scores", pool.logit_change, case["out/convergence_scores"], 1e-6)
    assert torch.equal(pool.answers.flatten(0, 1).long(), case["out/preds"])

    asked = labels != -100
    correct = ((pool.answers == labels[:, None]) | ~asked[:, None]).all(dim=-1)
    breadth = case.group("out/metrics/different_init/")
    agree("average", averaged(correct).mean(), breadth["avg_pass_rate"], 1e-12)
    agree("any", pass_at(correct, restarts).mean(), breadth["any_correct"], 1e-12)
    for k in (1, 2, 4):
        agree(f"pass@{k}", pass_at(correct, k).mean(), breadth[f"pass@{k}"], 1e-12)

    winner = SELECTIONS["majority"](pool)
    answer = pool.answers[torch.arange(puzzles), winner]
    right = correct.gather(1, winner[:, None]).double().mean()
    agree("majority", right, breadth["majority_vote_acc"], 1e-12)
    voted = case.group("out/metrics/majority_vote/")
    agree("majority, exact", right, voted["exact_accuracy"], 1e-12)
    cells = ((answer == labels) & asked).sum() / asked.sum()
    agree("majority, cells", cells.double(), voted["accuracy"], 1e-6)

    chosen = most_converged(correct, pool.logit_change, top)
    converged = case.group("out/metrics/convergence_top_k/")
    agree("top-k accuracy", chosen.double().mean(), converged["exact_accuracy"], 1e-12)
    for k in range(1, top + 1):
        got = chosen[:, :k].double().mean()
        agree(f"top-{k}", got, converged[f"cumulative_exact_acc_top{k}"], 1e-12)
    agree("top-k any", chosen.any(dim=1).double().mean(), converged["any_correct"], 1e-12)
    for k in (1, 2):
        agree(f"top-k pass@{k}", pass_at(chosen, k).mean(), converged[f"pass@{k}"], 1e-12)
    lowest = pool.logit_change.sort(dim=1).values[:, :top].double()
    agree("top-k score", lowest.mean(), converged["avg_convergence_score"], 1e-6)
    picked = SELECTIONS["logit-convergence"](pool)
    assert torch.equal(correct.gather(1, picked[:, None]).squeeze(1), chosen[:, 0])
