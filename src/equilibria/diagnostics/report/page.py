"""The page: a template filled with the numbers of a diagnosis and pictures of them.

Every number on it stands in the JSON of the same diagnosis, and is rounded from there.
"""

import json
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from equilibria.diagnostics.advice import NAMES, percent, points, spread
from equilibria.diagnostics.diagnosis import Diagnosis
from equilibria.diagnostics.landscape import MEANING
from equilibria.diagnostics.report import figures
from equilibria.diagnostics.report.landscapes import landscape
from equilibria.errors import DataError
from equilibria.files import write_text

TEMPLATE = "page.html.j2"


def page(found: Diagnosis) -> str:
    """The whole report as HTML: no scripts, nothing from elsewhere, light or dark as the reader's system."""
    environment = Environment(
        loader=PackageLoader("equilibria.diagnostics.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent, points=_points, number=_number, bounds=_bounds, change=_change
    )
    told = found.to_dict()
    return environment.get_template(TEMPLATE).render(
        told=told,
        drawn={name: Markup(svg) for name, svg in _drawn(found).items()},
        landscapes=[Markup(landscape(picture)) for picture in found.pictures],
        difficulties=[Markup(figures.difficulty(each)) for each in found.difficulty],
        names=NAMES,
        meaning=MEANING,
        advice=[(advice, [(path, shown(told, path)) for path in advice.evidence]) for advice in found.advice],
    )


def value_at(told: Any, path: str) -> Any:
    """What stands at "section.name" in the plain data of a diagnosis; lists are counted from 0.

    Raises:
        KeyError, IndexError: nothing stands there.
    """
    for part in path.split("."):
        told = told[int(part)] if isinstance(told, list) else told[part]
    return told


def shown(told: Any, path: str) -> str:
    """The same in words."""
    value = value_at(told, path)
    if isinstance(value, list):
        return " to ".join(_number(item) for item in value)
    return _number(value) if isinstance(value, int | float) or value is None else str(value)


def _drawn(found: Diagnosis) -> dict[str, str]:
    """The pictures that there are numbers for, by section."""
    drawn = {
        "accuracy": figures.accuracy(found.accuracy),
        "breadth": figures.selection(found.breadth),
        "modes": figures.modes(found.modes),
        "path_independence": figures.independence(found.path_independence),
        "residuals": figures.residuals(found.residuals, found.setting.tolerance),
    }
    if found.coupling.bins:
        drawn["coupling"] = figures.coupling(found.coupling)
    if found.basins:
        drawn["basins"] = figures.basins(found.basins)
    if found.local:
        drawn["local"] = figures.eigenvalues(found.local)
    if found.head is not None:
        drawn["head"] = figures.head(found.head)
    if found.stopping:
        drawn["stopping"] = figures.stopping(found.stopping, found.accuracy)
    return drawn


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _percent(value: float | None) -> str:
    return percent(value) if value is not None and _known(value) else "–"


def _points(value: float | None) -> str:
    return points(value) if value is not None and _known(value) else "–"


def _number(value: float | bool | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or not _known(value):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _change(value: list[float | None]) -> str:
    low, high = value
    return "–" if low is None or high is None else spread((low, high))


def _bounds(value: list[float | None]) -> str:
    low, high = value
    return "–" if low is None or high is None else f"{100 * low:.1f}–{100 * high:.1f}"


def check_report(path: Path) -> None:
    """Raises DataError where a report could not be written to `path`, before anything is computed."""
    if path.suffix.lower() != ".html":
        raise DataError(f"{path}: a report is a page; give a name that ends in .html")
    if not path.absolute().parent.is_dir():
        raise DataError(f"{path}: there is no folder {path.parent}; make it first")
    for file in (path, path.with_suffix(".json")):
        if file.is_dir():
            raise DataError(f"{file} is a folder; name a file")
    probe = path.with_name(f".{path.name}.probe")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); name another place") from None


def write_report(found: Diagnosis, path: Path) -> Path:
    """Write the page to `path`, and its numbers as JSON beside it, whose place is returned.

    A killed write leaves the old files whole. Raises DataError as `check_report` does.
    """
    check_report(path)
    numbers = path.with_suffix(".json")
    write_text(numbers, json.dumps(found.to_dict(), indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    write_text(path, page(found))
    return numbers
