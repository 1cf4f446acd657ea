"""Grids of your own: what is inferred from a file, how it is split, varied, written and shown; end to end."""

import json
import random
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equilibria as eq
from equilibria.errors import CheckpointError, DataError, RecipeError
from equilibria.tasks import Problems, load_splits, load_task, task_names
from equilibria.tasks.grids import Grids, survey
from equilibria.tasks.grids.symmetry import Symmetries

SIDE = 4


def latin(count, seed=0):
    """Latin squares with half of their cells blank (0), and whole: lists of [4][4]."""
    draw, found = random.Random(seed), {}
    while len(found) < count:
        values, rows, columns = (draw.sample(range(SIDE), SIDE) for _ in range(3))
        whole = [[1 + values[(row + column) % SIDE] for column in columns] for row in rows]
        asked = [[0 if draw.random() < 0.5 else cell for cell in row] for row in whole]
        found[str(asked)] = (asked, whole)
    return list(found.values())


def is_latin(grid):
    return all(len(set(line)) == SIDE for line in [*grid, *zip(*grid, strict=True)])


def write(path, rows, keys=("input", "target")):
    path.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows))
    return path


@pytest.fixture
def squares(tmp_path):
    return write(tmp_path / "latin.jsonl", latin(120))


def text(grid, between=" ", rows="\n"):
    return rows.join(between.join(map(str, row)) for row in grid)


def as_jsonl(path, rows):
    return write(path.with_suffix(".jsonl"), rows, ("question", "answer"))


def as_text_csv(path, rows, between=" ", line="\n"):
    path = path.with_suffix(".csv")
    quoted = [",".join(f'"{text(grid, between, line)}"' for grid in row) for row in rows]
    path.write_text("Input,Target\n" + "\n".join(quoted) + "\n")
    return path


def as_short_csv(path, rows):
    return as_text_csv(path, rows, "", "/")


def as_lists_in_csv(path, rows):
    path = path.with_suffix(".csv")
    path.write_text("input,target\n" + "".join(f'"{one}","{other}"\n' for one, other in rows))
    return path


def as_npz(path, rows):
    path = path.with_suffix(".npz")
    np.savez_compressed(path, input=np.array([r[0] for r in rows]), target=np.array([r[1] for r in rows]))
    return path


def as_parquet(path, rows):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    path = path.with_suffix(".parquet")
    columns = {name: arrow.array([row[at] for row in rows]) for at, name in enumerate(("input", "target"))}
    pyarrow.parquet.write_table(arrow.table(columns), path)
    return path


FORMATS = [as_jsonl, as_text_csv, as_short_csv, as_lists_in_csv, as_npz, as_parquet]


@pytest.mark.parametrize("save", FORMATS)
def test_every_format_gives_the_same_task_and_problems(save, squares, tmp_path):
    path = save(tmp_path / "again", latin(120))
    task, same = (Grids().fitted(str(one)) for one in (path, squares))
    assert task.config == same.config
    assert task.config.symbols == ("0", "1", "2", "3", "4")
    assert (task.vocab_size, task.board, task.tokens) == (6, (4, 4), 16)
    assert task.read(path).fingerprint() == task.read(squares).fingerprint()
    assert load_splits(task, path).train.fingerprint() == load_splits(task, squares).train.fingerprint()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "npz", "parquet"])
def test_what_is_written_is_read_back(suffix, squares, tmp_path):
    task = Grids().fitted(str(squares))
    problems = task.read(squares)
    problems.labels[:, ::3] = 0  # not scored
    task.write(problems, tmp_path / f"again.{suffix}")
    again = task.read(tmp_path / f"again.{suffix}")
    assert again.fingerprint() == problems.fingerprint()
    assert Grids().fitted(str(tmp_path / f"again.{suffix}")).config == task.config


def test_symbols_are_ordered_by_size_and_then_by_name(tmp_path):
    rows = [([10, "wall", -3], ["goal", 9, None]), (["a", 2, 10], [-100, 2, "wall"])]
    task = Grids().fitted(str(write(tmp_path / "mixed.jsonl", rows)))
    assert task.config.symbols == ("-3", "2", "9", "10", "a", "goal", "wall")
    problems = task.read(tmp_path / "mixed.jsonl")
    assert problems.inputs.tolist() == [[4, 7, 1], [5, 2, 4]]
    assert problems.labels.tolist() == [[6, 3, 0], [0, 2, 7]]
    assert task.format(problems.inputs[0]) == "10 wall -3"
    assert task.parse("10 wall -3\n2 2 2").inputs.tolist() == [[4, 7, 1], [2, 2, 2]]
    with pytest.raises(
        DataError, match=r"line 1: the input, row 1, column 2: x is none of .*: -3 2 9 10 a goal"
    ):
        task.parse("10 x -3")


def test_words_and_letters_are_told_apart_by_spaces(tmp_path):
    def symbols(*rows):
        path = tmp_path / "text.csv"
        path.write_text("input,target\n" + "\n".join(rows) + "\n")
        return Grids().fitted(str(path)).config.symbols

    assert symbols("12,21") == ("1", "2")
    assert symbols("12 1,1 12") == ("1", "12")
    assert symbols("1 2,21") == ("1", "2")
    assert symbols("12 1,1 12", "12,1") == ("1", "12")


def test_a_space_is_a_symbol_where_it_is_said_to_be(tmp_path):
    task = Grids(Grids.Config(symbols=(" ", "#", "o"))).fitted(
        str(write(tmp_path / "walls.jsonl", [("# #/  #", "#o#/oo#"), (["#", " ", "o"], ["#", "o", "o"])]))
    )
    assert task.board == (2, 3)
    problems = task.read(tmp_path / "walls.jsonl")
    assert task.format(problems.inputs[0]) == "# #/  #"
    assert problems.inputs[1].tolist() == [2, 1, 3, 0, 0, 0]


def test_smaller_grids_lie_in_the_corner_and_a_long_row_can_be_the_board(tmp_path):
    rows = [([[1, 2], [2, 1]], [[2, 1], [1, 2]]), ([[1, 1, 1]], [[2, 2, 2]])]
    task = Grids().fitted(str(write(tmp_path / "sizes.jsonl", rows)))
    assert task.board == (2, 3)
    problems = task.read(tmp_path / "sizes.jsonl")
    assert problems.inputs.tolist() == [[1, 2, 0, 2, 1, 0], [1, 1, 1, 0, 0, 0]]
    assert [task.format(row) for row in problems.labels] == ["21/12", "222"]
    assert task.asked(problems.inputs).tolist() == (problems.labels != 0).tolist()
    with pytest.raises(DataError, match="it is 1×4, and the task has room for 2×3"):
        task.parse("1111")
    flat = Grids(Grids.Config(height=2, width=2)).fitted(
        str(write(tmp_path / "flat.jsonl", [([1, 2, 3, 4],) * 2]))
    )
    assert flat.format(flat.read(tmp_path / "flat.jsonl").inputs[0]) == "12/34"


def test_the_split_depends_on_inputs_and_on_nothing_else(tmp_path):
    rows = latin(400)
    task = Grids().fitted(str(write(tmp_path / "all.jsonl", rows)))
    splits = load_splits(task, tmp_path / "all.jsonl")
    assert len(splits.train) + len(splits.held_out) == 400
    assert 15 <= len(splits.held_out) <= 70
    assert "a hash of each input" in splits.description

    def held(name, rows):
        path = write(tmp_path / name, rows)
        task = Grids().fitted(str(path))
        return {task.format(row) for row in load_splits(task, path).held_out.inputs}

    before = held("all.jsonl", rows)
    assert held("reversed.jsonl", rows[::-1]) == before
    assert held("double.jsonl", rows + rows) == before
    larger = [*rows, ([[0, 7, 10, 5, 6]] * 6, [[1, 1, 1, 1, 1]] * 6)]  # other symbols, another board
    assert {row.replace(" ", "") for row in held("larger.jsonl", larger)} - {
        "071056/" * 5 + "071056"
    } == before


def test_a_file_of_two_problems_can_be_split_and_of_one_cannot(tmp_path):
    splits = load_splits(Grids().fitted(str(write(tmp_path / "two.jsonl", latin(2)))), tmp_path / "two.jsonl")
    assert (len(splits.train), len(splits.held_out)) == (1, 1)
    write(tmp_path / "one.jsonl", latin(1) * 3)
    with pytest.raises(DataError, match="too few to train on and to hold out any"):
        load_splits(Grids().fitted(str(tmp_path / "one.jsonl")), tmp_path / "one.jsonl")


def test_a_folder_gives_two_files_of_any_format(tmp_path):
    rows = latin(60)
    write(tmp_path / "train.jsonl", rows[:40])
    as_npz(tmp_path / "test", rows[30:])
    task = Grids().fitted(str(tmp_path))
    splits = load_splits(task, tmp_path)
    assert (len(splits.train), len(splits.held_out)) == (40, 20)
    found = survey(tmp_path)
    assert (found.rows, found.shared, found.held_out, found.repeated) == (70, 10, 30, 10)
    assert found.repeated_places[0] == ("line 31 of train.jsonl", "row 1 of test.npz")


def test_a_file_to_hold_out_is_named(squares, tmp_path, monkeypatch):
    rows = latin(150)
    held = write(tmp_path / "held.jsonl", [*rows[100:], ([[7] * 5], [[8] * 5])])  # twenty are trained on
    task = Grids().fitted(str(squares), str(held))
    assert task.board == (4, 5) and task.config.symbols == ("0", "1", "2", "3", "4", "7", "8")
    splits = load_splits(task, squares, held_out=held)
    assert (len(splits.train), len(splits.held_out)) == (120, 31)
    assert splits.description == (
        f"train: 120 from {squares}; held out: 31 from {held} "
        "(20 more dropped, because they are in the training set)"
    )
    out = tmp_path / "run"
    overrides = [f"data={squares}", f"data.held_out={held}", *TINY]
    eq.train("eqr-grid", overrides, out=out, device="cpu", quiet=True)
    pipeline = eq.load(out / "last")
    assert pipeline.recipe.data.held_out == str(held)
    assert len(eq.evaluation_problems(pipeline)) == 31
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "train.jsonl", rows[:100])
    assert Grids().fitted(str(folder), str(held)).board == (4, 5)  # a test table is not needed
    assert len(load_splits(Grids().fitted(str(folder), str(held)), folder, held_out=held).held_out) == 51
    monkeypatch.setattr("equilibria.tasks.splits.hub_file", lambda *names: held)
    hub = "hf://datasets/owner/name/held.jsonl"
    assert Grids().fitted(str(squares), hub).config == task.config
    assert len(load_splits(task, squares, held_out=hub).held_out) == 31
    with pytest.raises(DataError, match=r"none\.jsonl: there is no such file"):
        Grids().fitted(str(squares), str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match="is a folder: name a file in it"):
        Grids().fitted(str(squares), str(folder))
    with pytest.raises(DataError, match="every problem held out"):
        load_splits(task, squares, held_out=squares)


def test_the_hub_is_asked_for_a_file_by_its_address(squares, monkeypatch):
    asked = []
    monkeypatch.setattr("equilibria.tasks.splits.hub_file", lambda *names: asked.append(names) or squares)
    task = Grids().fitted("hf://datasets/owner/name/data/train.jsonl")
    assert task.board == (4, 4)
    assert asked == [("owner/name", "data/train.jsonl")]
    assert len(load_splits(task, "hf://datasets/owner/name/data/train.jsonl").train) > 90


def uniforms(symmetries, count, seed):
    return torch.rand(count, symmetries.draws, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40)
@given(seed=st.integers(0, 2**31), kind=st.sampled_from(["none", "mirrors", "dihedral"]))
def test_symmetries_keep_answers_right(seed, kind):
    task = Grids(
        Grids.Config(symbols=(0, 1, 2, 3, 4), height=5, width=5, symmetry=kind, relabel=(1, 2, 3, 4))
    )
    rows = latin(8, seed % 1000)
    inputs, labels = (
        torch.from_numpy(task.notation.encode([text(row[at]) for row in rows], column)[0])
        for at, column in enumerate(("input", "target"))
    )
    varied, answers = task.augment(inputs, labels, uniforms(task.symmetries, 8, seed))
    for before, given_, answer in zip(inputs, varied, answers, strict=True):
        lines = [[int(cell) for cell in row] for row in task.format(answer).split("/")]
        assert is_latin(lines)
        assert ((given_ == answer) | (given_ <= 1)).all()  # what is given stays in the answer; 1 is the blank
        assert (given_ != 0).equal(before != 0)
    again = task.symmetries.canonical(varied)
    assert again.equal(task.symmetries.canonical(inputs))


def test_grids_of_any_shape_turn_within_themselves():
    board = torch.tensor([[1, 2, 3, 0, 4, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0]], dtype=torch.uint8)
    symmetries = Symmetries((4, 4), "dihedral")
    images = {tuple(symmetries.turned(board, board, torch.tensor([which]))[0].tolist()) for which in range(8)}
    assert len(images) == 8
    turned = symmetries.turned(board, board, torch.tensor([4]))[0].view(4, 4)
    assert turned.tolist() == [[1, 4, 0, 0], [2, 5, 0, 0], [3, 6, 0, 0], [0, 0, 0, 0]]
    labels = board.masked_fill(board == 1, 0)  # not scored: its shape is that of the input
    assert symmetries.turned(labels, board, torch.tensor([3]))[0, 6] == 0


def test_equivalent_problems_fall_on_the_same_side():
    task = Grids(
        Grids.Config(symbols=(0, 1, 2, 3, 4), height=4, width=4, symmetry="dihedral", relabel=(1, 2, 3, 4))
    )
    inputs, _ = task.notation.encode([text(row[0]) for row in latin(200)], "input")
    problems = Problems(torch.from_numpy(inputs), torch.from_numpy(inputs), ("",) * 200)
    varied, _ = task.augment(problems.inputs, problems.inputs, uniforms(task.symmetries, 200, 3))
    assert task.held_out(problems).equal(task.held_out(Problems(varied, varied, ("",) * 200)))


def test_the_card_says_how_new_what_is_held_out_is(tmp_path):
    rows = latin(40)
    turned = [tuple([list(line) for line in zip(*grid, strict=True)] for grid in row) for row in rows[:5]]
    paths = [
        write(tmp_path / "train.jsonl", rows[:30]),
        write(tmp_path / "test.jsonl", [*rows[30:], *turned]),
    ]
    plain, named = (Grids(Grids.Config(symmetry=kind)).fitted(str(tmp_path)) for kind in ("none", "dihedral"))
    train, held = (plain.read(path) for path in paths)
    assert re.fullmatch(
        r"\d+ of 15 held-out grids have a target no training grid has", plain.overlap(train, held)
    )
    said = named.overlap(train, held)
    assert said.endswith("; 10 are inequivalent to every training grid under the task's symmetries")


@pytest.mark.parametrize("quiet", [False, True])
def test_several_answers_are_said_when_training_starts(quiet, squares, tmp_path, capsys):
    rows = latin(120)
    other = [[5 - cell for cell in row] for row in rows[3][1]]
    path = write(tmp_path / "several.jsonl", [*rows, (rows[3][0], other), rows[4]])
    task = Grids().fitted(str(path))
    train = load_splits(task, path).train
    assert len(train) > 100 and (task.read(path).contradicted(), train.contradicted()[0]) == ((1, 120), 1)
    for name, said in (("several", True), ("latin", False)):
        overrides = [f"data={tmp_path / name}.jsonl", *TINY]
        eq.train("eqr-grid", overrides, out=tmp_path / name, device="cpu", quiet=quiet)
        text = " ".join(capsys.readouterr().err.split())
        assert (f"1 of {train.contradicted()[1]} inputs to train on" in text) is (said and not quiet)
        assert ("(EqR, App. C.2)" in text) is (said and not quiet)


def test_a_survey_counts_and_finds_several_answers(tmp_path):
    rows = latin(50)
    other = [[5 - cell for cell in row] for row in rows[3][1]]
    path = write(tmp_path / "mine.jsonl", [*rows, rows[0], rows[0], (rows[3][0], other), rows[3]])
    found = survey(path)
    assert found.files == ((path, "jsonl", 54),)
    assert (found.repeated, found.repeated_places[0]) == (3, ("line 1", "line 51"))
    assert (found.ambiguous, found.ambiguous_rows) == (1, 3)
    assert found.ambiguous_places == (("line 4", "line 53"),)
    assert sum(found.targets.values()) == 54 * 16 and found.targets["0"] == 0
    assert found.shapes == (((4, 4), 54),)
    assert (found.padding, found.unscored) == (0, 0)
    assert found.held_out == len(load_splits(found.task, path).held_out)


def test_bad_rows_are_set_aside_by_a_scan(squares):
    task = Grids().fitted(str(squares))
    with squares.open("a") as file:
        file.write(
            '{"input": [[1]], "target": [[1, 2]]}\n{"input": [[1.5]]}\n{"input": [[9]], "target": [[1]]}\n'
        )
    scan = task.scan(squares, labelled=True)
    assert len(scan.problems) == 120
    reasons = [(one.place, one.reason[:30]) for one in scan.rejected]
    assert reasons == [
        ("line 121", "the target is 1×2 and the inpu"),
        ("line 122", "is no problem: the input: row "),
        ("line 123", "the input, row 1, column 1: 9 "),
    ]
    assert scan.rejected[2].text == "9"
    assert len(task.read(squares, limit=7)) == 7
    assert len(task.scan(squares).problems) == 121  # without targets, the first of them is a problem


def test_a_grid_is_shown_with_its_answer_and_what_is_wrong():
    task = Grids(Grids.Config(symbols=(0, 1, 2), height=2, width=3))
    inputs = task.parse("00/12").inputs[0]
    answer = torch.tensor([2, 3, 0, 2, 2, 0])
    label = torch.tensor([2, 3, 0, 2, 3, 0])
    assert task.render(inputs).plain == "0 0 \n1 2 "
    assert task.render(inputs, answer, label).plain == "0 0    1 2 \n1 2  → 1 1!"
    assert task.violations(inputs[None], torch.tensor([[2, 0, 0, 2, 3, 0]])) == [["row 1, column 2 is empty"]]
    assert task.valid(inputs[None], answer[None]).tolist() == [True]
    wide = Grids(Grids.Config(symbols=("0", "word"), height=1, width=20))
    row = wide.parse("word " * 20).inputs[0]
    assert len(wide.render(row, row).plain.splitlines()) == 1


def test_what_only_data_can_say_is_asked_for():
    task = Grids()
    assert (task.vocab_size, task.board) == (1, (1, 1))
    with pytest.raises(DataError, match="the symbols of these grids is not known: name the data"):
        task.parse("1 2")
    with pytest.raises(DataError, match=r"name a file, .* with data\.source="):
        task.fitted("generated")
    with pytest.raises(DataError, match="name a file of them"):
        Grids(Grids.Config(symbols=(1,), height=1, width=1)).generate(3, seed=0)
    with pytest.raises(DataError, match=r"its answer cannot be computed"):
        raise DataError(Grids().label(torch.ones(1, 1))[1][0])


def test_relabel_must_name_symbols_that_are_there(squares):
    with pytest.raises(
        DataError, match=r"latin\.jsonl does not fit the task: relabel: '7' is none of the symbols"
    ):
        Grids(Grids.Config(relabel=(1, 7))).fitted(str(squares))


TINY = [
    *("reasoner.width=16", "reasoner.heads=2", "reasoner.channel_inner=16", "training.steps=3"),
    *("training.batch=8", "training.depth=4", "training.log_every=1", "training.optimizer.warmup=1"),
]


def test_a_file_is_trained_on_and_its_checkpoint_solves_without_it(squares, tmp_path):
    out = tmp_path / "run"
    eq.train("eqr-grid", [f"data.source={squares}", *TINY], out=out, device="cpu", quiet=True)
    squares.unlink()
    pipeline = eq.load(out / "last")
    assert pipeline.recipe.task["symbols"] == ["0", "1", "2", "3", "4"]
    assert (pipeline.recipe.task["height"], pipeline.recipe.task["width"]) == (4, 4)
    answers = pipeline.solve("0204/0000/3100/0040", depth=2, breadth=2)
    assert len(answers) == 1 and len(answers[0].answer.split("/")) == 4
    (problems,) = [pipeline.problems("1 2 3 4/0 0 0 0/0 0 0 0/0 0 0 0")]
    assert problems.inputs[0, :4].tolist() == [2, 3, 4, 5]


def test_a_dry_run_knows_the_shape_of_the_data(squares):
    plan = eq.plan("eqr-grid", [f"data.source={squares}"], device="cpu")
    assert plan.recipe.task["height"] == 4
    assert plan.data.startswith("train: ")
    assert plan.cost.flops > 0


OWN = """
import torch
from equilibria.tasks.grids import Grids

class Mine(Grids):
    name = "mine"
    noun = "square"
"""


def test_a_task_of_your_own_is_named_by_its_file(squares, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    task = load_task({"name": str(file), "height": 4})
    assert (type(task).__name__, task.noun, task.config.height) == ("Mine", "square", 4)
    assert type(load_task({"name": str(file)})) is type(task)
    out = tmp_path / "run"
    overrides = [f"task.name={file}", f"data.source={squares}", *TINY]
    eq.train("eqr-grid", overrides, out=out, device="cpu", quiet=True)
    with pytest.raises(CheckpointError, match=r"its task is a program, .*task.name="):
        eq.load(out / "last")  # which others may have made
    assert eq.load(out / "last", overrides=[f"task.name={file}"]).task.noun == "square"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (None, "there is no such file; name a Python file with one Task subclass"),
        ("", "must define one subclass of Task; it defines 0"),
        (OWN + "class Other(Mine): pass\n", r"it defines 2 \(Mine, Other\)"),
        (
            "from equilibria import Task\nclass Half(Task):\n    name = 'half'\n",
            "Half lacks board, decode, format",
        ),
        ("x = 1\nraise ValueError('no')", r"does not run: ValueError: no \(line 2\)"),
        ("def (", r"does not run: SyntaxError: .*line 1"),
        ("import nothing_like_this", "does not run: ModuleNotFoundError: No module named"),
    ],
)
def test_a_file_that_is_no_task_is_refused(code, expected, tmp_path):
    file = tmp_path / "mine.py"
    if code is not None:
        file.write_text(code)
    with pytest.raises(RecipeError, match=expected):
        load_task({"name": str(file)})


class Point:
    """Stands for what an installed package declares."""

    name, value = "theirs", "their_package:Theirs"

    def __init__(self, result):
        self.result = result

    def load(self):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def test_an_installed_package_can_offer_a_task(monkeypatch):
    def offer(result):
        monkeypatch.setattr("equilibria.tasks.external.entry_points", lambda group: [Point(result)])

    offer(Grids)
    assert "theirs" in task_names() and "grids" in task_names()
    assert isinstance(load_task({"name": "theirs"}), Grids)
    offer(ImportError("no their_package"))
    with pytest.raises(RecipeError, match=r"their_package:Theirs.* cannot be imported: no their_package"):
        load_task({"name": "theirs"})
    offer(int)
    with pytest.raises(RecipeError, match=r"must be a subclass of equilibria\.Task"):
        load_task({"name": "theirs"})
