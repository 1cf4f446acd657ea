"""Training and held-out problems from wherever they are: a file, a folder, a Hub dataset, or a generator."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from equilibria.errors import DataError
from equilibria.tables import SUFFIXES, existing_file, table_format
from equilibria.tasks.interface import Task
from equilibria.tasks.problems import Problems
from equilibria.tasks.table import hub_file

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
HUB_FILE = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)/(.+)")


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
    last problems are held out, at most a tenth of it unless `limit` leaves more; or those that the task
    chooses), a folder with train.csv and test.csv (or tables of other formats), a Hub dataset `owner/name`
    with train.csv and test.csv, or a file of one, hf://datasets/owner/name/FILE. Only the first `limit`
    problems are trained on. A task may know sources of its own (`Task.own_splits`).
    `held_out` names a file, here or on the Hub, to hold out instead. Of what is read, only the problems whose
    source is among `only` are kept, where it names any; `limit` and `held_out_count` are then counted among
    these. Raises DataError.
    """
    for name, value in {"limit": limit, "held_out_count": held_out_count, "count": count}.items():
        if value is not None and value < 1:
            raise DataError(f"{name} {value}: it must be at least 1")
    own = task.own_splits(str(source))
    if own is not None:
        train, held, origin = own
        train, held = _only(train, only, origin)[:limit], _only(held, only, origin)[:held_out_count]
        held_origin = origin
        if held_out is not None:
            held = _read(task, _file(held_out) or held_out, held_out_count, only)
            held_origin = str(held_out)
    elif held_out is not None:
        train, origin = _train(task, source, limit, only, count, seed)
        held = _read(task, _file(held_out) or held_out, held_out_count, only)
        held_origin = str(held_out)
    elif str(source) == "generated":
        splits = task.generate_splits({"train": count, "held_out": held_out_count}, seed=seed)
        train, held = splits["train"][:limit], splits["held_out"]
        origin = held_origin = f"the generator with seed {seed}"
    elif (file := _file(source)) is not None:
        problems, origin = _read(task, file, None, only), str(source)
        chosen = task.held_out(problems)
        if chosen is None:
            train, held = _cut(problems, origin, limit, held_out_count)
            held_origin = f"the end of {source}"
        else:
            train, held = problems[~chosen][:limit], problems[chosen][:held_out_count]
            held_origin = f"a part of {source} that a hash of each input chooses"
        if not len(train):
            raise DataError(f"{source} has {len(problems)} problems, too few to train on and to hold out any")
    else:
        origin, held_origin = _table(source, "train"), _table(source, "test")
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
    path = _file(source) or _table(source, "train")
    return _read(task, path, limit, only), str(path)


def _read(task: Task, path: str | Path, limit: int | None, only: tuple[str, ...]) -> Problems:
    """The first problems of a file, or of those in it that come from the sources `only`."""
    if not only:
        return task.read(path, limit=limit)
    return _only(task.read(path), only, str(path))[:limit]


def _only(problems: Problems, only: tuple[str, ...], origin: str) -> Problems:
    """The problems from the sources `only`; all where it names none."""
    if not only:
        return problems
    if missing := sorted(set(only) - set(problems.sources)):
        there = ", ".join(sorted(set(problems.sources))[:10])
        raise DataError(f"{origin}: no problem has the source '{missing[0]}'; the sources are: {there}")
    return problems[torch.tensor([source in only for source in problems.sources])]


def source_files(source: str | Path, held_out: str | Path | None = None) -> list[Path]:
    """The files that `source` and `held_out` stand for in `load_splits`: one, or one to train on and one to
    hold out.

    Raises DataError where there are none.
    """
    file = _file(source)
    if held_out is not None:
        return [file or _table(source, "train"), _file(held_out) or existing_file(held_out)]
    return [_table(source, "train"), _table(source, "test")] if file is None else [file]


def _file(source: str | Path) -> Path | None:
    """The file that `source` names, here or on the Hub; None where it names none."""
    if hub := HUB_FILE.fullmatch(str(source)):
        return hub_file(hub[1], hub[2])
    path = Path(source)
    if path.is_dir() or not (path.is_symlink() or path.exists()):
        return None
    return existing_file(path)


def _table(source: str | Path, stem: str) -> Path:
    """The table `stem`, train or test, of a folder or a Hub dataset."""
    folder, filename = Path(source), f"{stem}.csv"
    if folder.is_dir():
        found = [folder / f"{stem}{suffix}" for suffix in SUFFIXES]
        found = [path for path in found if path.is_file()]
        if not found:
            raise DataError(f"{folder} has no {filename}: add it, or name a file")
        return found[0]
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
    """The held-out problems that are not in the training set under the same identity, and how many are."""
    inputs = list(_rows(held))
    seen = set(inputs).intersection(_rows(train))
    unseen = torch.tensor([row not in seen for row in inputs])
    return held[unseen], int((~unseen).sum())


def _rows(problems: Problems) -> Iterator[bytes]:
    rows = (row.tobytes() for row in problems.inputs.numpy())
    if problems.identifiers is None:
        return rows
    return (row + number.tobytes() for row, number in zip(rows, problems.identifiers.numpy(), strict=True))
