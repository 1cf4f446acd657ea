"""`equilibria watch`: what is printed where nobody can watch, what is saved, and mistakes."""

import io
import re

import pytest
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from rich.console import Console
from typer.testing import CliRunner

import equilibria as eq
from equilibria.cli import app, main
from equilibria.cli import watch as command

PUZZLE = "4.......1.3........2...5..31..1.5..4"
SMALL = ("--depth", "6", "--breadth", "3")


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["watch", *map(str, arguments)], env={"COLUMNS": "120"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def test_into_a_pipe_goes_a_summary():
    text = run(PUZZLE, *SMALL)
    assert "restarts settled" in text
    assert re.search(r"\n +6 .* of 3", text)
    assert "\x1b" not in text


def test_without_a_puzzle_the_first_held_out_one_is_watched():
    assert run(*SMALL) == run(PUZZLE, *SMALL)
    assert run(*SMALL, "--row", 2) != run(PUZZLE, *SMALL)


def test_a_row_of_a_file_is_watched(tmp_path):
    path = tmp_path / "puzzles.txt"
    path.write_text(f"{'.' * 35}1\n{PUZZLE}\n")
    assert run(path, *SMALL, "--row", 2) == run(PUZZLE, *SMALL)


def test_it_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "MANY", 4)
    film, strip, plane = tmp_path / "a.gif", tmp_path / "a.png", tmp_path / "b.png"
    text = run(PUZZLE, *SMALL, "--gif", film, "--png", strip, "--landscape", plane, "--restart", 2)
    assert "restart 2, iteration" in text
    with GifImageFile(film) as image:
        assert image.n_frames <= 7
    for path in (strip, plane):
        with Image.open(path) as image:
            assert image.format == "PNG"


def test_in_a_terminal_every_iteration_is_shown(monkeypatch):
    scene = eq.load("sudoku-6x6").watch(eq.held_out_problems("sudoku-6x6")[:1], depth=4, breadth=2)
    pauses = []
    monkeypatch.setattr(command.time, "sleep", pauses.append)
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, no_color=True, width=80)
    command._show(console, scene, 1, fps=5)
    assert [int(k) for k in re.findall(r"restart 2, iteration (\d)", shown.getvalue())][:5] == [0, 1, 2, 3, 4]
    assert len(pauses) == 4
    assert max(pauses) <= 0.2
    assert "38;" not in shown.getvalue()  # no colours


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("12x",), "has 3 cells"),
        ((PUZZLE, "--row", "2"), "--row 2: the text has 1"),
        (("--row", "0"), "--row 0"),
        ((PUZZLE, "--restart", "9"), "--restart 9: there are 8"),
        ((PUZZLE, "--fps", "60"), "at most 10"),
        ((PUZZLE, "--gif", "film.mp4"), "ends in .gif"),
        ((PUZZLE, "--png", "nowhere/strip.png"), "there is no folder"),
        ((PUZZLE, "--landscape", "plane.pdf"), "ends in .png"),
        ((PUZZLE, "--halting", "never"), "halting must be one of"),
        (("--with", "nobody"), "no reasoner 'nobody'"),
    ],
)
def test_a_mistake_is_one_message_before_any_work(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["equilibria", "watch", *arguments])
    monkeypatch.setattr(eq.Pipeline, "watch", lambda *_, **__: pytest.fail("it began"))
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 2
    said = capsys.readouterr().err
    assert message in re.sub(r"\s+", " ", said)
    assert "Traceback" not in said


def test_ctrl_c_ends_it_without_a_traceback(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(eq.Pipeline, "watch", interrupted)
    run(PUZZLE, code=130)


def test_only_one_problem_is_watched_at_a_time():
    problems = eq.held_out_problems("sudoku-6x6")[:2]
    with pytest.raises(eq.EquilibriaError, match="one problem can be watched at a time, not 2"):
        eq.load("sudoku-6x6").watch(problems)
