"""What a user holds: a reasoner with its task, its recipe and its card."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equilibria import checkpoint
from equilibria.diagnostics.calibration import Reliability, calibrate
from equilibria.diagnostics.diagnosis import Diagnosis
from equilibria.diagnostics.evaluation import Evaluation, evaluate
from equilibria.diagnostics.voting import Voting, vote, voters
from equilibria.diagnostics.watching import Scene, scene_of
from equilibria.dynamics.halting import FixedDepth, Halting, LearnedHead, Residual
from equilibria.errors import DataError, EquilibriaError
from equilibria.inference.budget import Budget
from equilibria.inference.calibration import (
    Calibration,
    UntilConfident,
    calibrated_budget,
    conditions,
)
from equilibria.inference.engine import Engine, Watch
from equilibria.inference.limits import Limits
from equilibria.inference.outcome import Outcome
from equilibria.inference.recording import Record, Recorder
from equilibria.inference.restarts import Fixed, Race, RestartPolicy, UntilAgreement, UntilSettled
from equilibria.reasoners.interface import Reasoner
from equilibria.recipes import Recipe
from equilibria.tasks import Problems, Scan, Task
from equilibria.version import code_version


@dataclass(frozen=True)
class Answer:
    """What a reasoner says of one problem, and how far to trust it.

    Attributes:
        problem: the problem as one line.
        answer: the answer as one line.
        valid: whether it keeps all rules of the task.
        violations: the rules it breaks, in words.
        settled: whether the trajectory it was read from came to rest.
        halted: whether a halting rule ended it.
        residual: that trajectory's mean `‖z_{k+1} − z_k‖₂` over its last three iterations.
        relative_residual: the same as a root-mean-square per element of the state.
        halting_score: probability of being right that the halting head gives it; NaN without such a head.
        nfe: iterations run for this problem, over all restarts.
        restarts: how many were run.
        agreement: share of restarts with this very answer.
        confidence: probability that the answer is right, by the checkpoint's calibration; NaN where it has
            none, or where the problem was not run as the calibration says.
        complete: False where the call was stopped before the problem's budget was spent.
        tokens: the answer as tokens.
        index: the problem's place in the call.
    """

    problem: str
    answer: str
    valid: bool
    violations: tuple[str, ...]
    settled: bool
    halted: bool
    residual: float
    relative_residual: float
    halting_score: float
    nfe: int
    restarts: int
    agreement: float
    confidence: float
    complete: bool
    tokens: Tensor
    index: int


@dataclass
class Pipeline:
    """A reasoner ready to solve.

    Attributes:
        reasoner: the map, in evaluation mode.
        task: how its problems are read, checked and shown.
        recipe: how it was made.
        card: what its makers say of it, Markdown.
        facts: short facts stored with its weights.
        name: what it was loaded as.
        calibration: how probable its answers are right; None where nobody has found out.
    """

    reasoner: Reasoner[Any]
    task: Task
    recipe: Recipe
    card: str = ""
    facts: dict[str, str] | None = None
    name: str = "unnamed"
    calibration: Calibration | None = None

    def to(self, device: str | torch.device) -> "Pipeline":
        """Move the reasoner; returns self."""
        self.reasoner.to(device)
        return self

    def compute_in(self, precision: str) -> "Pipeline":
        """Run activations in "fp32" or "bf16"; returns self.

        Raises:
            EquilibriaError: another word.
        """
        if precision not in ("fp32", "bf16"):
            raise EquilibriaError(f"precision must be fp32 or bf16, not '{precision}'")
        self.reasoner.compute_in(torch.bfloat16 if precision == "bf16" else torch.float32)
        return self

    def compiled(self) -> "Pipeline":
        """Run the reasoner through `torch.compile` where its family can; returns self.

        The first iterations take some ten seconds more, and the number of slots stays, since each other one
        would be compiled anew: it pays for long calls.
        """
        self.reasoner.compiled()
        self.engine = Engine(self.reasoner, solver=self.recipe.solver, steady=True)
        return self

    @cached_property
    def engine(self) -> Engine:
        """Runs the reasoner."""
        return Engine(self.reasoner, solver=self.recipe.solver)

    def budget(self, *, confidence: float | None = None, **changes: Any) -> Budget:
        """The recipe's budget with some of its fields changed; None leaves a field as it is.

        Args:
            confidence: go on until an answer is right with this probability: a budget as the calibration was
                learned with, which only breadth, `nfe` and the like may change.
            changes: fields of `Budget`; `halting` and `restarts` may be given by name.

        Raises:
            EquilibriaError: a value makes no sense; or there is no calibration, or one for other conditions.
        """
        known = {name: value for name, value in changes.items() if value is not None}
        if isinstance(known.get("halting"), str):
            known["halting"] = self.halting(known["halting"])
        if isinstance(known.get("restarts"), str):
            known["restarts"] = self.restarts(known["restarts"])
        own = self.recipe.inference
        budget = Budget(
            own.depth, own.breadth, own.halting, own.restarts, tolerance=own.tolerance, nfe=own.nfe
        )
        if confidence is None:
            return replace(budget, **known)
        if self.calibration is None:
            raise EquilibriaError(
                f"{self.name} has no calibration, so nothing says how probable its answers are: make one "
                f"with equilibria calibrate {self.name} --data PROBLEMS_WITH_ANSWERS"
            )
        if "restarts" in known:
            raise EquilibriaError("give restarts or a confidence: the confidence decides about restarts")
        budget = replace(calibrated_budget(self.calibration), **known)
        if not self.applies(budget):
            raise EquilibriaError(
                f"{self.name} is calibrated for {self.calibration.conditions}; leave depth, halting and "
                "tolerance as they are, or calibrate for yours with equilibria calibrate"
            )
        try:
            until = UntilConfident(confidence=confidence, calibration=self.calibration)
        except ValueError as error:
            raise EquilibriaError(str(error)) from None
        return replace(budget, restarts=until)

    def applies(self, budget: Budget) -> bool:
        """Whether the calibration speaks of trajectories that are run like this."""
        if self.calibration is None:
            return False
        return conditions(budget, self.engine.solver) == self.calibration.conditions

    def halting(self, name: str) -> Halting:
        """A halting rule by name: "recipe", "fixed", "learned" or "residual".

        Raises:
            EquilibriaError: another word.
        """
        own = self.recipe.inference.halting
        rules = {"recipe": own, "fixed": FixedDepth(), "learned": LearnedHead(), "residual": Residual()}
        if name not in rules:
            raise EquilibriaError(f"halting must be one of {', '.join(rules)}, not {name!r}")
        return own if own.rule == name else rules[name]

    def restarts(self, name: str) -> RestartPolicy:
        """A policy of restarts by name: "recipe", "fixed", "until-settled", "until-agreement" or "race".

        Raises:
            EquilibriaError: another word.
        """
        own = self.recipe.inference.restarts
        rules = {"recipe": own} | {
            rule.policy: rule for rule in (Fixed(), UntilSettled(), UntilAgreement(), Race())
        }
        if name not in rules:
            raise EquilibriaError(f"restarts must be one of {', '.join(rules)}, not {name!r}")
        return own if own.policy == name else rules[name]

    def problems(self, given: "str | Path | Iterable[str] | Problems") -> Problems:
        """Problems from what a user has: a file, text, a list of texts, or problems already read.

        Raises:
            DataError: something in it is not a problem of this task; says where.
        """
        if isinstance(given, Problems):
            return given
        if isinstance(given, Path):
            return self.task.read(given, labelled=False)
        if isinstance(given, str):
            return self.task.parse(given)
        texts = list(given)
        if not texts:
            raise DataError("there is no problem to solve")
        return Problems.concatenate(
            [self.task.parse(text, where=f"problem {place}") for place, text in enumerate(texts, start=1)]
        )

    def scan(self, given: str | Path) -> Scan:
        """Problems from text or a file, bad rows of a table set aside instead of raised.

        Raises:
            DataError: there is nothing that could be read; says where and why.
        """
        if isinstance(given, Path):
            return self.task.scan(given)
        read = self.task.parse(given)
        return Scan(read, torch.arange(len(read)), [])

    def stream(
        self,
        problems: "str | Path | Iterable[str] | Problems",
        *,
        seed: int = 0,
        verify: bool = False,
        limits: Limits | None = None,
        watch: Watch | None = None,
        **budget: Any,
    ) -> Iterator[Answer]:
        """Answers as they settle, in whatever order that is.

        Args:
            problems: see `problems`.
            seed: of all draws.
            verify: let the task's own checker decide when a problem is done and which restart answers.
            limits: when to stop the call as a whole and answer with the best so far.
            watch: told of the progress.
            budget: fields of `Budget`, and `confidence`; see `budget`.
        """
        if verify and not self.task.rules:
            raise EquilibriaError(
                f"answers of the task {self.task.name} cannot be verified: nobody has told its rules"
            )
        if verify and budget.get("confidence") is not None:
            raise EquilibriaError(
                "give verify or a confidence: an answer that is checked needs no probability"
            )
        read, spent = self.problems(problems), self.budget(**budget)
        known = not verify and self.applies(spent)  # learned from restarts that no checker had chosen
        outcomes = self.engine.solve(
            read.inputs,
            spent,
            seed=seed,
            identifiers=read.identifiers,
            verify=self._verify if verify else None,
            calibration=self.calibration if known else None,
            stop=limits,
            watch=watch,
        )
        sure = spent.restarts.confidence if isinstance(spent.restarts, UntilConfident) else None
        for outcome in outcomes:
            yield self._answer(read.inputs[outcome.index], outcome, sure)

    def _answer(self, given: Tensor, outcome: Outcome, sure: float | None) -> Answer:
        answer = self._asked(given, outcome.tokens)
        broken = self.task.violations(given[None], answer[None])[0]
        return Answer(
            problem=self.task.format(given),
            answer=self.task.format(answer),
            valid=not broken,
            violations=tuple(broken),
            settled=outcome.settled if sure is None else outcome.confidence >= sure,
            halted=outcome.halted,
            residual=outcome.residual,
            relative_residual=outcome.relative_residual,
            halting_score=outcome.halting_score,
            nfe=outcome.nfe,
            restarts=outcome.restarts,
            agreement=outcome.agreement,
            confidence=outcome.confidence,
            complete=outcome.complete,
            tokens=answer,
            index=outcome.index,
        )

    def _verify(self, given: Tensor, answer: Tensor) -> bool:
        return bool(self.task.valid(given[None], self._asked(given, answer)[None])[0])

    def _asked(self, given: Tensor, answer: Tensor) -> Tensor:
        """The answer [tokens] without what the problem does not ask for."""
        return answer.masked_fill(~self.task.asked(given[None])[0], 0)

    def solve(
        self, problems: "str | Path | Iterable[str] | Problems", *, seed: int = 0, **how: Any
    ) -> list[Answer]:
        """All answers in the order of the problems; takes what `stream` takes."""
        return sorted(self.stream(problems, seed=seed, **how), key=lambda answer: answer.index)

    def calibrate(
        self, problems: Problems, *, seed: int = 0, watch: Watch | None = None, **budget: Any
    ) -> Reliability:
        """Learn from labelled problems how probable answers are right, and keep that as `calibration`.

        Half of the problems are learned from; what is returned was found on the other half. `budget`: fields
        of `Budget`, as in `budget`; what is learned holds for these alone.

        Raises:
            DataError: nothing can be learned from these problems.
        """
        spent = self.budget(**budget)
        learned, found = calibrate(self.engine, problems, spent, seed=seed, watch=watch)
        self.calibration = replace(learned, conditions=conditions(spent, self.engine.solver))
        return found

    def evaluate(
        self,
        problems: Problems,
        *,
        depths: tuple[int, ...] = (16,),
        breadths: tuple[int, ...] = (1,),
        halting: str = "recipe",
        seed: int = 0,
        watch: Watch | None = None,
    ) -> Evaluation:
        """Accuracy against compute on labelled problems (see `diagnostics.evaluation`)."""
        return evaluate(
            self.engine,
            problems,
            depths=depths,
            breadths=breadths,
            task=self.task,
            halting=self.halting(halting),
            seed=seed,
            watch=watch,
            context=self.origin(),
        )

    def watch(
        self,
        problem: Problems,
        *,
        depth: int = 32,
        breadth: int = 8,
        halting: str = "fixed",
        seed: int = 0,
        states: bool = False,
        watch: Watch | None = None,
    ) -> Scene:
        """Restarts of one problem, iteration by iteration (see `diagnostics.watching`).

        Args:
            problem: one row.
            depth: iterations.
            breadth: restarts.
            halting: a rule by name that may end them earlier.
            seed: of all draws.
            states: keep states too, as far as they fit, and not answers and residuals alone.
            watch: told of the progress.

        Raises:
            EquilibriaError: there is not one problem but none, or several.
        """
        if len(problem) != 1:
            raise EquilibriaError(f"one problem can be watched at a time, not {len(problem)}")
        recorder = Recorder(Record(states=1 if states else 0))
        self.engine.pools(
            problem.inputs,
            depths=(depth,),
            breadth=breadth,
            halting=self.halting(halting),
            seed=seed,
            identifiers=problem.identifiers,
            watch=watch,
            recorders=(recorder,),
        )
        streams, whole, width = self.reasoner.state_shape
        elements = streams * (whole - self.reasoner.shape.tokens + problem.inputs.shape[1]) * width
        tolerance = self.recipe.inference.tolerance
        return scene_of(self.task, problem, recorder.recording(), elements=elements, tolerance=tolerance)

    def diagnose(
        self,
        problems: Problems,
        *,
        depth: int = 16,
        breadth: int = 32,
        halting: str = "settled",
        seed: int = 0,
        watch: Watch | None = None,
        data: str = "",
        changes: Sequence[str] = (),
        trained: Recipe | None = None,
    ) -> Diagnosis:
        """Whether it settles on the right answers, and what follows (see `diagnostics.diagnose`).

        Args:
            problems: with labels.
            depth, breadth: iterations of a trajectory at most, and restarts of a problem.
            halting: which trajectories leave early: "settled", those that have come to rest; or a name that
                `halting` knows.
            seed: of all draws.
            watch: told of the progress.
            data: file of the problems, for the report and the commands in it; empty: held out by the recipe.
            changes: overrides that the reasoner was loaded with.
            trained: recipe without them, which tells how it was trained; None: its own.

        Raises:
            EquilibriaError: there is nothing to diagnose; says why.
        """
        from equilibria.diagnostics.diagnose import Origin, diagnose  # slow to import, and only this needs it

        made = trained or self.recipe
        beside = Path(self.name) / checkpoint.RECIPE
        origin = Origin(
            reasoner=self.name,
            recipe=made.name,
            recipe_file=str(beside) if beside.is_file() else "",
            family=made.reasoner.family,
            changes=tuple(changes),
            data=data,
            trained_depth=made.training.depth,
            trained_initial=getattr(made.reasoner, "initial", None),
            trained_noise=getattr(made.reasoner, "noise", None),
            code=code_version(),
        )
        return diagnose(
            self.engine,
            self.task,
            problems,
            origin,
            depth=depth,
            breadth=breadth,
            halting=None if halting == "settled" else self.halting(halting),
            tolerance=self.recipe.inference.tolerance,
            seed=seed,
            watch=watch,
        )

    def vote(
        self,
        problems: Problems,
        *,
        depths: tuple[int, ...] = (16,),
        breadths: tuple[int, ...] = (1,),
        halting: str = "recipe",
        variants: int | None = None,
        seed: int = 0,
        watch: Watch | None = None,
    ) -> list[Voting]:
        """pass@1 and pass@2 on labelled tests of ARC, by votes over variants (see `diagnostics.voting`).

        Raises:
            DataError: the task is not arc, or the problems have no labels or identities.
        """
        return vote(
            self.engine,
            voters(self.task),
            problems,
            depths=depths,
            breadths=breadths,
            halting=self.halting(halting),
            variants=variants,
            seed=seed,
            watch=watch,
        )

    def origin(self) -> dict[str, Any]:
        """Where results come from: reasoner, recipe and code, as plain data."""
        recipe = self.recipe.model_dump(mode="json")
        return {"reasoner": self.name, "recipe": recipe, "code": code_version()}

    def save(self, folder: str | Path) -> Path:
        """Write weights, recipe and card to a folder that `load` reads back.

        The weights are written in the dtype that the recipe keeps; bf16 halves the file and is read back as
        float32.
        """
        target = Path(folder)
        facts = {"code": code_version()} | (self.facts or {})
        dtype = torch.bfloat16 if self.recipe.training.keep == "bf16" else torch.float32
        state: dict[str, Tensor] = self.reasoner.state_dict()
        weights = {n: value.to(dtype) if value.is_floating_point() else value for n, value in state.items()}
        calibration = "" if self.calibration is None else self.calibration.to_json()
        checkpoint.write_checkpoint(target, weights, self.recipe.to_yaml(), self.card, facts, calibration)
        return target

    def push_to_hub(self, repository: str, *, private: bool = False) -> str:
        """Upload to the Hugging Face Hub as `owner/name`; returns the address of the commit."""
        with tempfile.TemporaryDirectory() as folder:
            return checkpoint.push(self.save(folder), repository, private)
