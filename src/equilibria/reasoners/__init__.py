"""f itself: one file a family. `build` finds a family by the name of its file."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from equilibria.errors import RecipeError
from equilibria.reasoners.interface import (
    Condition,
    Prediction,
    ProblemShape,
    Reasoner,
    ReasonerConfig,
    Step,
)

__all__ = [
    "Condition",
    "Prediction",
    "ProblemShape",
    "Reasoner",
    "ReasonerConfig",
    "Step",
    "configure",
    "families",
    "family",
]


def families() -> list[str]:
    """Names of the families in this package: its files, less what they share."""
    shared = {"interface", "blocks", "single_level", "initial", "advance"}
    return sorted({module.name for module in pkgutil.iter_modules(__path__)} - shared)


def family(name: str) -> type[Reasoner[Any]]:
    """The `Reasoner` that `equilibria/reasoners/<name>.py`, or the module of that dotted name, defines.

    Raises:
        RecipeError: there is no such file or module, or it defines no reasoner.
    """
    if "." not in name and name not in families():
        near = get_close_matches(name, families(), n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise RecipeError(
            f"reasoner.family: unknown family '{name}'; {hint}there are: {', '.join(families())}"
        )
    if not all(part.isidentifier() for part in name.split(".")):
        raise RecipeError(
            f"reasoner.family: cannot import '{name}': name a module on the path, as in my_package.my_family"
        )
    path = name if "." in name else f"{__name__}.{name}"
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        raise RecipeError(f"reasoner.family: cannot import '{path}': {error}") from error
    found = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Reasoner) and member.__module__ == path and not inspect.isabstract(member)
    ]
    if len(found) != 1:
        raise RecipeError(f"reasoner.family: '{path}' must define one Reasoner, it defines {len(found)}")
    return found[0]


def configure(values: Mapping[str, Any]) -> ReasonerConfig:
    """Validate the `reasoner` section of a recipe against its family's own config class."""
    return family(str(values.get("family"))).Config.model_validate(dict(values))
