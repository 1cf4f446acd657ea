"""Reading Sudoku from text: every form people write, and what each mistake is answered with."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.errors import DataError
from equilibria.tasks.sudoku import Sudoku, infer_box

LINE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
ROWS = [LINE[start : start + 9] for start in range(0, 81, 9)]
BORDERED = """
+-------+-------+-------+
| 5 3 . | . 7 . | . . . |
| 6 . . | 1 9 5 | . . . |
| . 9 8 | . . . | . 6 . |
|-------+-------+-------|
| 8 . . | . 6 . | . . 3 |
| 4 . . | 8 . 3 | . . 1 |
| 7 . . | . 2 . | . . 6 |
=========================
| . 6 . | . . . | 2 8 . |
| . . . | 4 1 9 | . . 5 |
| . . . | . 8 . | . 7 9 |
+-------+-------+-------+
"""


@pytest.fixture(scope="module")
def nine():
    return Sudoku()


@pytest.mark.parametrize(
    "text",
    [
        LINE,
        LINE.replace(".", "0"),
        LINE.replace(".", "_"),
        LINE.replace(".", "*"),
        f"# a title\n\n  {LINE}  # the usual example\n",
        "\n".join(ROWS),
        "\r\n".join(" ".join(row) for row in ROWS),
        BORDERED,
        BORDERED.translate(str.maketrans("|-+=", "│─┼═")),
    ],
)
def test_every_form_reads_the_same(nine, text):
    problems = nine.parse(text)
    assert len(problems) == 1
    assert nine.format(problems.inputs[0]) == LINE
    assert problems.inputs.dtype == torch.uint8
    assert problems.inputs[0, :3].tolist() == [6, 4, 1]  # digit + 1, and 1 for a blank (HRM, TRM, EqR)
    assert problems.labels is None


def test_several_puzzles_in_mixed_forms(nine):
    problems = nine.parse("\n".join([LINE, BORDERED, *ROWS, "", *ROWS, LINE]), where="five.txt")
    assert [nine.format(row) for row in problems.inputs] == [LINE] * 5
    assert problems.sources == ("five.txt",) * 5


def test_a_rendered_puzzle_reads_back(nine):
    inputs = nine.parse(LINE).inputs
    assert torch.equal(nine.parse(nine.render(inputs[0]).plain).inputs, inputs)


@settings(max_examples=50, deadline=None)
@given(
    box=st.sampled_from([(2, 2), (2, 3), (3, 2), (3, 3), (3, 4), (4, 4), (2, 8)]),
    data=st.data(),
)
def test_format_and_parse_are_inverse(box, data):
    task = Sudoku(Sudoku.Config(box=box))
    tokens = torch.ones(1, task.tokens, dtype=torch.uint8)
    cell = data.draw(st.integers(0, task.tokens - 1))
    tokens[0, cell] = data.draw(st.integers(1, task.vocab_size - 1))
    assert torch.equal(task.parse(task.format(tokens[0])).inputs, tokens)


def test_letters_are_digits_above_nine():
    task = Sudoku(Sudoku.Config(box=(4, 4)))
    assert task.parse("gA1" + "." * 253).inputs[0, :3].tolist() == [17, 11, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "here holds no puzzle: write 81 cells on one line, or 9 a line"),
        ("# only a comment", "holds no puzzle"),
        (f"\n{LINE[:-1]}", "here, line 2: 80 cells; a 9×9 puzzle has 81 on one line, or 9 lines of 9"),
        (LINE.replace(".", "-"), r"30 cells; .*'-' is a border here: write an empty cell as \. 0 _ or \*"),
        (
            "1" + "." * 35,
            r"36 cells; .* 36 cells are a 6×6 puzzle: set the task's box to \[2, 3\]",
        ),
        (
            f"{LINE}\n{LINE[:13]}x{LINE[14:]}",
            r"here, line 2, character 14: 'x' is neither a digit \(1-9\) nor an empty cell \(\. 0 _ or \*\)",
        ),
        ("\n".join(ROWS[:8]), "here, lines 1-8: this grid has 8 rows; a 9×9 puzzle has 9"),
        ("\n".join([*ROWS[:3], "", *ROWS]), "here, lines 1-3: this grid has 3 rows"),
        (
            "5......5." + "." * 72,
            "line 1: the clues contradict each other: 5 stands at row 1, column 1 and at row 1, column 8, "
            "but row 1 may hold it only once",
        ),
        ("5........" * 2 + "." * 63, "row 1, column 1 and at row 2, column 1, but column 1 may"),
        (
            "....5....\n...5.....\n" + ".........\n" * 7,
            "row 1, column 5 and at row 2, column 4, but the box at rows 1-3, columns 4-6 may",
        ),
    ],
)
def test_a_mistake_is_located_and_explained(nine, text, message):
    with pytest.raises(DataError, match=message):
        nine.parse(text, where="here")


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (LINE, (3, 3)),
        (BORDERED, (3, 3)),
        ("# four\n" + "1" + "." * 15, (2, 2)),
        ("1...\n....\n....\n....", (2, 2)),
        ("1.....\n" * 6, (2, 3)),
        ("." * 36, (2, 3)),
        ("." * 256, (4, 4)),
        ("..............1G\n" * 16, (4, 4)),
        (f"source,question,answer,rating\na,{'.' * 36},{'1' * 36},0\n", (2, 3)),
    ],
)
def test_the_shape_follows_from_the_first_puzzle(text, box):
    assert infer_box(text) == box
    assert Sudoku.for_text(text).box == box


@pytest.mark.parametrize("text", ["", "12345", "." * 100])
def test_a_shape_that_cannot_be_told_is_an_error(text):
    with pytest.raises(DataError, match=f"has {len(text)} cells"):
        infer_box(text)
