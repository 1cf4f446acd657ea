"""One pass, every budget within it: against a replayed pool whose every answer is known."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from equilibria.diagnostics.evaluation import evaluate
from equilibria.diagnostics.metrics import auroc, interval, path_independence
from equilibria.dynamics.halting import LearnedHead
from equilibria.errors import DataError
from equilibria.inference.engine import Engine
from equilibria.reasoners.interface import ProblemShape
from equilibria.reasoners.recursive import RecursiveConfig, RecursiveReasoner
from equilibria.tasks.interface import Problems

COUNT, TOKENS, DEPTHS, BREADTHS = 24, 3, (1, 2, 5), (1, 2, 4)
SELECTED = {"average", "pass", "convergence", "logit-convergence", "majority", "agreement", "halting"}


@pytest.fixture
def engine():
    config = RecursiveConfig(
        width=8, heads=2, layers=1, channel_inner=8, token_inner=8, H_cycles=1, L_cycles=1, damping=0.5
    )
    reasoner = RecursiveReasoner(config, ProblemShape(vocabulary=4, tokens=TOKENS)).eval()
    torch.nn.init.normal_(reasoner.halt_head.score.weight)
    return Engine(reasoner)


def ends(engine, inputs, depth, breadth=4):
    (pool,) = engine.pools(inputs, depths=(depth,), breadth=breadth)
    return pool


@pytest.fixture
def problems(engine):
    """Labels that some restarts get right: each is the answer of one restart, partly without a score."""
    inputs = torch.randint(0, 4, (COUNT, TOKENS), dtype=torch.uint8)
    answers = ends(engine, inputs, 5).answers
    labels = answers[torch.arange(COUNT), torch.arange(COUNT) % 4].clone()
    labels[: COUNT // 2, 0] = 0
    sources = tuple("ab"[place % 2] for place in range(COUNT))
    ratings = torch.tensor([0.0, 0.5, 1.0, 4.0, 5.0, 7.0, 19.0, 20.0, 99.0, 100.0, 1e6, 3.5] * 2)
    return Problems(inputs, labels, sources, ratings)


def right(engine, problems, depth):
    pool = ends(engine, problems.inputs, depth)
    wanted = problems.labels[:, None]
    return pool, ((pool.answers == wanted) | (wanted == 0)).all(dim=-1)


def run(engine, problems, **options):
    return evaluate(engine, problems, depths=DEPTHS, breadths=BREADTHS, **options)


def test_every_budget_and_selection_has_its_row(engine, problems):
    result = run(engine, problems)
    rows = [row for row in result.rows if row.source == row.rating == "all"]
    whole = {(row.depth, row.breadth, row.selection) for row in rows}
    assert len(rows) == len(whole)
    expected = {(depth, 1, "average") for depth in DEPTHS}
    expected |= {(depth, breadth, name) for depth in DEPTHS for breadth in (2, 4) for name in SELECTED}
    # A single iteration has no change of logits to judge by.
    expected -= {(1, breadth, "logit-convergence") for breadth in (2, 4)}
    assert whole == expected


def test_budgets_are_read_off_the_first_restarts_of_one_pool(engine, problems):
    result = run(engine, problems)
    for depth in DEPTHS:
        pool, correct = right(engine, problems, depth)
        for breadth in (2, 4):
            part = correct[:, :breadth]
            row = result.row(depth, breadth, "average")
            assert row.exact_accuracy == pytest.approx(part.double().mean().item())
            assert row.ci95 == interval(row.exact_accuracy, COUNT)
            assert row.problems == COUNT
            assert row.nfe_mean == depth * breadth
            assert result.row(depth, breadth, "pass").exact_accuracy == part.any(1).double().mean().item()
            best = pool.residual[:, :breadth].argmin(dim=1)
            chosen = part[torch.arange(COUNT), best].double().mean().item()
            assert result.row(depth, breadth, "convergence").exact_accuracy == chosen
        assert result.path_independence[depth] == path_independence(correct)
        assert result.auroc[depth] == pytest.approx(auroc(pool.residual, correct), nan_ok=True)
        assert result.residual[depth] == pytest.approx(pool.residual.mean().item())
    accuracies = {row.exact_accuracy for row in result.rows}
    assert len(accuracies) > 5  # the labels make a difference


def test_a_budget_alone_scores_as_within_a_larger_one(engine, problems):
    result = run(engine, problems)
    alone = evaluate(engine, problems, depths=(2,), breadths=(2,))
    for row in alone.rows:
        same = result.row(2, 2, row.selection, row.source, row.rating)
        assert (row.exact_accuracy, row.nfe_mean, row.problems) == (
            same.exact_accuracy,
            same.nfe_mean,
            same.problems,
        )


def test_sources_and_ratings_split_the_problems(engine, problems):
    result = run(engine, problems)
    at_once = [row for row in result.rows if (row.depth, row.breadth, row.selection) == (5, 1, "average")]
    sources = {row.source: row.problems for row in at_once if row.rating == "all"}
    assert sources == {"all": 24, "a": 12, "b": 12}
    ratings = {row.rating: row.problems for row in at_once if row.source == "all"}
    assert ratings == {"all": 24, "0": 4, "1–4": 6, "5–9": 4, "10–19": 2, "20–49": 2, "50–99": 2, "100+": 4}
    _, correct = right(engine, problems, 5)
    ours = torch.tensor([name == "b" for name in problems.sources])
    assert result.row(5, 1, "average", "b").exact_accuracy == correct[ours, 0].double().mean().item()
    hardest = problems.ratings >= 100
    cell = result.row(5, 4, "pass", rating="100+").exact_accuracy
    assert cell == correct[hardest].any(dim=1).double().mean().item()


def test_sources_that_name_single_problems_are_not_told_apart(engine, problems):
    named = replace(problems, sources=tuple(f"puzzle {row}" for row in range(len(problems))))
    found = evaluate(engine, named, depths=(1,), breadths=(1,))
    assert {row.source for row in found.rows} == {"all"}


def test_one_source_and_no_ratings_leave_the_whole(engine, problems):
    plain = Problems(problems.inputs, problems.labels, ("x",) * COUNT)
    assert {(row.source, row.rating) for row in run(engine, plain).rows} == {("all", "all")}
    with pytest.raises(KeyError):
        run(engine, plain).row(5, 1, "average", "x")


def test_learned_halting_costs_what_was_run(engine, problems):
    result = run(engine, problems, halting=LearnedHead())
    (pool,) = engine.pools(problems.inputs, depths=(5,), breadth=4, halting=LearnedHead())
    spent = pool.evaluations.sum(dim=1).double().mean().item()
    assert result.row(5, 4, "average").nfe_mean == pytest.approx(spent)
    assert spent < 20
    assert result.context["halting"] == "learned"


def test_slots_change_nothing_and_progress_is_reported(engine, problems):
    seen = []
    small = Engine(engine.reasoner, slots=3)
    result = run(small, problems, watch=seen.append)
    done = [report.done for report in seen]
    assert done == sorted(done)
    assert done[-1] == COUNT
    assert {report.problems for report in seen} == {COUNT}
    assert seen[-1].nfe == COUNT * max(BREADTHS) * max(DEPTHS)
    for row, whole in zip(result.rows, run(engine, problems).rows, strict=True):
        assert row.exact_accuracy == pytest.approx(whole.exact_accuracy)


def test_a_result_can_be_written_as_json_and_says_what_was_evaluated(engine, problems):
    result = run(engine, problems, seed=3, context={"reasoner": "mine"})
    back = json.loads(json.dumps(asdict(result)))
    assert len(back["rows"]) == len(result.rows)
    context = back["context"]
    assert context["reasoner"] == "mine"
    assert context["seed"] == 3
    assert context["problems"] == COUNT
    assert context["data_sha256"] == problems.fingerprint()
    assert context["dtype"] == "float32"


def test_problems_without_answers_cannot_be_evaluated(engine, problems):
    for unusable in (Problems(problems.inputs, None, problems.sources), problems[:0]):
        with pytest.raises(DataError, match="needs problems with answers"):
            run(engine, unusable)
