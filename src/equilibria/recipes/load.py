"""YAML and dotted overrides → a validated recipe, or an error that names the key."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from yaml import YAMLError

from equilibria.errors import RecipeError
from equilibria.reasoners import configure, family
from equilibria.recipes.recipe import Recipe
from equilibria.tasks import load_task
from equilibria.training.config import TrainingConfig

_FOLDER = files("equilibria.recipes")


def recipe_names() -> list[str]:
    """Recipes in the package."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml")
    )


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe of the package by name, or a YAML file by path, with `section.key=value` overrides on top.

    `data=FILE` is short for `data.source=FILE`.

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
        changes = OmegaConf.from_dotlist([_whole(override) for override in overrides])
        _drop_other_kinds(written, changes)
        values = OmegaConf.to_container(OmegaConf.merge(written, changes), resolve=True)
    except (OmegaConfBaseException, YAMLError) as error:
        raise RecipeError(f"{where}: not a readable recipe: {error}") from error
    assert isinstance(values, dict)
    return _validate({str(key): value for key, value in values.items()}, where)


def _whole(override: str) -> str:
    """An override with its key written out, where it names the data by the section: `data=FILE`."""
    key, _, value = override.partition("=")
    return f"data.source={value}" if key == "data" and not value.lstrip().startswith("{") else override


CHOICES = {"solver": "name", "schedule": "name", "gradient": "name", "halting": "rule"}
"""Sections of which there are kinds, each with fields of its own, and the key that says which it is."""


def _drop_other_kinds(written: DictConfig, changes: DictConfig) -> None:
    """Where an override chooses another kind of section (`training.solver.name=anderson`), forget the fields
    that the recipe gave the kind it had: the new one starts from its own defaults."""
    for key in list(changes):
        own, change = written.get(key), changes[key]
        if not isinstance(own, DictConfig) or not isinstance(change, DictConfig):
            continue
        kind = CHOICES.get(str(key))
        if kind and kind in change and change[kind] != own.get(kind):
            written[key] = {}
        else:
            _drop_other_kinds(own, change)


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
    if isinstance(values.get("training"), dict):
        values = values | {"training": _kinds_named(values["training"])}
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


def _kinds_named(training: dict[str, Any]) -> dict[str, Any]:
    """The section with the kind written out where only fields of the default kind are given."""
    for key, kind in CHOICES.items():
        if isinstance(training.get(key), dict) and kind not in training[key]:
            default = getattr(TrainingConfig.model_fields[key].default, kind)
            training = training | {key: {kind: default} | training[key]}
    return training


def _explain(
    error: ValidationError, model: type[BaseModel], section: tuple[str, ...], where: str
) -> Iterator[str]:
    """One line per fault: the key, what is wrong, and the nearest valid key."""
    for fault in error.errors():
        path, valid = [*section], _walk(model, [str(part) for part in fault["loc"]])
        path += [part for part, _ in valid]
        key = ".".join(path)
        if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            near = get_close_matches(path[-1], valid[-1][1], n=1, cutoff=0.4)
            hint = (
                f"did you mean '{'.'.join([*path[:-1], near[0]])}'?"
                if near
                else f"valid: {', '.join(valid[-1][1])}"
            )
            yield f"{where}: unknown key '{key}'; {hint}"
        elif fault["type"] == "missing":
            yield f"{where}: the key '{key}' is missing"
        else:
            message = fault["msg"].removeprefix("Value error, ")
            value = "" if isinstance(fault["input"], Mapping) else f" (got {fault['input']!r})"
            yield f"{where}: {key}: {message}{value}" if key else f"{where}: {message}"


def _walk(model: type[Any], path: list[str]) -> list[tuple[str, list[str]]]:
    """Each part of a path into a model, with the keys valid there; the names of kinds are passed over."""
    found: list[tuple[str, list[str]]] = []
    kinds: dict[str, type[Any]] = {}
    here: type[Any] | None = model
    for part in path:
        if part in kinds:  # the section's kind, which an error names between the section and its field
            here, kinds = kinds[part], {}
            continue
        annotations = _annotations(here) if here else {}
        found.append((part, list(annotations)))
        if part.isdigit():  # a place in a list; the list's annotation named its model
            continue
        models = _models(annotations.get(part))
        tags = {str(field.default): one for one in models for field in _tags(one)}
        kinds = tags if len(models) > 1 else {}
        here = models[0] if len(models) == 1 else None
    return found


def _annotations(model: type[Any]) -> dict[str, Any]:
    """Keys of a model and what they hold."""
    if issubclass(model, BaseModel):
        return {name: field.annotation for name, field in model.model_fields.items()}
    hints = get_type_hints(model, include_extras=True)
    return {field.name: hints[field.name] for field in fields(model)}


def _models(annotation: Any) -> list[type[Any]]:
    """The models inside an annotation, in order."""
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _tags(model: type[Any]) -> list[Any]:
    """The fields that name a kind."""
    return [field for field in fields(model) if field.name in CHOICES.values()] if is_dataclass(model) else []
