"""Rules, rendering, solver and generator of Sudoku."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.errors import DataError
from equilibria.tasks.sudoku import Sudoku
from equilibria.tasks.sudoku.solver import rating, solve

QUESTION = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
ANSWER = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
BOXES = [(2, 2), (2, 3), (3, 2), (2, 4), (3, 3)]


def sudoku(*box):
    return Sudoku(Sudoku.Config(box=box))


@pytest.fixture(scope="module")
def nine():
    return Sudoku()


@pytest.fixture
def solved(nine):
    return nine.parse(QUESTION).inputs, nine.parse(ANSWER).inputs


def test_a_right_answer_breaks_no_rule(nine, solved):
    assert nine.violations(*solved) == [[]]
    assert nine.valid(*solved).tolist() == [True]


def test_broken_rules_are_named(nine, solved):
    inputs, answers = solved
    answers = answers.repeat(3, 1)
    answers[0, 0], answers[0, 3] = 8, 1  # the clue 5 becomes 7; the 6 at row 1, column 4 goes
    answers[1, 30] = answers[1, 0] = 0  # pad is empty, too
    answers[2] = 2
    words = nine.violations(inputs.expand(3, -1), answers)
    assert words[0] == [
        "clue 5 at row 1, column 1 became 7",
        "row 1, column 4 is empty",
        "row 1 has 7 twice",
        "column 1 has 7 twice",
        "the box at rows 1-3, columns 1-3 has 7 twice",
    ]
    assert words[1] == [
        "clue 5 at row 1, column 1 became empty",
        "row 1, column 1 is empty",
        "row 4, column 4 is empty",
    ]
    assert "column 9 has 1 9 times" in words[2]
    assert nine.valid(inputs.expand(3, -1), answers).tolist() == [False] * 3


@pytest.mark.parametrize("box", BOXES)
def test_valid_and_violations_agree(box):
    task = sudoku(*box)
    problems = task.generate(40, seed=5)
    generator = torch.Generator().manual_seed(0)
    answers = problems.labels.clone()
    for row in range(20):  # one digit elsewhere, then two exchanged
        cells = torch.randperm(task.tokens, generator=generator)[:2]
        answers[row, cells] = answers[row, cells.flip(0)] if row % 2 else task.vocab_size - 1
    right = task.valid(problems.inputs, answers)
    assert right.tolist() == [not words for words in task.violations(problems.inputs, answers)]
    assert right[20:].all() and right.sum() < 30


def test_a_swap_that_only_boxes_notice_is_found():
    """Rows and columns of this Latin square are right, its boxes are not."""
    task = sudoku(2, 2)
    square = (
        task.parse("1..." + "." * 12).inputs,
        torch.tensor([[2, 3, 4, 5, 3, 4, 5, 2, 4, 5, 2, 3, 5, 2, 3, 4]]),
    )
    assert not task.valid(*square).any()
    assert all("box" in words for words in task.violations(*square)[0])


def test_rendering_marks_what_is_wrong_without_colour(nine, solved):
    inputs, answers = solved
    text = nine.render(inputs[0])
    assert text.plain.splitlines()[:2] == ["┌───────┬───────┬───────┐", "│ 5 3 · │ · 7 · │ · · · │"]
    assert "!" not in text.plain
    assert nine.render(inputs[0], answers[0], answers[0]).plain.count("!") == 0

    wrong = answers[0].clone()
    wrong[2] = 7  # a 6, of which the row has one already
    text = nine.render(inputs[0], wrong)
    assert text.plain.splitlines()[1] == "│ 5 3 6!│ 6!7 8 │ 9 1 2 │"
    styles = {span.start: span.style for span in text.spans}
    clue, swapped, mark, answer = (text.plain.index(part) for part in ("5 3", "6!", "!", "8 │ 9"))
    assert styles[clue] == "bold" and styles[swapped] == "underline red" and styles[mark] == "red"
    assert answer not in styles


def test_rendering_marks_differences_from_the_label_and_changed_clues():
    task = sudoku(2, 2)
    inputs = task.parse("1...............").inputs[0]
    answer = task.parse("1234341221434321").inputs[0]
    label = task.parse("1234341243212143").inputs[0]
    assert "!" not in task.render(inputs, answer).plain
    assert task.render(inputs, answer, label).plain.count("!") == 8
    changed = task.parse("2143432112343412").inputs[0]
    assert task.render(inputs, changed).plain.splitlines()[1] == "│ 2!1 │ 4 3 │"


def test_the_solver_counts_up_to_its_limit(nine):
    boards = nine.parse(f"{QUESTION}\n{'.' * 81}\n12345678.{'.' * 17}9{'.' * 54}").inputs.numpy()
    solutions = solve(boards, (3, 3), limit=3)
    assert solutions.found.tolist() == [1, 3, 0]
    assert len(np.unique(solutions.boards[1], axis=0)) == 3
    assert nine.valid(
        torch.from_numpy(boards[1:2]).expand(3, -1), torch.from_numpy(solutions.boards[1])
    ).all()


def test_the_solver_counts_every_board():
    """There are 288 solved 4×4 boards."""
    solutions = solve(np.ones((1, 16), np.uint8), (2, 2), limit=1000)
    assert solutions.found.tolist() == [288]
    assert len(np.unique(solutions.boards[0, :288], axis=0)) == 288


def test_the_solver_refuses_contradictory_clues():
    board = np.ones((1, 16), np.uint8)
    board[0, :2] = 2
    assert solve(board, (2, 2)).found.tolist() == [0]


def guesses_by_the_book(board, box):
    """The rating as its documentation words it, slowly: (a solution or None, guesses)."""
    size, height, width = box[0] * box[1], *box
    home = [
        [("row", c // size), ("column", c % size), ("box", c // size // height, c % size // width)]
        for c in range(size**2)
    ]
    units = {unit: [c for c in range(size**2) if unit in home[c]] for units in home for unit in units}
    has = {unit: {board[c] for c in cells} for unit, cells in units.items()}
    digits = set(range(2, size + 2))
    left = {c: digits.difference(*(has[unit] for unit in home[c])) for c in range(size**2) if board[c] == 1}
    if not left:
        return board, 0
    forced = [(c, tokens) for c, tokens in left.items() if len(tokens) < 2]
    for unit, cells in units.items():
        for token in digits - has[unit]:
            places = [c for c in cells if token in left.get(c, ())]
            forced += [(places[0] if places else None, {token})] if len(places) < 2 else []
    if any(c is None or not tokens for c, tokens in forced):
        return None, 0
    cell, tokens = (
        forced[0]
        if forced
        else min(
            left.items(),
            key=lambda item: (len(item[1]), -sum(len(digits - has[unit]) for unit in home[item[0]]), item[0]),
        )
    )
    total = 0
    for tried, token in enumerate(sorted(tokens), 1):
        total += tried < len(tokens)
        solution, guesses = guesses_by_the_book([*board[:cell], token, *board[cell + 1 :]], box)
        total += guesses
        if solution:
            return solution, total
    return None, total


@pytest.mark.parametrize(("box", "count"), [((2, 3), 20), ((3, 3), 6)])
def test_the_rating_counts_guesses(box, count):
    problems = sudoku(*box).generate(count, seed=4, min_rating=2)
    for board, label, wanted in zip(problems.inputs, problems.labels, problems.ratings, strict=True):
        solution, guesses = guesses_by_the_book(board.tolist(), box)
        assert solution == label.tolist()
        assert guesses == wanted


def test_the_solver_agrees_with_published_puzzles(nine, shared):
    problems = nine.read(shared / "data" / "sudoku-forum" / "test.csv", limit=1000)
    solutions = solve(problems.inputs.numpy(), (3, 3), limit=2)
    assert (solutions.found == 1).all()
    assert torch.equal(torch.from_numpy(solutions.boards[:, 0]), problems.labels)
    guesses = torch.from_numpy(rating(problems.inputs.numpy(), (3, 3)))
    assert guesses[problems.ratings > 30].mean() > 3 * guesses[problems.ratings == 0].mean()


@pytest.mark.parametrize("box", BOXES)
def test_generated_puzzles_have_one_solution_and_no_clue_too_many(box):
    task = sudoku(*box)
    problems = task.generate(30, seed=2)
    boards = problems.inputs.numpy()
    solutions = solve(boards, box, limit=2)
    assert (solutions.found == 1).all()
    assert np.array_equal(solutions.boards[:, 0], problems.labels.numpy())
    assert len(np.unique(boards, axis=0)) == 30
    assert np.array_equal(problems.ratings.numpy(), rating(boards, box))
    assert problems.sources == ("generated",) * 30
    for board in boards[:10]:
        clues = np.flatnonzero(board > 1)
        dropped = np.repeat(board[None], len(clues), axis=0)
        dropped[np.arange(len(clues)), clues] = 1
        assert (solve(dropped, box, limit=2).found == 2).all()


def test_generation_is_reproducible_and_extends(nine):
    first = nine.generate(30, seed=7)
    assert first.fingerprint() == nine.generate(30, seed=7).fingerprint()
    assert first.fingerprint() == nine.generate(50, seed=7)[:30].fingerprint()
    assert first.fingerprint() != nine.generate(30, seed=8).fingerprint()


def test_hard_puzzles_are_hard(nine):
    assert nine.generate(40, seed=0, min_rating=3).ratings.min() >= 3


@settings(max_examples=10, deadline=None)
@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=3), seed=st.integers(0, 1000))
def test_splits_share_no_solved_grid(counts, seed):
    """4×4 has 288 grids only, so that they must be shared out."""
    counts = {f"split {index}": count for index, count in enumerate(counts)}
    splits = sudoku(2, 2).generate_splits(counts, seed=seed)
    assert {name: len(split) for name, split in splits.items()} == counts
    grids = [{bytes(row.tolist()) for row in split.labels} for split in splits.values()]
    assert len(set.union(*grids)) == sum(map(len, grids))


def test_what_cannot_be_generated_is_said(monkeypatch):
    monkeypatch.setattr("equilibria.tasks.sudoku.generator.PATIENCE", 500)
    with pytest.raises(
        DataError, match=r"no further 4×4 puzzle with a rating of 50 or more .* 3 of 3 are missing"
    ):
        sudoku(2, 2).generate(3, seed=0, min_rating=50)
    with pytest.raises(DataError, match="12×12 puzzles cannot be generated: the largest side is 9"):
        sudoku(3, 4).generate(1, seed=0)
    with pytest.raises(DataError, match="at least one puzzle, not 0"):
        sudoku(3, 3).generate(0, seed=0)


def test_difficulty_is_the_number_of_empty_cells(nine, solved):
    question, answer = solved
    assert nine.difficulty(question, answer)["empty cells"].tolist() == [51]
    assert nine.difficulty(answer, None)["empty cells"].tolist() == [0]
