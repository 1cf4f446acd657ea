"""Problems for reasoners to solve.

A task is a module or package of this folder with one `Task` subclass, a Python file given by its path, or
what an installed package offers (see `external`).
"""

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from equilibria.errors import RecipeError
from equilibria.tasks import external
from equilibria.tasks.interface import Task
from equilibria.tasks.problems import Problems
from equilibria.tasks.reading import Rejected, Scan
from equilibria.tasks.splits import Splits, load_splits

__all__ = [
    "Problems",
    "Rejected",
    "Scan",
    "Splits",
    "Task",
    "load_splits",
    "load_task",
    "task_class",
    "task_names",
]


def task_names() -> list[str]:
    """Names of all tasks: those of this folder, then those that installed packages offer."""
    own = [module.name for module in pkgutil.iter_modules(__path__) if _find(module.name) is not None]
    return own + [name for name in external.offered() if name not in own]


def task_class(name: str) -> type[Task]:
    """The class of the task called `name`, or defined in the Python file of this path.

    Raises RecipeError naming the nearest one there is, or what is wrong with the file.
    """
    if external.is_path(name):
        return external.from_file(name)
    known = {module.name for module in pkgutil.iter_modules(__path__)}
    found = _find(name) if name in known else external.from_package(name)
    if found is None:
        names = task_names()
        raise RecipeError(
            f"there is no task {name!r}; nearest: {_nearest(name, names)!r}; all: {', '.join(names)}"
        )
    return found


def load_task(config: Mapping[str, Any]) -> Task:
    """The task that a recipe describes, such as `{"name": "sudoku", "box": [2, 3]}`.

    Raises RecipeError for a task that does not exist, and for a key it lacks or that has the wrong type.
    """
    settings = dict(config)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise RecipeError(f"a task needs a name, one of: {', '.join(task_names())}")
    cls = task_class(name)
    try:
        return cls(cls.Config.model_validate(settings))
    except ValidationError as error:
        raise RecipeError("; ".join(_explain(name, cls, problem) for problem in error.errors())) from None


def _explain(name: str, cls: type[Task], problem: Any) -> str:
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        keys = list(cls.Config.model_fields)
        nearest = f"nearest: {_nearest(key, keys)!r}" if keys else "it has none"
        return f"task {name} has no key {key!r}; {nearest}"
    if not key:  # keys that do not go together
        return f"task {name}: {problem['msg'].removeprefix('Value error, ')}"
    return f"task {name}, key {key!r}: {problem['msg']}; it is {problem['input']!r}"


def _nearest(word: str, words: list[str]) -> str:
    return difflib.get_close_matches(word, words, n=1, cutoff=0.0)[0]


def _find(name: str) -> type[Task] | None:
    module = importlib.import_module(f"{__name__}.{name}")
    found = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Task) and value is not Task
    }
    return found.pop() if len(found) == 1 else None
