"""Training and held-out problems from wherever they are: a file, a folder, a Hub dataset, or a generator."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from equilibria.errors import DataError
from equilibria.tables import table_format
from equilibria.tasks.interface import Task
from equilibria.tasks.problems import Problems
from equilibria.tasks.table import hub_file

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Splits:
    """Problems to train on, problems that are kept from training, and where both come from in words."""

    train: Problems
    held_out: Problems
    description: str


def load_splits(
    task: Task,
    source: str | Path,
    *,
    limit: int | None = None,
    only: tuple[str, ...] = (),
    held_out: str | Path | None = None,
    held_out_count: int = 1024,
    count: int = 20_000,
    seed: int = 0,
) -> Splits:
    """Labelled training and held-out problems that have no input in common.

    `source` is "generated" (`count` problems to train on and `held_out_count` more, from `seed`), a file (its
    last problems are held out, at most a tenth of it unless `limit` leaves more), a folder with train.csv and
    test.csv, or a Hub dataset `owner/name` with these files. Only the first `limit` problems are trained on.
    `held_out` names a file to hold out instead. Of what is read, only the problems whose source is among
    `only` are kept, where it names any; `limit` and `held_out_count` are then counted among these.
    Raises DataError.
    """
    for name, value in {"limit": limit, "held_out_count": held_out_count, "count": count}.items():
        if value is not None and value < 1:
            raise DataError(f"{name} {value}: it must be at least 1")
    if held_out is not None:
        train, origin = _train(task, source, limit, only, count, seed)
        held = _read(task, held_out, held_out_count, only)
        held_origin = str(held_out)
    elif str(source) == "generated":
        splits = task.generate_splits({"train": count, "held_out": held_out_count}, seed=seed)
        train, held = splits["train"][:limit], splits["held_out"]
        origin = held_origin = f"the generator with seed {seed}"
    elif Path(source).is_file():
        train, held = _cut(_read(task, source, None, only), str(source), limit, held_out_count)
        origin, held_origin = str(source), f"the end of {source}"
    else:
        origin, held_origin = _table(source, "train.csv"), _table(source, "test.csv")
        train, held = _read(task, origin, limit, only), _read(task, held_origin, held_out_count, only)
    held, dropped = _unseen(held, train)
    if not len(held):
        raise DataError(f"every problem held out ({held_origin}) is among those to train on ({origin})")
    description = f"train: {len(train):,} from {origin}; held out: {len(held):,} from {held_origin}"
    if dropped:
        description += f" ({dropped:,} more dropped, because they are in the training set)"
    return Splits(train, held, description)


def _train(
    task: Task, source: str | Path, limit: int | None, only: tuple[str, ...], count: int, seed: int
) -> tuple[Problems, str]:
    """Training problems alone, where a file to hold out is named."""
    if str(source) == "generated":
        return task.generate(count, seed=seed)[:limit], f"the generator with seed {seed}"
    path = source if Path(source).is_file() else _table(source, "train.csv")
    return _read(task, path, limit, only), str(path)


def _read(task: Task, path: str | Path, limit: int | None, only: tuple[str, ...]) -> Problems:
    """The first problems of a file, or of those in it that come from the sources `only`."""
    if not only:
        return task.read(path, limit=limit)
    problems = task.read(path)
    if missing := sorted(set(only) - set(problems.sources)):
        there = ", ".join(sorted(set(problems.sources))[:10])
        raise DataError(f"{path}: no problem has the source '{missing[0]}'; the sources are: {there}")
    return problems[torch.tensor([source in only for source in problems.sources])][:limit]


def _table(source: str | Path, filename: str) -> Path:
    """The path of train.csv or test.csv of a folder or a Hub dataset."""
    folder = Path(source)
    if folder.is_dir():
        if not (folder / filename).is_file():
            raise DataError(f"{folder} has no {filename}: add it, or name a file")
        return folder / filename
    if not HUB_NAME.fullmatch(str(source)) or table_format(folder) or folder.suffix == ".txt":
        raise DataError(
            f"{source}: no such file or folder; give one, a Hub dataset (owner/name), or 'generated'"
        )
    return hub_file(str(source), filename)


def _cut(problems: Problems, origin: str, limit: int | None, most: int) -> tuple[Problems, Problems]:
    """The first problems to train on and the last ones to hold out, which do not overlap."""
    total = len(problems)
    spare = total // 10 if limit is None else max(total - limit, 0)
    held = min(most, spare)
    if held == 0:
        raise DataError(
            f"{origin} has {total} problems, which leaves none to hold out: "
            f"lower limit, or name a held_out file"
        )
    return problems[: total - held][:limit], problems[total - held :]


def _unseen(held: Problems, train: Problems) -> tuple[Problems, int]:
    """The held-out problems whose input is not in the training set, and how many are."""
    inputs = list(_rows(held))
    seen = set(inputs).intersection(_rows(train))
    unseen = torch.tensor([row not in seen for row in inputs])
    return held[unseen], int((~unseen).sum())


def _rows(problems: Problems) -> Iterator[bytes]:
    return (row.tobytes() for row in problems.inputs.numpy())
