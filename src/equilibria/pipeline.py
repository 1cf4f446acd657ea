"""What a user holds: a reasoner with its task, its recipe and its card."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equilibria import checkpoint
from equilibria.diagnostics.evaluation import Evaluation, evaluate
from equilibria.dynamics.halting import FixedDepth, Halting, LearnedHead
from equilibria.errors import CheckpointError, DataError, EquilibriaError, RecipeError
from equilibria.inference.budget import Budget
from equilibria.inference.engine import Engine
from equilibria.reasoners.interface import Reasoner
from equilibria.recipes import Recipe, parse_recipe
from equilibria.tasks import Problems, Task
from equilibria.version import code_version


def shipped_folder() -> Path:
    """Where shipped reasoners are: inside an installed package, or `checkpoints/` of a source tree."""
    inside = Path(str(files("equilibria"))) / "shipped"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / "checkpoints"


HELD_OUT = "held-out.csv"


@dataclass(frozen=True)
class Answer:
    """What a reasoner says of one problem, and how far to trust it.

    Attributes:
        problem: the problem as one line.
        answer: the answer as one line.
        valid: whether it keeps all rules of the task.
        violations: the rules it breaks, in words.
        settled: whether the trajectory it was read from came to rest.
        residual: that trajectory's mean `‖z_{k+1} − z_k‖₂` over its last three iterations.
        relative_residual: the same as a root-mean-square per element of the state.
        halting_score: probability of being right that the halting head gives it; NaN without such a head.
        nfe: iterations run for this problem, over all restarts.
        agreement: share of restarts with this very answer.
        tokens: the answer as tokens.
    """

    problem: str
    answer: str
    valid: bool
    violations: tuple[str, ...]
    settled: bool
    residual: float
    relative_residual: float
    halting_score: float
    nfe: int
    agreement: float
    tokens: Tensor


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
    """

    reasoner: Reasoner[Any]
    task: Task
    recipe: Recipe
    card: str = ""
    facts: dict[str, str] | None = None
    name: str = "unnamed"

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

    @cached_property
    def engine(self) -> Engine:
        """Runs the reasoner."""
        return Engine(self.reasoner, solver=self.recipe.solver)

    def budget(self, **changes: Any) -> Budget:
        """The recipe's budget with some of its fields changed; None leaves a field as it is."""
        own = self.recipe.inference
        known = {name: value for name, value in changes.items() if value is not None}
        if isinstance(known.get("halting"), str):
            known["halting"] = self.halting(known["halting"])
        return replace(Budget(own.depth, own.breadth, own.halting, tolerance=own.tolerance), **known)

    def halting(self, name: str) -> Halting:
        """A halting rule by name: "recipe", "fixed" or "learned".

        Raises:
            EquilibriaError: another word.
        """
        rules = {"recipe": self.recipe.inference.halting, "fixed": FixedDepth(), "learned": LearnedHead()}
        if name not in rules:
            raise EquilibriaError(f"halting must be one of {', '.join(rules)}, not {name!r}")
        return rules[name]

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

    def stream(
        self, problems: "str | Path | Iterable[str] | Problems", *, seed: int = 0, **budget: Any
    ) -> Iterator[Answer]:
        """Answers in order, each as soon as its chunk is done. `budget`: fields of `Budget`."""
        read = self.problems(problems)
        for outcome in self.engine.solve(read.inputs, self.budget(**budget), seed=seed):
            given = read.inputs[outcome.index]
            answer = outcome.tokens.masked_fill(given == 0, 0)  # a pad asks for nothing
            broken = self.task.violations(given[None], answer[None])[0]
            yield Answer(
                problem=self.task.format(given),
                answer=self.task.format(answer),
                valid=not broken,
                violations=tuple(broken),
                settled=outcome.settled,
                residual=outcome.residual,
                relative_residual=outcome.relative_residual,
                halting_score=outcome.halting_score,
                nfe=outcome.nfe,
                agreement=outcome.agreement,
                tokens=answer,
            )

    def solve(
        self, problems: "str | Path | Iterable[str] | Problems", *, seed: int = 0, **budget: Any
    ) -> list[Answer]:
        """All answers at once; as `stream`."""
        return list(self.stream(problems, seed=seed, **budget))

    def evaluate(
        self,
        problems: Problems,
        *,
        depths: tuple[int, ...] = (16,),
        breadths: tuple[int, ...] = (1,),
        halting: str = "recipe",
        seed: int = 0,
        progress: Any = None,
    ) -> Evaluation:
        """Accuracy against compute on labelled problems (see `diagnostics.evaluation`)."""
        return evaluate(
            self.engine,
            problems,
            depths=depths,
            breadths=breadths,
            halting=self.halting(halting),
            seed=seed,
            progress=progress,
            context={
                "reasoner": self.name,
                "recipe": self.recipe.model_dump(mode="json"),
                "code": code_version(),
            },
        )

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
        checkpoint.write_checkpoint(target, weights, self.recipe.to_yaml(), self.card, facts)
        return target

    def push_to_hub(self, repository: str, *, private: bool = False) -> str:
        """Upload to the Hugging Face Hub as `owner/name`; returns the address of the commit."""
        with tempfile.TemporaryDirectory() as folder:
            return checkpoint.push(self.save(folder), repository, private)


def shipped_names() -> list[str]:
    """Reasoners in the package."""
    folder = shipped_folder()
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if (entry / checkpoint.WEIGHTS).is_file())


def find_checkpoint(name: str | Path) -> Path:
    """The folder of a shipped reasoner, a checkpoint folder itself, or a Hub checkpoint, fetched.

    Raises:
        CheckpointError: there is none of that name.
    """
    if str(name) in shipped_names():
        return shipped_folder() / str(name)
    if Path(name).is_dir():
        return Path(name)
    if str(name).count("/") == 1 and not str(name).startswith((".", "/")):
        return checkpoint.fetch(str(name))
    raise CheckpointError(
        f"no reasoner '{name}': shipped are {', '.join(shipped_names()) or 'none'}; "
        "or give a checkpoint folder, or a Hub id owner/name"
    )


def held_out_problems(name: str | Path) -> Problems:
    """The labelled problems that lie beside a shipped reasoner's weights: it never saw them in training.

    Raises:
        CheckpointError: this checkpoint brings none.
    """
    file = find_checkpoint(name) / HELD_OUT
    if not file.is_file():
        raise CheckpointError(f"{file}: this checkpoint brings no held-out problems")
    return load(name).task.read(file)


def load(name: str | Path, device: str | torch.device = "cpu", overrides: Sequence[str] = ()) -> Pipeline:
    """A shipped reasoner by name, a checkpoint folder, or a Hub id `owner/name`.

    Args:
        name: which.
        device: where it shall run.
        overrides: `section.key=value` on top of its recipe: how it is run, as in `reasoner.noise=0` or
            `inference.solver.name=anderson`; what its weights are made of cannot change.

    Raises:
        CheckpointError: there is none, it is damaged, or its weights do not fit the overrides.
        RecipeError: an override names something that does not exist or does not fit.
    """
    folder = find_checkpoint(name)
    content = checkpoint.read_checkpoint(folder)
    try:
        recipe = parse_recipe(content.recipe, where=str(folder / checkpoint.RECIPE))
    except RecipeError as error:
        raise CheckpointError(str(error)) from error
    if overrides:
        recipe = parse_recipe(content.recipe, overrides, where=str(name))
    task = recipe.build_task()
    reasoner = recipe.build_reasoner(task)
    try:
        reasoner.load_state_dict(content.weights)
    except RuntimeError as error:
        raise CheckpointError(f"{folder}: weights do not fit the recipe beside them: {error}") from error
    reasoner.to(device).eval()
    return Pipeline(reasoner, task, recipe, content.card, content.facts, str(name))


def load_for(text: str, device: str | torch.device = "cpu") -> Pipeline:
    """The shipped reasoner whose task can read `text`.

    Raises:
        CheckpointError: none can; says what ships.
    """
    shapes: list[str] = []
    for name in shipped_names():
        pipeline = load(name, device)
        height, width = pipeline.task.board
        shapes.append(f"{name} ({pipeline.task.name} {height}x{width})")
        if type(pipeline.task).for_text(text).board == pipeline.task.board:
            return pipeline
    raise CheckpointError(
        f"no shipped reasoner fits this problem; there are: {', '.join(shapes) or 'none'}. "
        "Train one (equilibria train) and name it with --with"
    )
