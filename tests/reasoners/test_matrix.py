"""Every family under every schedule, gradient and halting rule: it runs, and gradient goes where it may."""

import pytest
import torch
from pydantic import TypeAdapter

from equilibria.dynamics.halting import AnyOf, FixedDepth, LearnedHead, Oracle, QLearning, Residual
from equilibria.dynamics.solvers import Anderson, PatienceDamped
from equilibria.errors import TrainingError
from equilibria.reasoners import configure, families, family
from equilibria.reasoners.interface import ProblemShape
from equilibria.tasks import load_task
from equilibria.training.config import TrainingConfig
from equilibria.training.optimizers import OptimizerConfig, build_optimizers
from equilibria.training.rolling import RollingBatch
from equilibria.training.sampler import Sampler
from equilibria.training.schedules import AnySchedule, SegmentedOnline, Terminal, Trajectory

TASK = load_task({"name": "sudoku", "box": [2, 2]})
SHAPE = ProblemShape(TASK.vocab_size, TASK.tokens, TASK.board, TASK.identifiers)
PROBLEMS = TASK.generate(60, seed=0)
SMALL = {"width": 16, "heads": 2, "layers": 1, "channel_inner": 32, "token_inner": 16}
CYCLES = {"H_cycles": 2, "L_cycles": 2}

# What makes each family small; the rest are its defaults.
BASES = {
    "attractor": {"prefix": 1, "H_cycles": 2, "max_iterations": 4, "min_iterations": 1},
    "deq": {},
    "feedforward": {"layers": 2},
    "fprm": {"prefix": 1},
    "hrm": {**CYCLES, "fast_layers": 1},
    "looped": {},
    "recursive": CYCLES,
    "urm": CYCLES,
}
# Other ways to make or to differentiate an iteration.
VARIANTS = {
    "one stream": ("recursive", CYCLES | {"streams": 1}),
    "all tracked": ("recursive", CYCLES | {"tracked": 6}),
    "two tracked": ("recursive", CYCLES | {"tracked": 2}),
    "learned noise": ("recursive", CYCLES | {"noise_learned": True}),
    "learned start": ("recursive", CYCLES | {"tracked": 6, "initial": "learned"}),
    "fixed start": ("recursive", CYCLES | {"prefix": 1, "initial": "fixed", "noise": 0.0, "damping": 0.0}),
    "hrm, all tracked": ("hrm", CYCLES | {"fast_layers": 1, "tracked": 6}),
    "urm, one tracked": ("urm", CYCLES | {"tracked": 1}),
    "attractor, one-step": ("attractor", BASES["attractor"] | {"gradient": {"name": "one-step"}}),
    "attractor, neumann": ("attractor", BASES["attractor"] | {"gradient": {"name": "neumann"}}),
    "attractor, implicit": ("attractor", BASES["attractor"] | {"gradient": {"name": "implicit"}}),
    "attractor, joint": ("attractor", BASES["attractor"] | {"solved": "joint", "initial": "embedding"}),
    "attractor, penalty": ("attractor", BASES["attractor"] | {"jacobian": 0.1}),
    "fprm, input scales": ("fprm", {"residual_scale": "input", "convolution": "sequence"}),
    "looped, scaled": ("looped", {"norm": "pre", "residual_scale": "fixed", "initial": "gaussian"}),
}
SCHEDULES = {
    "online": SegmentedOnline(),
    "windows": SegmentedOnline(iterations=2),
    "trajectory": Trajectory(),
    "late anchors": Trajectory(first=3),
    **{
        name: TypeAdapter(AnySchedule).validate_python({"name": "terminal", "gradient": gradient})
        for name, gradient in {
            "unrolled": {"name": "unrolled"},
            "unrolled, last": {"name": "unrolled", "last": 1},
            "one-step": {"name": "one-step"},
            "phantom": {"name": "phantom", "damping": 0.5},
            "neumann": {"name": "neumann", "terms": 3, "clip": 1.0},
            "implicit": {"name": "implicit", "max_iterations": 5},
        }.items()
    },
    "penalised": TypeAdapter(AnySchedule).validate_python(
        {"name": "terminal", "gradient": {"name": "phantom"}, "jacobian": 0.1}
    ),
}
HALTINGS = {
    "fixed": FixedDepth(),
    "learned": LearnedHead(),
    "learned, idle": LearnedHead(acts=False),
    "q-learning": QLearning(),
    "residual": Residual(tolerance=1.0, patience=2),
    "oracle": Oracle(),
    "any": AnyOf(of=(Residual(tolerance=1.0), LearnedHead(acts=False))),
}


def rolling(name, options, seed=0, **training):
    torch.manual_seed(seed)
    reasoner = family(name)(configure({"family": name, **SMALL, **options}), SHAPE)
    given = {
        "batch": 4,
        "depth": 4,
        "optimizer": OptimizerConfig(lr=1e-3, warmup=0, weight_decay=0.1),
    } | training
    config = TrainingConfig(**given)
    sampler = Sampler(
        PROBLEMS,
        TASK,
        batch=config.batch,
        share=slice(0, config.batch),
        seed=0,
        augment=True,
        device=torch.device("cpu"),
    )
    return RollingBatch(reasoner.train(), sampler, config)


def run(batch, steps):
    """The mean loss of every step, and the names of the parameters that got a gradient at any of them."""
    optimizers = build_optimizers(batch.reasoner, batch.config.optimizer)
    losses, reached = [], set()
    for step in range(steps):
        batch.clear()
        batch.advance(step)
        losses.append(float(batch.totals["loss"] / batch.totals["rows"]))
        for name, weight in batch.reasoner.named_parameters():
            if weight.grad is not None:
                gradient = weight.grad.to_dense() if weight.grad.is_sparse else weight.grad
                assert gradient.isfinite().all(), name
                if gradient.any():
                    reached.add(name)
        for optimizer in optimizers:
            optimizer.step()
    return losses, reached


def out_of_reach(reasoner, schedule, halting):
    """Parameters that, by design, no gradient comes to."""
    rules = halting.of if isinstance(halting, AnyOf) else (halting,)
    names = set() if any(isinstance(r, LearnedHead | QLearning) for r in rules) else {"halt_head"}
    whole = isinstance(schedule, SegmentedOnline) or (
        schedule.first == 1
        if isinstance(schedule, Trajectory)
        else schedule.gradient.name == "unrolled" and schedule.gradient.last is None
    )
    if not whole:  # the beginning of a trajectory lies before the gradient
        names |= {"initial_map", "fixed_state"}
    if reasoner.config.family == "attractor" and reasoner.config.H_cycles > 1:
        names |= {"fixed_state"}  # all slow cycles but the last have no gradient
    return names


def check(batch, schedule, halting):
    losses, reached = run(batch, 3)
    assert all(torch.tensor(losses).isfinite()), losses
    unreached = out_of_reach(batch.reasoner, schedule, halting)
    every = {name for name, _ in batch.reasoner.named_parameters()}
    assert reached == {name for name in every if name.split(".")[0] not in unreached}


def sensible(name, options, schedule):
    """Where an iteration forgets what it started from, there is no equilibrium over iterations; where its
    own gradient is a solve or a series, there is no second gradient."""
    if schedule is SCHEDULES["penalised"] and options.get("gradient", {}).get("name") in (
        "neumann",
        "implicit",
    ):
        return False
    solved = name == "attractor" and options.get("solved") == "joint"
    if isinstance(schedule, Terminal) and schedule.gradient.name != "unrolled":
        return name != "feedforward" and not solved
    return name != "feedforward" or schedule in (SCHEDULES["online"], SCHEDULES["trajectory"])


def test_the_matrix_has_every_family():
    assert sorted(BASES) == families()


@pytest.mark.parametrize("halting", HALTINGS)
@pytest.mark.parametrize("name", BASES)
def test_families_under_every_schedule_and_rule(name, halting):
    for schedule in SCHEDULES.values():
        if sensible(name, BASES[name], schedule):
            batch = rolling(name, BASES[name], schedule=schedule, halting=HALTINGS[halting])
            check(batch, schedule, HALTINGS[halting])


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_under_every_schedule(variant):
    name, options = VARIANTS[variant]
    for schedule in SCHEDULES.values():
        if sensible(name, options, schedule):
            check(rolling(name, options, schedule=schedule), schedule, LearnedHead())


@pytest.mark.parametrize("variant", ["attractor, neumann", "attractor, implicit"])
def test_a_penalty_that_would_take_second_gradients_where_there_are_none_is_refused(variant):
    name, options = VARIANTS[variant]
    batch = rolling(name, options, schedule=SCHEDULES["penalised"])
    with pytest.raises(TrainingError, match=r"schedule\.jacobian .* reasoner\.gradient\.name to phantom"):
        run(batch, 1)


@pytest.mark.parametrize("solver", [PatienceDamped(patience=1), Anderson(window=2)], ids=lambda s: s.name)
@pytest.mark.parametrize("schedule", ["windows", "trajectory", "unrolled", "implicit"])
def test_solvers_under_every_kind_of_schedule(schedule, solver):
    for name in ("fprm", "recursive"):
        batch = rolling(name, BASES[name], schedule=SCHEDULES[schedule], solver=solver)
        check(batch, SCHEDULES[schedule], LearnedHead())


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_defaults_learn(name):
    """The loss of the last steps is clearly under that of the first."""
    options = {"deq": {"schedule": SCHEDULES["implicit"]}}.get(name, {})
    batch = rolling(name, BASES[name], batch=16, halting=HALTINGS["learned"], **options)
    losses, _ = run(batch, 200)
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])
