"""Tasks from outside this package: a Python file given by its path, or what an installed package offers."""

import importlib.util
import sys
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from traceback import extract_tb

from equilibria.errors import RecipeError
from equilibria.tasks.interface import Task

GROUP = "equilibria.tasks"
"""Entry points of this group are tasks: in pyproject.toml, [project.entry-points."equilibria.tasks"]."""


def is_path(name: str) -> bool:
    """Whether a task's name is the path of a Python file."""
    return name.endswith(".py")


def from_file(name: str) -> type[Task]:
    """The one `Task` class that the Python file at this path defines. The file is run.

    Raises RecipeError where there is no file, it does not run, or it defines none or several.
    """
    path = Path(name).resolve()
    if not path.is_file():
        raise RecipeError(f"task {name}: there is no such file; name a Python file with one Task subclass")
    return _load(path, path.stat().st_mtime_ns, name)


@lru_cache(maxsize=64)
def _load(path: Path, changed: int, name: str) -> type[Task]:
    """The same; run once as long as the file does not change, so that its class stays one class."""
    module_name = f"equilibria_task_{sha256(f'{path}:{changed}'.encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # annotations are looked up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises; a traceback would show our frames only
        del sys.modules[module_name]
        raise RecipeError(f"task {name} does not run: {_reason(error, path)}") from error
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Task) and value.__module__ == module_name
    ]
    if len(found) != 1:
        names = f" ({', '.join(cls.__name__ for cls in found)})" if found else ""
        raise RecipeError(f"task {name} must define one subclass of Task; it defines {len(found)}{names}")
    return _whole(found[0], name)


def offered() -> list[str]:
    """Names of the tasks that installed packages offer."""
    return sorted({point.name for point in _points()})


def from_package(name: str) -> type[Task] | None:
    """The task that an installed package offers as `name`; None where there is none.

    Raises RecipeError where it cannot be imported or is no task.
    """
    point = next((point for point in _points() if point.name == name), None)
    if point is None:
        return None
    try:
        cls = point.load()
    except Exception as error:  # whatever the package raises
        raise RecipeError(f"task {name} ({point.value}) cannot be imported: {error}") from error
    if not (isinstance(cls, type) and issubclass(cls, Task)):
        raise RecipeError(f"task {name} ({point.value}) must be a subclass of equilibria.Task")
    return _whole(cls, name)


def _points() -> list[EntryPoint]:
    return list(entry_points(group=GROUP))


def _whole(cls: type[Task], name: str) -> type[Task]:
    """`cls`, if it has all that a task needs."""
    missing = sorted(cls.__abstractmethods__)
    if not missing and isinstance(getattr(cls, "name", None), str):
        return cls
    what = ", ".join(missing) if missing else "name"
    raise RecipeError(f"task {name}: its class {cls.__name__} lacks {what}; see equilibria.Task")


def _reason(error: Exception, path: Path) -> str:
    """What went wrong and in which line of the file."""
    if isinstance(error, SyntaxError):  # says itself where
        return f"{type(error).__name__}: {error}"
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}{where}"
