"""Pictures: what each task says of them, cell by cell, and what is drawn."""

import re
import struct

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from rich.text import Text

from equilibria.errors import DataError
from equilibria.tasks import Task, load_task
from equilibria.tasks.arc.canvas import encode
from equilibria.tasks.arc.render import PALETTE
from equilibria.tasks.picture import FILLED, Cell, Panel, remark
from equilibria.tasks.picture.board import symbols_of
from equilibria.tasks.picture.drawing import DPI, LONGEST, check_picture, draw_panels


def tokens(*values):
    return torch.tensor(values, dtype=torch.uint8)


def texts(panel):
    return [[None if cell is None else cell.text for cell in row] for row in panel.rows]


def places(panel, test):
    return [
        (row, column)
        for row, cells in enumerate(panel.rows)
        for column, cell in enumerate(cells)
        if cell is not None and test(cell)
    ]


def size(path):
    """Width and height of a PNG, from its header."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", content[16:24])


def sudoku(digits):
    """Tokens of a 4×4 board, `.` for a blank."""
    return tokens(*(1 if digit == "." else int(digit) + 1 for digit in digits.replace(" ", "")))


SUDOKU = load_task({"name": "sudoku", "box": [2, 2]})
BOARD = sudoku("1... ...2 2... ...1")
SOLVED = sudoku("1234 3412 2143 4321")


def test_a_sudoku_has_its_clues_bold_and_its_boxes_in_thick_lines():
    problem, answer, right = SUDOKU.panels(BOARD, SOLVED, SOLVED)
    assert [panel.title for panel in (problem, answer, right)] == ["problem", "answer", "right answer"]
    assert {panel.box for panel in (problem, answer, right)} == {(2, 2)}
    assert texts(problem) == [["1", "", "", ""], ["", "", "", "2"], ["2", "", "", ""], ["", "", "", "1"]]
    assert texts(answer) == texts(right) == [list(row) for row in ("1234", "3412", "2143", "4321")]
    for panel in (answer, right):
        assert places(panel, lambda cell: cell.bold) == [(0, 0), (1, 3), (2, 0), (3, 3)]
        assert places(panel, lambda cell: cell.ink != FILLED) == [(0, 0), (1, 3), (2, 0), (3, 3)]
        assert panel.wrong == []
    assert answer.note == "keeps all rules"
    assert load_task({"name": "sudoku", "box": [2, 3]}).panels(torch.ones(36).byte())[0].box == (2, 3)


@pytest.mark.parametrize(
    ("answer", "label", "wrong", "note"),
    [
        ("1234 3432 2143 4321", None, [(0, 2), (1, 0), (1, 2)], "row 2 has 3 twice; and 2 more"),
        ("1234 3412 2143 432.", None, [(3, 3)], "clue 1 at row 4, column 4 became empty; and 1 more"),
        ("1234 341. 2143 4321", SOLVED, [(1, 3)], "clue 2 at row 2, column 4 became empty; and 1 more"),
        (
            *("1243 3412 2134 4321", SOLVED),
            *([(0, 2), (0, 3), (2, 2), (2, 3)], "keeps all rules, but 4 cells are wrong"),
        ),
    ],
)
def test_exactly_the_cells_of_a_sudoku_that_clash_or_differ_are_wrong(answer, label, wrong, note):
    panel = SUDOKU.panels(BOARD, sudoku(answer), label)[1]
    assert panel.wrong == sorted(wrong)
    assert panel.note.startswith(note)


MAZE = load_task({"name": "maze", "size": 5})


def maze(text):
    return tokens(*("?# SGo".index(character) for character in text))


ROOM = maze("######S  ##   ##  G######")


def test_a_maze_has_dark_walls_and_a_dotted_path():
    answer = maze("######S  ##o  ##ooG######")
    problem, shown = MAZE.panels(ROOM, answer)
    assert texts(problem)[1] == ["", "S", "", "", ""] and texts(problem)[3] == ["", "", "", "G", ""]
    walls = [(row, column) for row in range(5) for column in range(5) if {row, column} & {0, 4}]
    dark = problem.rows[0][0].fill
    assert int(dark[1:3], 16) < 0x60
    assert places(problem, lambda cell: cell.fill == dark) == walls
    assert places(problem, lambda cell: cell.dot) == []
    assert places(shown, lambda cell: cell.dot) == [(2, 1), (3, 1), (3, 2)]
    assert (shown.wrong, shown.note) == ([], "keeps all rules")


def test_another_shortest_path_is_not_wrong_and_a_changed_wall_is():
    label = maze("######Soo##  o##  G######")
    assert MAZE.panels(ROOM, maze("######S  ##o  ##ooG######"), label)[1].wrong == []
    broken = MAZE.panels(ROOM, maze("#####oS  ##o  ##o G######"), label)[1]
    assert broken.wrong == [(1, 0), (1, 2), (1, 3), (2, 1), (2, 3), (3, 1)]
    assert MAZE.panels(ROOM, maze("#####oS  ##   ##  G######"))[1].wrong == [(1, 0)]
    long = MAZE.panels(ROOM, maze("######Soo##ooo##  G######"))[1]  # no cell is wrong by itself
    assert (long.wrong, long.note) == ([], "5 cells are marked, and a shortest path has 3 between S and G")
    assert MAZE.panels(ROOM, ROOM * 0)[1].rows[0][0].text == "?"


def test_products_of_a_group_are_a_table():
    task = load_task({"name": "permutations", "group": "Z10", "length": 20})
    given = task.parse(" ".join(["1"] * 18)).inputs[0]
    right = task.label(given[None])[0][0]
    (table,) = task.panels(given, right)
    assert table.heads == ("problem 1–16", "answer", "", "problem 17–18", "answer")
    assert texts(table)[:2] == [["1"] * 16, [str(n % 10) for n in range(1, 17)]]
    assert texts(table)[2:] == [[], ["1", "1"], ["7", "8"]]
    assert (table.wrong, table.note) == ([], "keeps all rules")
    answer = right.clone()
    answer[16] = 1
    (table,) = task.panels(given, answer)
    assert table.heads[:4] == ("problem 1–16", "answer", "right answer", "")
    assert (table.wrong, texts(table)[5:]) == ([(5, 0)], [["0", "8"], ["7", "8"]])
    assert table.note == "position 17: 0 stands there, the first 17 elements multiply to 7"
    (table,) = task.panels(given, None, right)
    assert (table.heads[:2], table.note) == (("problem 1–16", "right answer"), "")


ARC = load_task({"name": "arc", "canvas": 4})


def arc(*rows):
    return encode(np.array(rows, dtype=np.uint8), 4)


def test_arc_grids_have_its_colours_and_their_digits():
    problem, answer, right = ARC.panels(arc([1, 2]), arc([3, 4], [5, 6]), arc([3, 0]))
    assert texts(problem) == [["1", "2"]]
    assert [cell.fill for cell in problem.rows[0]] == [PALETTE[1], PALETTE[2]]
    assert (answer.wrong, answer.note) == ([(0, 1), (1, 0), (1, 1)], "2×2 and not 1×2")
    assert (texts(right), right.wrong) == ([["3", "0"]], [])
    assert ARC.panels(arc([1]), arc([3, 1]), arc([3, 0]))[1].note == "1 cell is wrong"
    assert ARC.panels(arc([1]), arc([3, 0]), arc([3, 0]))[1].note == "right"
    assert ARC.panels(arc([1]), arc([3, 0]))[1].note == "", "nobody knows"
    assert ARC.panels(arc([1]), torch.zeros(16).byte())[1].note.startswith("no grid")
    assert len(ARC.panels(arc([1]))) == 1


GRIDS = load_task({"name": "grids", "symbols": [".", "ab", "c"], "height": 3, "width": 4})


def test_grids_show_symbols_and_leave_padding_out():
    given = tokens(1, 2, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0)
    label = tokens(2, 2, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0)
    answer = tokens(2, 3, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0)
    problem, shown, right = GRIDS.panels(given, answer, label)
    assert texts(problem) == [[".", "ab"], ["c", "."]]
    assert texts(shown) == [["ab", "c"], ["", "c"]]
    assert (shown.wrong, shown.note) == ([(0, 1), (1, 0)], "2 cells are wrong")
    assert texts(right) == [["ab", "ab"], ["c", ""]]
    assert places(right, lambda cell: cell.fill != "white") == [(1, 1)], "not scored"
    assert places(right, lambda cell: cell.bold) == [(0, 1), (1, 0)], "as in the problem"
    assert GRIDS.panels(given, answer)[1].wrong == [(1, 0)], "empty, whatever is right"
    within = tokens(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    assert texts(GRIDS.panels(within, within)[1]) == [[".", None], [None, "."]]


class Plain(Task):
    """A user's own task, which says nothing of pictures: a row of three kinds in which none may be 3."""

    name, vocab_size, board = "plain", 4, (2, 3)

    def parse_with_lines(self, text, where):
        raise NotImplementedError

    decode = label = parse_with_lines

    def violations(self, inputs, answers):
        return [["there is a 3"] if (row == 3).any() else [] for row in answers]

    def valid(self, inputs, answers):
        return ~(answers == 3).any(1)

    def format(self, tokens):
        return "/".join("".join("-xyz"[token] for token in row) for row in tokens.view(self.board).tolist())

    def render(self, inputs, answers=None, labels=None):
        return Text(self.format(inputs))


def test_a_task_of_ones_own_needs_no_picture():
    given, answer = tokens(1, 2, 1, 1, 0, 2), tokens(1, 1, 1, 3, 0, 0)
    problem, shown = Plain().panels(given, answer)
    assert texts(problem) == [["x", "y", "x"], ["x", None, "y"]]
    assert texts(shown) == [["x", "x", "x"], ["z", None, ""]]
    assert (shown.wrong, shown.note) == ([(1, 2)], "there is a 3")
    shown, right = Plain().panels(given, answer, given)[1:]
    assert shown.wrong == [(0, 1), (1, 0), (1, 2)]
    assert texts(right) == texts(problem)


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        (lambda row: "".join(map(str, row)), "7"),
        (lambda row: " ".join(f"<{token}>" for token in row), "<7>"),
        (lambda row: "\n".join(",".join(["b"] * 3) for _ in range(2)), "b"),
        (lambda row: " " * len(row), " "),
        (lambda row: "a grid of sevens", "7"),
        (lambda row: "777", "7"),
    ],
    ids=["characters", "words", "rows", "spaces", "prose", "too short"],
)
def test_symbols_are_found_from_how_a_task_writes(format, expected):
    assert symbols_of(lambda row: format(row.tolist()), 6)(7) == expected


def test_a_single_long_row_goes_on_below():
    class Long(Plain):
        board = (1, 40)

    (problem,) = Long().panels(tokens(*[1] * 40))
    assert list(map(len, problem.rows)) == [32, 8]


def test_remarks():
    one, none = ((Cell(wrong=True), None),), ((Cell(), None),)
    assert remark(one, None, known=True) == "1 cell is wrong"
    assert remark(none, None, known=True) == "right"
    assert remark(none, None, known=False) == ""
    assert remark(none, [], known=True) == "keeps all rules"
    assert remark(one, [], known=True) == "keeps all rules, but 1 cell is wrong"
    assert remark(none, ["no"], known=True) == "no"
    assert remark(none, ["no", "never", "not"], known=True) == "no; and 2 more"


def made(name, **config):
    """A task and one problem of it, labelled."""
    task = load_task({"name": name} | config)
    problems = task.generate(1, seed=0)
    return task, problems.inputs[0], problems.labels[0]


DRAWN = {
    "sudoku": lambda: (SUDOKU, BOARD, SOLVED),
    "sudoku 16×16": lambda: (
        load_task({"name": "sudoku", "box": [4, 4]}),
        *[torch.full((256,), 17).byte()] * 2,
    ),
    "maze": lambda: made("maze", size=11),
    "maze 30×30": lambda: made("maze"),
    "permutations": lambda: made("permutations", length=20),
    "arc": lambda: (ARC, arc([1, 2]), arc([3])),
    "grids": lambda: (GRIDS, tokens(1, 2, *[0] * 10), tokens(2, 2, *[0] * 10)),
    "a user's own": lambda: (Plain(), tokens(*[1] * 6), tokens(*[2] * 6)),
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_task_is_drawn(name, tmp_path):
    task, given, label = DRAWN[name]()
    answer = label.clone()
    answer[0] = 1
    path = tmp_path / "picture.PNG"
    draw_panels([("one", task.panels(given, answer, label)), ("two", task.panels(given))], path)
    width, height = size(path)
    assert 100 < width <= DPI * 9.3 + 1, "as wide as a page"
    drawn = imread(path)
    assert drawn.shape[:2] == (height, width)
    assert drawn[..., :3].std() > 0.05
    assert [file.name for file in tmp_path.iterdir()] == ["picture.PNG"]


def drawn(tmp_path, *panels):
    path = tmp_path / "picture.png"
    draw_panels([("one", panels)], path)
    return imread(path)[..., :3]


def test_sizes_are_those_of_the_cells(tmp_path):
    plain = Panel("problem", ((Cell(),) * 4,) * 4)
    height, width = drawn(tmp_path, plain, plain, plain).shape[:2]
    assert width == pytest.approx(DPI * (3 * 4 * 0.32 + 2 * 0.3 + 2 * 0.15), abs=1)
    assert height == pytest.approx(DPI * (4 * 0.32 + 2.25 * 0.16 + 2 * 0.15), abs=1)
    large = Panel("problem", ((Cell("7"),) * 30,) * 30)
    height, width = drawn(tmp_path, large, large, large).shape[:2]
    assert width == pytest.approx(DPI * 9.3, abs=1)
    assert (width / DPI - 0.9) / 90 * DPI > 18, "dots across a cell of the largest maze"


def pixels(image, colour, tolerance=0.05):
    """Rows and columns of the pixels of a colour."""
    return np.nonzero((np.abs(image - np.array(colour)) < tolerance).all(2))


def cell_of(places, at):
    """The cells, counted from 0, in which pixels at these places along one side lie; cells begin at `at`."""
    return sorted(set(np.floor((places / DPI - at) / 0.32).astype(int).tolist()))


def test_a_wrong_cell_is_marked_and_no_other(tmp_path):
    cells = [[Cell("1", wrong=(row, column) == (2, 1)) for column in range(4)] for row in range(4)]
    image = drawn(tmp_path, Panel("answer", tuple(map(tuple, cells))))
    vermilion = tuple(int("D55E00"[place : place + 2], 16) / 255 for place in (0, 2, 4))
    rows, columns = pixels(image, vermilion)
    inside = rows < DPI * (0.15 + 0.36 + 4 * 0.32)  # and below it the legend
    assert cell_of(rows[inside], 0.15 + 0.36) == [2]
    assert cell_of(columns[inside], 0.15) == [1]
    assert (~inside).any()
    right = drawn(tmp_path, Panel("answer", tuple(tuple(Cell("1") for _ in row) for row in cells)))
    assert not len(pixels(right, vermilion)[0])


def test_a_mark_shows_in_grey_on_any_colour(tmp_path):
    fills = [*PALETTE, "white", "#333333"]
    wrong, right = (
        drawn(tmp_path, Panel("answer", (tuple(Cell(fill=fill, wrong=bad) for fill in fills),)))
        for bad in (True, False)
    )
    top, side = round((0.15 + 0.36) * DPI), 0.32 * DPI
    for column, fill in enumerate(fills):
        left = round(0.15 * DPI + column * side)
        part = np.s_[top : top + round(side), left : left + round(side)]
        assert np.abs(wrong[part].mean(2) - right[part].mean(2)).max() > 0.3, fill


def test_boxes_have_thick_lines_where_they_belong(tmp_path):
    image = drawn(tmp_path, Panel("problem", ((Cell(),) * 6,) * 6, box=(2, 3)))
    top, left, cell = 0.15 + 0.36, 0.15, 0.32

    def dark(row, column):
        y, x = round((top + row * cell) * DPI), round((left + column * cell) * DPI)
        return image[y - 2 : y + 3, x - 2 : x + 3].min() < 0.2

    assert [line for line in range(7) if dark(line, 0.5)] == [0, 2, 4, 6]
    assert [line for line in range(7) if dark(0.5, line)] == [0, 3, 6]


def test_dots_and_fills_are_drawn(tmp_path):
    row = (Cell(fill="#333333"), Cell(fill="#CFE5F5", ink=FILLED, dot=True), None, Cell())
    image = drawn(tmp_path, Panel("problem", (row,)))
    middle = round((0.15 + 0.36 + 0.16) * DPI)
    colours = [image[middle, round((0.15 + (column + 0.5) * 0.32) * DPI)] for column in range(4)]
    assert np.allclose(colours, [[0.2] * 3, [0, 0.447, 0.698], [1] * 3, [1] * 3], atol=0.01)


@pytest.mark.parametrize("text", ["$x$", "$", "中", "🙂", "^", "\\frac", "W" * 16, "_"])
def test_any_symbol_can_be_drawn(text, tmp_path):
    image = drawn(
        tmp_path, Panel(f"panel {text}", ((Cell(text), Cell(text, bold=True, wrong=True)),), note=text)
    )
    top = round((0.15 + 0.36) * DPI)
    wide = (image.shape[1] / DPI - 0.3) / 2 if len(text) > 2 else 0.32
    cell = image[top + 4 : top + 60, round(0.15 * DPI) + 4 : round((0.15 + wide) * DPI) - 4]
    assert cell.min() < 0.5, "something stands there"


def test_a_picture_of_very_many_cells_stays_within_bounds(tmp_path):
    draw_panels([("one", [Panel("problem", ((Cell(),),) * 4400)])], tmp_path / "long.png")
    width, height = size(tmp_path / "long.png")
    assert 0.99 * LONGEST < height <= LONGEST, "at full resolution it would be longer"
    assert width * height < 5e7


def test_notes_and_captions_are_wrapped(tmp_path):
    panel = Panel("answer", ((Cell(),),), note="a long note " * 20)
    short = drawn(tmp_path, Panel("answer", ((Cell(),),))).shape
    long = drawn(tmp_path, panel).shape
    assert long[1] == short[1] and long[0] > 2 * short[0]


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    for name, words in {
        "picture.jpg": "a name that ends in .png",
        "picture": "a name that ends in .png",
        "nowhere/picture.png": "there is no folder .*nowhere; make it first",
        "file/picture.png": "there is no folder .*file; make it first",
        "folder.png": "is a folder",
        f"{'long' * 80}.png": "cannot be written (.*); name another place",
    }.items():
        with pytest.raises(DataError, match=words):
            check_picture(tmp_path / name)
        with pytest.raises(DataError, match=re.compile(words)):
            draw_panels([("one", SUDOKU.panels(BOARD))], tmp_path / name)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.png"]
