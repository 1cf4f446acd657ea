"""Training and held-out problems from every source, never overlapping."""

import pytest

from equilibria.errors import DataError
from equilibria.tasks import Problems, load_splits
from equilibria.tasks import splits as module
from equilibria.tasks.sudoku import Sudoku


@pytest.fixture(scope="module")
def task():
    return Sudoku(Sudoku.Config(box=(2, 2)))


@pytest.fixture(scope="module")
def problems(task):
    return task.generate(100, seed=0)


@pytest.fixture
def folder(task, problems, tmp_path):
    task.write(problems[:60], tmp_path / "train.csv")
    task.write(problems[50:], tmp_path / "test.csv")  # ten problems stand in both
    return tmp_path


def same(one: Problems, other: Problems) -> bool:
    return one.fingerprint() == other.fingerprint()


def test_generated(task):
    splits = load_splits(task, "generated", count=50, held_out_count=20, seed=3)
    assert (len(splits.train), len(splits.held_out)) == (50, 20)
    grids = [{bytes(row.tolist()) for row in part.labels} for part in (splits.train, splits.held_out)]
    assert not grids[0] & grids[1]
    assert splits.description == (
        "train: 50 from the generator with seed 3; held out: 20 from the generator with seed 3"
    )
    limited = load_splits(task, "generated", count=50, held_out_count=20, seed=3, limit=5)
    assert same(limited.train, splits.train[:5]) and same(limited.held_out, splits.held_out)


@pytest.mark.parametrize(
    ("limit", "most", "train", "held"),
    [(None, 1024, 54, 6), (None, 4, 56, 4), (20, 1024, 20, 40), (20, 15, 20, 15), (59, 9, 59, 1)],
)
def test_a_file_gives_its_first_problems_and_holds_out_its_last(
    task, problems, folder, limit, most, train, held
):
    splits = load_splits(task, folder / "train.csv", limit=limit, held_out_count=most)
    assert same(splits.train, problems[:train])
    assert same(splits.held_out, problems[60 - held : 60])
    assert "the end of" in splits.description


def test_a_folder_gives_its_two_files_less_what_they_share(task, problems, folder):
    splits = load_splits(task, folder)
    assert same(splits.train, problems[:60])
    assert same(splits.held_out, problems[60:])
    assert splits.description.endswith("test.csv (10 more dropped, because they are in the training set)")
    splits = load_splits(task, folder, limit=50, held_out_count=10)
    assert same(splits.train, problems[:50])
    assert same(splits.held_out, problems[50:60])
    assert "dropped" not in splits.description


@pytest.mark.parametrize("source", ["train.csv", "", "generated"])
def test_a_held_out_file_can_be_named(task, problems, folder, source):
    source = source if source == "generated" else folder / source
    splits = load_splits(task, source, held_out=folder / "test.csv", count=30, seed=9, limit=25)
    assert len(splits.train) == 25
    assert str(folder / "test.csv") in splits.description
    assert set(splits.held_out.sources) == {"generated"}


def test_a_hub_dataset_is_fetched_by_name(task, folder, monkeypatch):
    asked = []

    def fetch(dataset, filename):
        asked.append((dataset, filename))
        return folder / filename

    monkeypatch.setattr(module, "hub_file", fetch)
    assert len(load_splits(task, "owner/name").train) == 60
    assert asked == [("owner/name", "train.csv"), ("owner/name", "test.csv")]


def test_mistakes_are_explained(task, folder):
    for wrong in ({"limit": 0}, {"held_out_count": 0}, {"count": -1}):
        name, value = next(iter(wrong.items()))
        with pytest.raises(DataError, match=f"{name} {value}: it must be at least 1"):
            load_splits(task, "generated", **wrong)
    with pytest.raises(DataError, match="60 problems, which leaves none to hold out: lower limit, or name"):
        load_splits(task, folder / "train.csv", limit=60)
    with pytest.raises(DataError, match="no such file or folder; give one, a Hub dataset"):
        load_splits(task, folder / "none.csv")
    with pytest.raises(DataError, match="no such file or folder"):
        load_splits(task, "nonsense")
    with pytest.raises(DataError, match="there is no such file"):
        load_splits(task, folder, held_out="none.csv")
    with pytest.raises(DataError, match=r"every problem held out .* is among those to train on"):
        load_splits(task, folder, held_out=folder / "train.csv")
    (folder / "test.csv").unlink()
    with pytest.raises(DataError, match=r"has no test\.csv: add it, or name a file"):
        load_splits(task, folder)
