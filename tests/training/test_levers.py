"""Levers of a recipe: each does what it says, and nothing where it is not pulled."""

import pytest
import torch
import torch.nn.functional as F

from equilibria.dynamics.halting import FixedDepth, LearnedHead
from equilibria.dynamics.noise import NoiseSource, combine
from equilibria.dynamics.solvers import Picard
from equilibria.errors import RecipeError
from equilibria.runs import read_splits, train
from equilibria.tasks import Problems
from equilibria.training.average import ExponentialAverage
from equilibria.training.carry import Batch, Carry
from equilibria.training.curriculum import Stage, stage_at
from equilibria.training.losses import IGNORE, answer_loss, token_loss
from equilibria.training.rolling import RollingBatch, candidates
from equilibria.training.sampler import MOST_GIVEN, Sampler, give_away
from equilibria.training.schedules import SegmentedOnline
from equilibria.training.segment import Supervision, run_segment


@pytest.fixture
def rolling(tiny):
    """A rolling batch of a tiny recipe, with overrides."""

    def build(*overrides):
        recipe = tiny(*overrides)
        task, training = recipe.build_task(), recipe.training
        problems = task.generate(40, seed=0)
        sampler = Sampler(
            problems, task, batch=training.batch, share=slice(0, training.batch), seed=0, augment=True,
            device=torch.device("cpu"),
        )  # fmt: skip
        return RollingBatch(recipe.build_reasoner(task), sampler, training)

    return build


def test_smoothed_labels_are_pytorchs_own():
    logits, targets = torch.randn(3, 5, 7), torch.randint(0, 7, (3, 5))
    expected = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none", label_smoothing=0.2)
    torch.testing.assert_close(token_loss(logits, targets, "softmax", 0.2), expected)


@pytest.mark.parametrize("objective", ["softmax", "stablemax"])
def test_smoothing_costs_certainty_and_leaves_out_what_is_not_asked(objective):
    logits = 30 * F.one_hot(torch.tensor([[1, 2]]), 4).float()
    targets = torch.tensor([[1, IGNORE]])
    sure, smoothed = (token_loss(logits, targets, objective, e) for e in (0.0, 0.1))
    assert smoothed[0, 0] > sure[0, 0] + 0.1
    assert smoothed[0, 1] == 0


def test_stages_follow_each_other_and_end():
    stages = (Stage(until=0.1, depth=2), Stage(until=0.5, depth=4))
    assert [stage_at(stages, step, 100) for step in (0, 9, 10, 49, 50, 99)] == [
        stages[0], stages[0], stages[1], stages[1], None, None,
    ]  # fmt: skip
    assert stage_at((), 0, 100) is None


def test_a_curriculum_changes_cycles_and_depth_and_gives_them_back(rolling):
    first = "{until: 0.2, depth: 2, reasoner: {H_cycles: 1, L_cycles: 1}}"
    batch = rolling(f"training.curriculum=[{first}, {{until: 0.4, depth: 3}}]", "training.halting.rule=fixed")
    updates, lives = [], []
    for step in range(10):
        batch.advance(step)
        updates.append(len(batch.reasoner.updates))
        lives.append(batch.carry.halted.all().item())
        with batch.as_recipe():
            assert len(batch.reasoner.updates) == 6
    assert updates == [2, 2, *[6] * 8]
    assert lives == [False, True, False, False, False, True, False, False, False, True]


def test_a_run_stopped_in_a_stage_leaves_the_reasoner_of_the_recipe(tiny, tmp_path):
    recipe = tiny("training.curriculum=[{until: 0.9, reasoner: {H_cycles: 1}}]")
    stopped = train(recipe, out=tmp_path, device="cpu", quiet=True, minutes=1e-9)
    assert len(stopped.reasoner.updates) == 6


@pytest.mark.parametrize(
    ("curriculum", "message"),
    [
        ("[{until: 0.5}, {until: 0.5}]", "one after the other"),
        (
            "[{until: 0.5, reasoner: {width: 8}}]",
            "'width' is part of the weights; a stage may change H_cycles",
        ),
        ("[{until: 0.5, reasoner: {H_cycles: 0}}]", "greater than 0"),
        ("[{until: 0.5, dept: 2}]", r"unknown key 'training\.curriculum\.0\.dept'; did you mean .*depth"),
        ("[{until: 1.5}]", "less than 1"),
    ],
)
def test_a_curriculum_that_cannot_run_is_refused_with_the_recipe(tiny, curriculum, message):
    with pytest.raises(RecipeError, match=message):
        tiny(f"training.curriculum={curriculum}")


def test_a_reasoner_is_not_adjusted_in_what_its_weights_are_made_of(tiny):
    recipe = tiny()
    reasoner = recipe.build_reasoner(recipe.build_task())
    reasoner.adjust({"damping": 0.3})
    assert reasoner.relaxation.damping == 0.3
    with pytest.raises(RecipeError, match="'width' of the family recursive is part of its weights"):
        reasoner.adjust({"width": 8})


def test_what_is_given_away_is_right_and_in_its_share_of_the_rows():
    inputs, targets = torch.ones(4000, 20, dtype=torch.int64), torch.randint(2, 9, (4000, 20))
    targets[:, 0] = 0  # not asked for
    noise = NoiseSource(combine(1, torch.arange(4000)))
    eased = give_away(inputs, targets, noise, 0.5)
    given = eased != inputs
    assert torch.equal(eased[given], targets[given])
    assert not given[:, 0].any()
    helped = given.any(dim=1).float().mean().item()
    assert 0.4 < helped < 0.5  # half of the rows, less those whose share is nearly nothing
    most = given[:, 1:].float().mean(dim=1).max().item()
    assert MOST_GIVEN - 0.1 < most < MOST_GIVEN + 0.3
    assert torch.equal(give_away(inputs, targets, noise, 0.0), inputs)


def test_candidates_are_one_problem_with_draws_of_their_own():
    batch = Batch(
        torch.arange(6).view(2, 3), torch.arange(6).view(2, 3), torch.tensor([5, 9]), torch.tensor([0, 1])
    )
    assert candidates(batch, 1) is batch
    several = candidates(batch, 3)
    assert several.inputs.tolist() == [[0, 1, 2]] * 3 + [[3, 4, 5]] * 3
    assert several.identifiers.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(set(several.keys.tolist())) == 6


def gradients(reasoner):
    return {
        name: weight.grad.clone() for name, weight in reasoner.named_parameters() if weight.grad is not None
    }


def test_the_winner_alone_is_learned_from_and_all_candidates_go_on(tiny):
    recipe = tiny()
    task = recipe.build_task()
    reasoner, problems = recipe.build_reasoner(task), task.generate(4, seed=0)
    keys = combine(3, torch.arange(4))
    arriving = Batch(problems.inputs.long(), problems.labels.long(), keys, torch.zeros_like(keys))
    batch = candidates(arriving, 3)
    state = reasoner.initial_state(reasoner.encode(batch.inputs), NoiseSource(batch.keys))
    carry = Carry.free(reasoner, Picard(), LearnedHead(), 12, torch.device("cpu"))
    carry = carry.refill(batch, state, {})
    supervision = Supervision(SegmentedOnline(), LearnedHead(), 4, candidates=3)
    segment = run_segment(reasoner, carry, supervision)
    segment.loss.backward()
    got = gradients(reasoner)

    with torch.no_grad():
        step = reasoner.iterate(state, reasoner.encode(batch.inputs), noise=carry.noise())
        losses = answer_loss(reasoner.decode(step.state).logits, batch.targets, "stablemax").view(4, 3)
    assert (losses.std(dim=1) > 0).all()
    winners = torch.arange(0, 12, 3) + losses.argmin(dim=1)
    reasoner.zero_grad()
    alone = run_segment(reasoner, carry.rows(winners), Supervision(SegmentedOnline(), LearnedHead(), 4))
    alone.loss.backward()
    torch.testing.assert_close(segment.loss, alone.loss)
    for name, expected in gradients(reasoner).items():
        torch.testing.assert_close(got[name], expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(segment.carry.state, step.state)
    assert segment.carry.steps.tolist() == [1] * 12
    assert segment.metrics["rows"] == 4


def test_candidates_of_a_problem_make_room_together(rolling):
    batch = rolling("training.candidates=3", "training.depth=3")
    torch.nn.init.constant_(batch.reasoner.halt_head.score.bias, 0.0)
    torch.nn.init.normal_(batch.reasoner.halt_head.score.weight, std=1.0)
    ended = []
    for step in range(6):
        batch.advance(step)
        halted = batch.carry.halted.view(16, 3)
        assert torch.equal(halted.any(dim=1), halted.all(dim=1))
        problems = batch.carry.batch.inputs.view(16, 3, -1)
        assert (problems == problems[:, :1]).all()
        ended.append(halted[:, 0].float().mean().item())
    assert any(0 < share < 1 for share in ended)  # some heads said halt, some not


def test_the_average_follows_until_it_is_asked_to_remember():
    weight = torch.nn.Parameter(torch.zeros(3))
    average = ExponentialAverage([weight], 0.9)
    with torch.no_grad():
        weight.fill_(1.0)
    average.update(follow=True)
    assert torch.equal(average.shadow[0], weight)
    with torch.no_grad():
        weight.fill_(2.0)
    average.update()
    torch.testing.assert_close(average.shadow[0], torch.full((3,), 1.1))


def test_sources_can_be_chosen(tmp_path, tiny):
    task = tiny().build_task()
    made = task.generate(30, seed=0)
    problems = Problems(made.inputs, made.labels, ("easy", "hard", "other") * 10)
    task.write(problems, tmp_path / "all.csv")
    recipe = tiny(f"data.source={tmp_path / 'all.csv'}", "data.only=[hard,other]", "data.limit=12")
    splits = read_splits(recipe, task)
    assert len(splits.train) == 12
    assert set(splits.train.sources) | set(splits.held_out.sources) == {"hard", "other"}


@pytest.mark.parametrize("halting", [FixedDepth(), LearnedHead()])
def test_a_segment_of_candidates_has_no_gradient_but_the_winners(tiny, halting):
    """Not even through the state that the losers carry on."""
    recipe = tiny("training.candidates=2")
    task = recipe.build_task()
    reasoner = recipe.build_reasoner(task)
    carry = Carry.free(reasoner, Picard(), halting, 8, torch.device("cpu"))
    segment = run_segment(reasoner, carry, Supervision(SegmentedOnline(), halting, 4, candidates=2))
    assert not segment.carry.state.requires_grad
