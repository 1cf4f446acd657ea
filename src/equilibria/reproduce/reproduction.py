"""What a reproduction is: a paper's table or figure, made again by one call, beside the published numbers."""

import csv
import io
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from equilibria.cards import hardware
from equilibria.errors import EquilibriaError
from equilibria.files import write_text
from equilibria.training.launch import Launch
from equilibria.version import code_version

Row = dict[str, Any]
CONFIG = "config.yaml"


@dataclass(frozen=True)
class Sheet:
    """A table of results.

    Attributes:
        name: of its CSV file.
        title: above it.
        rows: what was found, unrounded; the keys are the columns of the CSV file.
        columns: what is shown of it: heading → a format of the row, as in `{accuracy:.1f}`; none: too long to
            show.
    """

    name: str
    title: str
    rows: Sequence[Row]
    columns: Mapping[str, str]

    def shown(self) -> list[list[str]]:
        """The cells as a person reads them; a dash where there is nothing."""
        return [
            [
                template.format_map({k: _Nothing() if v is None else v for k, v in row.items()})
                for template in self.columns.values()
            ]
            for row in self.rows
        ]

    def csv(self) -> str:
        """All of it, for a program to read."""
        text = io.StringIO()
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


class _Nothing:
    def __format__(self, spec: str) -> str:
        return "–"


@dataclass(frozen=True)
class Findings:
    """What a reproduction found.

    Attributes:
        sheets: the tables, the most important first.
        notes: what they show, and what they do not, a sentence each.
        pictures: the files drawn.
        configuration: everything that determined the numbers, beyond the call itself.
    """

    sheets: Sequence[Sheet]
    notes: Sequence[str]
    pictures: Sequence[Path]
    configuration: Mapping[str, Any]


@dataclass(frozen=True)
class Setup:
    """How a reproduction is to be made.

    Attributes:
        scale: one of its scales.
        out: the folder of its results.
        cache: the folder of trained reasoners, which later calls use again.
        seeds: how many, from the recipes' own on.
        jobs: runs side by side.
        device: "auto", "cpu", "cuda" or "mps".
        overrides: `section.key=value`, on top of every recipe it uses.
        say: takes a line about what is going on.
    """

    scale: str
    out: Path
    cache: Path
    seeds: int
    jobs: int
    device: str
    overrides: tuple[str, ...]
    say: Callable[[str], object]

    @property
    def seeds_in_words(self) -> str:
        """`2 seeds`."""
        return f"{self.seeds} seed{'s' if self.seeds > 1 else ''}"


@dataclass(frozen=True)
class Reproduction:
    """A table or figure that can be made.

    Attributes:
        name: to ask for it.
        what: the paper's table or figure.
        scales: what it costs at each scale it can be made at, in words.
        run: makes it.
        seeds: how many runs of each kind, where the user does not say.
    """

    name: str
    what: str
    scales: Mapping[str, str]
    run: Callable[[Setup], Findings]
    seeds: int = 2

    def cost(self, scale: str) -> str:
        """What it takes, in words.

        Raises:
            EquilibriaError: there is no such scale.
        """
        if scale not in self.scales:
            raise EquilibriaError(f"{self.name} has no scale '{scale}'; there are: {', '.join(self.scales)}")
        return self.scales[scale]

    def make(
        self,
        scale: str = "cpu",
        overrides: Sequence[str] = (),
        *,
        out: str | Path | None = None,
        cache: str | Path = "runs/reproduce",
        seeds: int | None = None,
        jobs: int | None = None,
        device: str = "auto",
        say: Callable[[str], object] = print,
    ) -> Findings:
        """Make it, and write tables (CSV, those shown in `findings.json`, too), pictures and `config.yaml`.

        Runs that an earlier call finished are used again, those that it did not finish go on.

        Args:
            scale: how large.
            overrides: `section.key=value`, on top of every recipe it uses.
            out: the folder of its results; by default one of its name in `cache`.
            cache: the folder of trained reasoners.
            seeds: how many runs of each kind; by default as the reproduction says.
            jobs: runs side by side; by default as many as there are cores, or one where there is a GPU.
            device: "auto", "cpu", "cuda" or "mps".
            say: takes a line about what is going on.

        Raises:
            EquilibriaError: there is no such scale, or a run had to stop.
        """
        self.cost(scale)
        wanted = self.seeds if seeds is None else seeds
        if wanted < 1 or (jobs is not None and jobs < 1):
            raise EquilibriaError("seeds and jobs must be at least 1")
        where = Launch(device).device
        side_by_side = jobs or (cores() if where.type == "cpu" else 1)
        folder = Path(out) if out is not None else Path(cache) / self.name
        setup = Setup(scale, folder, Path(cache), wanted, side_by_side, device, tuple(overrides), say)
        began = time.perf_counter()
        findings = self.run(setup)
        for sheet in findings.sheets:
            write_text(folder / f"{sheet.name}.csv", sheet.csv())
        tables = {sheet.name: list(sheet.rows) for sheet in findings.sheets if sheet.columns}
        content = json.dumps({"notes": list(findings.notes)} | tables, indent=1)
        write_text(folder / "findings.json", content + "\n")
        made = self._asked(scale, overrides, wanted) | {
            "hardware": hardware(where),
            "minutes": round((time.perf_counter() - began) / 60, 1),
        }
        text = OmegaConf.to_yaml(OmegaConf.create(made | dict(findings.configuration)))
        write_text(folder / CONFIG, text)
        return findings

    def finished(
        self, folder: Path, scale: str = "cpu", overrides: Sequence[str] = (), seeds: int | None = None
    ) -> bool:
        """Whether a call like this one wrote its results to `folder`, with the very code that runs now."""
        asked = self._asked(scale, overrides, self.seeds if seeds is None else seeds)
        if "dirty" in asked["code"] or not (folder / CONFIG).is_file():
            return False
        kept = OmegaConf.to_container(OmegaConf.load(folder / CONFIG))
        return isinstance(kept, dict) and all(kept.get(name) == value for name, value in asked.items())

    def _asked(self, scale: str, overrides: Sequence[str], seeds: int) -> dict[str, Any]:
        return {
            "reproduction": self.name,
            "what": self.what,
            "scale": scale,
            "overrides": list(overrides),
            "seeds": seeds,
            "code": code_version(),
            "torch": str(torch.__version__),
        }


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint at what may have been meant, for an error."""
    near = get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'? " if near else ""


def mean(rows: Sequence[Row], key: str) -> float:
    """Of one column."""
    return sum(row[key] for row in rows) / len(rows)


def half_range(rows: Sequence[Row], key: str) -> float:
    """Half of the range of one column: how far the seeds of one thing spread."""
    values = [row[key] for row in rows]
    return (max(values) - min(values)) / 2
