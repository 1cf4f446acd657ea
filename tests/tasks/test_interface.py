"""Problems, finding a task by name, and what a recipe can get wrong about one."""

import pytest
import torch

from equilibria.errors import DataError, RecipeError
from equilibria.tasks import Problems, load_task, task_class, task_names
from equilibria.tasks.sudoku import Sudoku


def problems(count=4, *, labelled=True, rated=True):
    inputs = torch.arange(count * 3, dtype=torch.uint8).view(count, 3)
    return Problems(
        inputs,
        inputs + 1 if labelled else None,
        tuple(f"source {row}" for row in range(count)),
        torch.arange(count, dtype=torch.float32) if rated else None,
    )


@pytest.mark.parametrize(
    "key", [slice(1, 3), torch.tensor([1, 2]), torch.tensor([False, True, True, False])], ids=repr
)
def test_rows_are_picked_from_every_field(key):
    picked = problems()[key]
    assert len(picked) == 2
    assert picked.inputs.tolist() == [[3, 4, 5], [6, 7, 8]]
    assert picked.labels.tolist() == [[4, 5, 6], [7, 8, 9]]
    assert picked.sources == ("source 1", "source 2")
    assert picked.ratings.tolist() == [1, 2]


def test_concatenate_restores_what_was_cut():
    whole = problems()
    again = Problems.concatenate([whole[:1], whole[1:]])
    assert again.fingerprint() == whole.fingerprint()
    assert again.sources == whole.sources
    assert torch.equal(again.ratings, whole.ratings)
    assert Problems.concatenate([whole, problems(rated=False)]).ratings is None


def test_concatenate_refuses_half_labelled_and_nothing():
    with pytest.raises(DataError, match="label all or none"):
        Problems.concatenate([problems(), problems(labelled=False)])
    with pytest.raises(DataError, match="at least one"):
        Problems.concatenate([])


def test_fingerprint_depends_on_inputs_labels_and_order():
    whole = problems()
    swapped = whole[torch.tensor([1, 0, 2, 3])]
    relabelled = Problems(whole.inputs, whole.labels + 1, whole.sources)
    prints = {part.fingerprint() for part in (whole, swapped, relabelled, problems(labelled=False))}
    assert len(prints) == 4
    assert problems(rated=False).fingerprint() == whole.fingerprint()


def test_fields_of_different_lengths_are_refused():
    inputs = torch.zeros(2, 3, dtype=torch.uint8)
    with pytest.raises(DataError, match=r"labels \[1, 3\] must have the shape \[2, 3\]"):
        Problems(inputs, inputs[:1], ("", ""))
    with pytest.raises(DataError, match="1 sources for 2 problems"):
        Problems(inputs, None, ("",))
    with pytest.raises(DataError, match=r"ratings \[3\] for 2 problems"):
        Problems(inputs, None, ("", ""), torch.zeros(3))


def test_a_task_is_found_by_its_name():
    task = load_task({"name": "sudoku", "box": [2, 3]})
    assert isinstance(task, Sudoku)
    assert (task.vocab_size, task.tokens, task.board, task.identifiers) == (8, 36, (6, 6), 1)
    assert load_task({"name": "sudoku"}).tokens == 81
    assert task_class("sudoku") is Sudoku
    assert "sudoku" in task_names()
    assert not {"interface", "splits", "table"} & set(task_names())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "soduko"}, "no task 'soduko'; nearest: 'sudoku'; all: .*sudoku"),
        ({"name": "splits"}, "no task 'splits'"),
        ({"name": "sudoku.board"}, "no task 'sudoku.board'"),
        ({"box": [3, 3]}, "a task needs a name, one of: .*sudoku"),
        ({"name": "sudoku", "boxes": [3, 3]}, "task sudoku has no key 'boxes'; nearest: 'box'"),
        ({"name": "sudoku", "box": "large"}, "task sudoku, key 'box': .* it is 'large'"),
        ({"name": "sudoku", "box": [1, 9]}, "at least 2 rows and 2 columns"),
        ({"name": "sudoku", "box": [5, 5]}, "at most 16 cells"),
    ],
)
def test_a_wrong_recipe_is_explained(config, message):
    with pytest.raises(RecipeError, match=message):
        load_task(config)


def test_a_task_that_counts_nothing_knows_no_difficulty():
    grids = load_task({"name": "grids", "height": 1, "width": 3, "symbols": ["a", "b"]})
    assert grids.difficulty(torch.ones(2, 3, dtype=torch.uint8), None) == {}
