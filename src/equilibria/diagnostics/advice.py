"""What to do about a landscape: rules from the numbers of a diagnosis to plain words (EqR Sec. 4.2).

Test-time compute helps when correct attractors exist, can be reached, and can be told from the others. Depth
helps trajectories that are still on their way; breadth helps where another start ends elsewhere; neither
helps where every start ends on a wrong answer. Each rule looks at one of these and gives one piece of advice,
or none. One rule alone speaks of depth and breadth, so that no two pieces can contradict each other, and no
rule speaks where an interval leaves open whether there is an effect.
"""

import shlex
from collections.abc import Callable

from equilibria.diagnostics.diagnosis import Advice, Diagnosis, Setting

LEAST_PROBLEMS = 30
"""With fewer problems a share is so uncertain (±18 points at one half) that nothing follows from it."""
WORTH = 0.005
"""Gain in accuracy below which doubling a budget is not worth it."""
LOST = 0.05
"""Share of problems that remain wrong above which a budget is called not enough."""
MISSED = 0.01
"""Share of problems above which what goes wrong with them is worth a word."""
HARD_TO_REACH = 0.05
"""Share of problems in modes (b) and (c) from which on the landscape is worth reshaping."""
CYCLING = 0.05
"""Share of restarts that go round from which on damping is worth a try."""
FEWER = 1.2
"""Stopping early is worth it from so many times fewer iterations on."""

NAMES = {
    "average": "one restart by chance",
    "majority": "majority vote",
    "convergence": "Top-1 convergence",
    "halting": "the halting score",
    "first-to-settle": "the first to settle",
    "oracle": "any restart",
}
"""The rules of `breadth.RULES`, for a person."""
_FLAGS = {
    "majority": "--restarts fixed --selection majority",
    "convergence": "--restarts fixed --selection convergence",
    "halting": "--restarts fixed --selection halting",
    "first-to-settle": "--restarts race",
}


def advise(found: Diagnosis) -> tuple[Advice, ...]:
    """All that follows from a diagnosis, the most general first. Its own `advice` is not looked at."""
    few = too_few(found)
    if few is not None:
        return (few,)
    rules: tuple[Callable[[Diagnosis], Advice | None], ...] = (
        spend,
        choose,
        check_labels,
        reshape,
        teach,
        damp,
        stop_early,
    )
    return tuple(advice for rule in rules if (advice := rule(found)) is not None)


def verdict(found: Diagnosis) -> str:
    """Whether attractors are correct, reachable and selectable, in two sentences at most."""
    breadth, setting = found.breadth, found.setting
    exists, depth = breadth.curves["oracle"][-1], setting.depth
    word = "Yes" if breadth.accuracy >= 0.95 else "Partly" if breadth.accuracy >= 0.5 else "No"
    first = (
        f"{word}: at least one of {setting.breadth} restarts solves {percent(exists)} of "
        f"{setting.problems:,} {setting.noun}s within {depth} iterations, a single one solves "
        f"{percent(breadth.single)}, and {NAMES[breadth.best]} picks a right one in "
        f"{percent(breadth.accuracy)}."
    )
    if setting.problems < LEAST_PROBLEMS:
        return f"{first} So few {setting.noun}s leave these numbers rough."
    largest = max(found.modes, key=lambda mode: mode.count)
    meaning = {
        "a": "no correct attractor is reached, and more compute does not help",
        "b": "correct and spurious attractors compete",
        "c": "the correct attractor is hard to reach",
        "d": "the correct attractor is broad",
    }
    if largest.share <= 0.5:
        return f"{first} No mode of landscape holds most of them."
    return f"{first} In most of them ({percent(largest.share)}, mode {largest.mode}) {meaning[largest.mode]}."


def too_few(found: Diagnosis) -> Advice | None:
    """Whether there is enough to conclude from."""
    setting = found.setting
    if setting.problems >= LEAST_PROBLEMS:
        return None
    return Advice(
        "Measure more problems first",
        f"{setting.problems} {setting.noun}s were measured. A share of so few is uncertain by up to "
        f"{98 / setting.problems**0.5:.0f} points either way, and nothing is advised from fewer than "
        f"{LEAST_PROBLEMS}.",
        _command("diagnose", setting, "--limit 512"),
        ("setting.problems",),
    )


def spend(found: Diagnosis) -> Advice | None:
    """Deeper, broader, both, shallower, neither because it is enough, or neither because nothing helps."""
    accuracy, breadth, setting = found.accuracy, found.breadth, found.setting
    # Where most are on their way and training went further, all that can be said of depth is: too little.
    early = setting.depth < setting.trained_depth and accuracy.still_moving >= 0.5
    rising = accuracy.gain >= WORTH and accuracy.gain_ci95[0] > 0 and accuracy.still_moving >= MISSED
    deeper = rising or early
    shallower = not deeper and accuracy.gain <= -WORTH and accuracy.gain_ci95[1] < 0
    broader = breadth.gain >= WORTH and breadth.gain_ci95[0] > 0
    why = f"{_of_depth(found)} {_of_breadth(found)}"
    if early:
        why += f" Training went to {setting.trained_depth} iterations."
    evidence = (
        *("accuracy.gain", "accuracy.gain_ci95", "accuracy.still_moving", "accuracy.resting_wrong"),
        *("breadth.best", "breadth.gain", "breadth.gain_ci95", "breadth.enough", "setting.trained_depth"),
    )
    if deeper or broader or shallower:
        way = "deeper" if deeper else "shallower" if shallower else ""
        title = f"Run {way} and broader" if way and broader else f"Run {way or 'broader'}"
        if deeper != broader and not shallower:
            title += ", not broader" if deeper else ", not deeper"
        to = 2 * setting.depth if deeper else accuracy.best_depth if shallower else setting.depth
        flags = f"--depth {to} --breadth {breadth.enough if broader else 1}"
        how = _FLAGS[breadth.best] if broader else "--restarts fixed"
        return Advice(title, why, _command("solve", setting, f"{flags} {how}"), evidence)
    wrong = 1 - breadth.accuracy
    if wrong < LOST:
        why = (
            f"{percent(breadth.accuracy)} are right. {why} Depth {accuracy.saturation} comes within a point "
        )
        why += "of the best."
        command = _command("solve", setting, f"--depth {accuracy.saturation} --breadth 1")
        evidence = ("breadth.accuracy", *evidence, "accuracy.saturation")
        return Advice("This budget is enough", why, command, evidence)
    why = f"{percent(wrong)} are wrong at the full budget. {why} "
    if _reached(found):
        why += f"In {percent(breadth.unselected)} of {setting.noun}s some restart is right and is not chosen."
        evidence = ("breadth.accuracy", *evidence, "breadth.unselected", "breadth.unselected_ci95")
        return Advice("More restarts help only with a better choice among them", why, "", evidence)
    why += "What is wrong here must be changed in training or in the data."
    evidence = ("breadth.accuracy", *evidence, "modes.a.share")
    return Advice("More compute does not help", why, "", evidence)


def _of_depth(found: Diagnosis) -> str:
    accuracy = found.accuracy
    return (
        f"Going from {accuracy.before} to {found.setting.depth} iterations changed the accuracy of a restart "
        f"by {points(accuracy.gain)} (95% interval {spread(accuracy.gain_ci95)}), and "
        f"{percent(accuracy.still_moving)} of restarts are wrong and still moving, "
        f"{percent(accuracy.resting_wrong)} wrong and at rest."
    )


def _of_breadth(found: Diagnosis) -> str:
    breadth = found.breadth
    least = (
        f"; the least number within half a point of that is {breadth.enough}" if breadth.enough > 1 else ""
    )
    return (
        f"{found.setting.breadth} restarts chosen by {NAMES[breadth.best]} give {points(breadth.gain)} over "
        f"one ({spread(breadth.gain_ci95)}){least}."
    )


def _reached(found: Diagnosis) -> bool:
    """Whether right answers are reached that no rule selects."""
    return found.breadth.unselected >= MISSED and found.breadth.unselected_ci95[0] > 0


def choose(found: Diagnosis) -> Advice | None:
    """How to tell the right restart from the others."""
    breadth, setting = found.breadth, found.setting
    difference, bounds = breadth.convergence_over_majority, breadth.convergence_over_majority_ci95
    compared = f"Top-1 convergence is {points(difference)} against a majority vote ({spread(bounds)})"
    auroc = f"a low residual tells right restarts from wrong ones with AUROC {found.coupling.auroc:.3f}"
    evidence = (
        "breadth.convergence_over_majority",
        "breadth.convergence_over_majority_ci95",
        "coupling.auroc",
    )
    if _reached(found) and setting.rules:
        return Advice(
            "Let the rules choose",
            f"In {percent(breadth.unselected)} of {setting.noun}s ({spread(breadth.unselected_ci95)}) some "
            f"restart is right and {NAMES[breadth.best]} takes another one; {auroc}. The task can check "
            "answers, so it can choose.",
            _command("solve", setting, f"--depth {setting.depth} --breadth {setting.breadth} --verify"),
            ("breadth.unselected", "breadth.unselected_ci95", "breadth.best", "coupling.auroc"),
        )
    for rule, clear in (("majority", bounds[1] < 0), ("convergence", bounds[0] > 0)):
        if rule == breadth.best and clear and abs(difference) >= WORTH:
            flags = f"--depth {setting.depth} --breadth {setting.breadth} {_FLAGS[rule]}"
            return Advice(
                f"Choose by {NAMES[rule]}",
                f"{compared}; {auroc}.",
                _command("solve", setting, flags),
                evidence,
            )
    return None


def check_labels(found: Diagnosis) -> Advice | None:
    """Labels that are not the only right answers make attractors compete (EqR App. C.2)."""
    labels, setting = found.labels, found.setting
    told: list[str] = []
    evidence: list[str] = []
    if labels.contradicted:
        told.append(f"{labels.contradicted:,} inputs stand in the data with different labels.")
        evidence.append("labels.contradicted")
    if labels.rule_keeping:
        told.append(
            f"In {labels.rule_keeping:,} {setting.noun}s restarts rest on an answer that keeps all rules and "
            "is not the label."
        )
        evidence.append("labels.rule_keeping")
    if not told:
        return None
    return Advice(
        "Check the labels for ambiguity",
        " ".join(told)
        + " Where several answers are right, training pulls towards all of them, and attractors "
        "that compete cannot be told apart. Keep one answer by a rule that the input decides, or "
        "leave these out.",
        f"equilibria data inspect {_quoted(setting.data)}" if setting.data else "",
        tuple(evidence),
    )


def reshape(found: Diagnosis) -> Advice | None:
    """Random initial states and path noise, where training had none of them (EqR Sec. 5)."""
    setting, b, c = found.setting, found.mode("b"), found.mode("c")
    share = b.share + c.share
    fixed = setting.trained_initial is not None and setting.trained_initial != "gaussian"
    quiet = setting.trained_noise == 0
    if share < HARD_TO_REACH or not (fixed or quiet):
        return None
    levers = [
        *(("random initial states (RI)",) if fixed else ()),
        *(("path noise (NI)",) if quiet else ()),
    ]
    changes = [
        *(("reasoner.initial=gaussian",) if fixed else ()),
        *(("reasoner.noise=0.01", "reasoner.damping=0.05") if quiet else ()),
    ]
    return Advice(
        f"Retrain with {' and '.join(levers)}",
        f"In {percent(share)} of {setting.noun}s the correct attractor has rivals (mode b, "
        f"{percent(b.share)}) or is hard to reach (mode c, {percent(c.share)}). Training had "
        + " and ".join(
            [
                *((f"one kind of start ({setting.trained_initial})",) if fixed else ()),
                *(("no noise along the way",) if quiet else ()),
            ]
        )
        + "; these are what widens correct basins.",
        f"equilibria train {_quoted(setting.recipe_file or setting.recipe)} {' '.join(changes)}",
        ("modes.b.share", "modes.c.share", "setting.trained_initial", "setting.trained_noise"),
    )


def teach(found: Diagnosis) -> Advice | None:
    """Problems that no restart solves though restarts rest: no budget helps them."""
    setting, a = found.setting, found.mode("a")
    share = a.resting / setting.problems
    if share < MISSED:
        return None
    unseen = 1 - 0.05 ** (1 / setting.breadth)
    return Advice(
        f"Train further for the {a.resting:,} {setting.noun}s that nothing solves",
        f"In {percent(a.share)} of {setting.noun}s (mode a) no restart of {setting.breadth} settles right; "
        f"in {a.resting:,} of these most have come to rest on wrong answers. A correct basin there would "
        f"have to be smaller than {percent(unseen)} of the starts (at 95%), so compute hardly helps: "
        "more training, or training problems that are more like these, may.",
        f"equilibria train {_quoted(setting.recipe_file or setting.recipe)} --weights "
        f"{_quoted(setting.reasoner)}",
        ("modes.a.share", "modes.a.resting", "modes.a.unsettled"),
    )


def damp(found: Diagnosis) -> Advice | None:
    """Restarts that go round instead of coming to rest."""
    cycles = found.cycles
    if cycles.cycling < CYCLING:
        return None
    return Advice(
        "Damp the iteration",
        f"{percent(cycles.cycling)} of {cycles.restarts:,} restarts looked at end in a cycle. Keeping a part "
        "of the old state at every step often turns a cycle into a fixed point.",
        _command(
            "diagnose",
            found.setting,
            "--set inference.solver.name=relaxed --set inference.solver.damping=0.5",
        ),
        ("cycles.cycling", "cycles.restarts"),
    )


def stop_early(found: Diagnosis) -> Advice | None:
    """A rule that ends trajectories early, if it costs no accuracy (EqR Sec. 6.3)."""
    full = found.accuracy.by_depth[-1].accuracy
    fit = [
        (place, stopping)
        for place, stopping in enumerate(found.stopping)
        if stopping.ratio >= FEWER and stopping.target >= full - WORTH
    ]
    if not fit:
        return None
    place, best = max(fit, key=lambda item: item[1].ratio)
    by = "the halting head" if best.rule == "head" else "the residual"
    return Advice(
        f"Let {by} stop trajectories",
        f"It reaches {percent(best.target)} with {best.nfe:.1f} iterations a restart, where a fixed depth "
        f"takes {best.fixed_nfe:.1f}: {best.ratio:.1f} times fewer.",
        _command("solve", found.setting, f"--halting {'learned' if best.rule == 'head' else 'residual'}"),
        tuple(f"stopping.{place}.{name}" for name in ("target", "nfe", "fixed_nfe", "ratio")),
    )


def percent(share: float) -> str:
    """A share, for a person."""
    return f"{100 * share:.1f}%"


def points(difference: float) -> str:
    """A difference of shares, in percentage points with its sign."""
    return f"{_signed(difference)} points"


def spread(bounds: tuple[float, float]) -> str:
    """An interval of such a difference."""
    return " to ".join(_signed(bound) for bound in bounds)


def _signed(difference: float) -> str:
    text = f"{100 * difference:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def _quoted(text: str) -> str:
    return shlex.quote(text)


def _command(name: str, setting: Setting, flags: str) -> str:
    """A command on the same reasoner and problems; what `solve` reads must be a file."""
    changes = [f"--set {_quoted(change)}" for change in setting.changes]
    if name == "solve":
        parts = ["equilibria solve", _quoted(setting.data or "PROBLEMS"), "--with", _quoted(setting.reasoner)]
    else:
        parts = ["equilibria", name, _quoted(setting.reasoner)]
        parts += ["--data", _quoted(setting.data)] if setting.data else []
    return " ".join([*parts, flags, *changes])
