"""YAML and dotted overrides → a validated recipe, or an error that names the key."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from yaml import YAMLError

from equilibria.errors import RecipeError
from equilibria.reasoners import configure, family
from equilibria.recipes.recipe import Recipe
from equilibria.tasks import load_task

_FOLDER = files("equilibria.recipes")


def recipe_names() -> list[str]:
    """Recipes in the package."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml")
    )


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe of the package by name, or a YAML file by path, with `section.key=value` overrides on top.

    Raises:
        RecipeError: no such recipe, or a key or value that does not exist or does not fit.
    """
    return parse_recipe(_read(name), overrides, where=name)


def parse_recipe(text: str, overrides: Sequence[str] = (), where: str = "recipe") -> Recipe:
    """The same from the YAML itself; `where` names it in errors."""
    for override in overrides:
        key, equals, _ = override.partition("=")
        if not equals or not key:
            raise RecipeError(f"override '{override}': write section.key=value, as in training.steps=500")
    try:
        written = OmegaConf.create(text)
        if not isinstance(written, DictConfig):
            raise RecipeError(f"{where}: a recipe is a mapping of sections, this is a list")
        values = OmegaConf.to_container(
            OmegaConf.merge(written, OmegaConf.from_dotlist(list(overrides))), resolve=True
        )
    except (OmegaConfBaseException, YAMLError) as error:
        raise RecipeError(f"{where}: not a readable recipe: {error}") from error
    assert isinstance(values, dict)
    return _validate({str(key): value for key, value in values.items()}, where)


def _read(name: str) -> str:
    if name in recipe_names():
        return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise RecipeError(f"{path}: no such recipe file")
        return path.read_text(encoding="utf-8")
    near = get_close_matches(name, recipe_names(), n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise RecipeError(
        f"no recipe '{name}'; {hint}there are: {', '.join(recipe_names())}, or give a .yaml file"
    )


def _validate(values: dict[str, Any], where: str) -> Recipe:
    if isinstance(values.get("task"), dict):
        load_task(values["task"])
    reasoner = values.get("reasoner")
    try:
        if isinstance(reasoner, Mapping):
            values = values | {"reasoner": configure(reasoner)}
    except ValidationError as error:
        model = family(str(reasoner.get("family"))).Config if isinstance(reasoner, Mapping) else Recipe
        raise RecipeError("\n".join(_explain(error, model, ("reasoner",), where))) from error
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError("\n".join(_explain(error, Recipe, (), where))) from error


def _explain(
    error: ValidationError, model: type[BaseModel], section: tuple[str, ...], where: str
) -> Iterator[str]:
    """One line per fault: the key, what is wrong, and the nearest valid key."""
    for fault in error.errors():
        path = [*section, *(str(part) for part in fault["loc"])]
        key = ".".join(path)
        if fault["type"] == "extra_forbidden":
            valid = _keys(model, [str(part) for part in fault["loc"][:-1]])
            near = get_close_matches(path[-1], valid, n=1, cutoff=0.4)
            hint = (
                f"did you mean '{'.'.join([*path[:-1], near[0]])}'?" if near else f"valid: {', '.join(valid)}"
            )
            yield f"{where}: unknown key '{key}'; {hint}"
        elif fault["type"] == "missing":
            yield f"{where}: the key '{key}' is missing"
        else:
            message = fault["msg"].removeprefix("Value error, ")
            value = "" if isinstance(fault["input"], Mapping) else f" (got {fault['input']!r})"
            yield f"{where}: {key}: {message}{value}" if key else f"{where}: {message}"


def _keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """The keys valid at a place inside a model."""
    for part in path:
        if part.isdigit():  # a place in a list; the list's annotation named its model
            continue
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *get_args(annotation)]
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not models:
            return []
        model = models[0]
    return list(model.model_fields)
