"""The bad files of `benchmarks/malformed_files.py`, in process: one error each, with place and remedy."""

import importlib
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equilibria.errors import DataError
from equilibria.recipes import load_recipe
from equilibria.tables import read_columns
from equilibria.tasks import load_splits, load_task
from equilibria.tasks.grids import Grids, survey

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
files = importlib.import_module("malformed_files")

SMALL = [case for case in files.CASES if not case.large and case.reader != "solve"]
"""`solve` goes on where rows are bad, and is tested as a command."""


def use(reader, path):
    """What the command line does with a file, up to its first use."""
    if reader == "inspect":
        survey(path)
    elif reader == "grids":
        load_splits(Grids().fitted(str(path)), path)
    elif reader == "arc":
        load_task({"name": "arc", "corpora": [str(path)]}).fitted("corpora").own_splits("corpora")
    else:
        recipe = load_recipe({"sudoku": "eqr-sudoku6-cpu", "maze": "eqr-maze-unique"}[reader])
        load_splits(load_task(recipe.task), path)


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_a_bad_file_ends_in_one_error_with_place_and_remedy(case, tmp_path):
    if case.name == "no permission" and os.geteuid() == 0:
        pytest.skip("root may read any file")
    path = tmp_path / case.file
    case.write(path)
    with pytest.raises(DataError) as caught:
        use(case.reader, path)
    said = str(caught.value)
    assert re.search(case.place, said), said
    assert re.search(case.remedy, said), said
    assert len(said) < 600
    assert "\n" not in said


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 40), st.binary(max_size=8)), min_size=1, max_size=4
    )
)
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".npz", ".parquet"])
def test_a_good_file_with_any_damage_reads_or_ends_in_one_error(suffix, edits, tmp_path):
    """`edits`: where a file is changed, how many bytes are taken away, and what is put there."""
    content = bytearray(files.good(suffix))
    for place, taken, put in edits:
        start = place % (len(content) + 1)
        content[start : start + taken] = put
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(content)
    try:
        chunks = list(read_columns(path))
    except DataError as error:
        assert str(path) in str(error)
        return
    for chunk in chunks:
        assert {len(chunk.rows)} >= {len(values) for values in chunk.columns.values()}
        assert len(chunk.places) == len(chunk.rows)
    with suppress(DataError):
        survey(path)
