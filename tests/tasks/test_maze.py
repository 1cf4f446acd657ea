"""Mazes: rules, generator, symmetries, text and tables."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.errors import DataError, RecipeError
from equilibria.tasks import load_splits, load_task
from equilibria.tasks.maze import Maze, symmetric

# two ways lead around the block, the one below is longer
GRID = """\
#######
#S...##
#.#.#.#
#.#..G#
#.##.##
#....##
#######
"""
SOLVED_GRID = """\
#######
#Soo.##
#.#o#.#
#.#ooG#
#.##.##
#....##
#######
"""
SOLVED = SOLVED_GRID.replace("\n", "").replace(".", " ")
LINE = GRID.replace("\n", "").replace(".", " ")


def maze(size=7, **more):
    return Maze(Maze.Config(size=size, **more))


@pytest.fixture(scope="module")
def seven():
    return maze()


@pytest.fixture
def answers(seven):
    """Makes answers to GRID with some cells replaced: {(row, column): character}, from 1."""
    labels = seven.parse(GRID).inputs

    def change(cells):
        changed = labels[0].clone()
        for (row, column), character in cells.items():
            changed[(row - 1) * 7 + column - 1] = "?# SGo".index(character)
        return changed[None]

    return change


def path(*cells):
    return dict.fromkeys(cells, "o")


UPPER = [(2, 3), (2, 4), (3, 4), (4, 4), (4, 5)]
LOWER = [(3, 2), (4, 2), (5, 2), (6, 2), (6, 3), (6, 4), (6, 5), (5, 5), (4, 5)]
BROKEN = {
    "right": (path(*UPPER), []),
    "nothing": ({}, ["the 0 marked cells do not lead from S to G"]),
    "gap": (path(*UPPER[:3], UPPER[4]), ["the 4 marked cells do not lead from S to G"]),
    "long": (path(*LOWER), ["the path takes 10 steps, and 6 are enough"]),
    "too many": (path(*UPPER, (2, 5)), ["6 cells are marked, and a shortest path has 5 between S and G"]),
    "both": (path(*UPPER, *LOWER), ["13 cells are marked, and a shortest path has 5 between S and G"]),
    "through a wall": (
        path((2, 3), (2, 4), (2, 5), (2, 6), (3, 6)),
        ["a wall at row 2, column 6 became a path cell", "the 4 marked cells do not lead from S to G"],
    ),
    "wall opened": (path(*UPPER) | {(1, 1): " "}, ["a wall at row 1, column 1 became an open cell"]),
    "start gone": (path(*UPPER) | {(2, 2): "o"}, ["the start at row 2, column 2 became a path cell"]),
    "goal moved": (
        path(*UPPER) | {(4, 6): " ", (3, 6): "G"},
        [
            "an open cell at row 3, column 6 became the goal",
            "the goal at row 4, column 6 became an open cell",
        ],
    ),
    "pad": (path(*UPPER) | {(6, 5): "?"}, ["an open cell at row 6, column 5 became nothing"]),
}


@pytest.mark.parametrize(("cells", "expected"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_rules_are_named(seven, answers, cells, expected):
    inputs, answer = seven.parse(GRID).inputs, answers(cells)
    assert seven.violations(inputs, answer) == [expected]
    assert seven.valid(inputs, answer).tolist() == [not expected]


def test_any_shortest_path_is_right():
    square = maze(3)
    inputs = square.parse("S..\n...\n..G").inputs.repeat(3, 1)
    answers = inputs.clone()
    for row, cells in enumerate(([1, 2, 5], [3, 4, 7], [1, 4, 7])):
        answers[row, cells] = 5
    assert square.valid(inputs, answers).tolist() == [True] * 3
    assert square.violations(inputs, answers) == [[], [], []]


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), mode=st.sampled_from(["perfect", "random"]))
def test_generated_answers_are_valid_and_their_length_is_the_rating(seed, mode):
    task = maze(11, mode=mode, shortest=6, longest=14)
    problems = task.generate(6, seed=seed)
    assert task.valid(problems.inputs, problems.labels).all()
    assert task.violations(problems.inputs, problems.labels) == [[]] * 6
    for inputs, labels, rating in zip(problems.inputs, problems.labels, problems.ratings, strict=True):
        steps, ways = slow_shortest(inputs.view(11, 11).numpy())
        assert steps == rating == (labels == 5).sum() + 1
        assert ways == 1
        assert 6 <= steps <= 14


def slow_shortest(grid):
    """Least number of steps from S to G and how many shortest paths there are, by powers of the adjacency."""
    free = np.flatnonzero(grid != 1)
    row, column = free // len(grid), free % len(grid)
    near = np.abs(row[:, None] - row) + np.abs(column[:, None] - column) == 1
    walks = (grid.flat[free] == 3).astype(np.int64)
    goal = int(np.flatnonzero(grid.flat[free] == 4)[0])
    steps = 0
    while walks[goal] == 0:
        walks, steps = near @ walks, steps + 1
    return steps, walks[goal]


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_perfect_mazes_are_trees(seed):
    grids = maze(12).generate(3, seed=seed).inputs.view(-1, 12, 12) != 1
    assert not grids[:, [0, 10, 11]].any() and not grids[:, :, [0, 10, 11]].any()  # 11×11 and its border
    open_pairs = (grids[:, 1:] & grids[:, :-1]).sum((1, 2)) + (grids[:, :, 1:] & grids[:, :, :-1]).sum((1, 2))
    assert torch.equal(open_pairs, grids.sum((1, 2)) - 1)  # as many edges as a tree on these cells
    assert grids.sum((1, 2)).tolist() == [49] * 3  # 25 cells, 24 walls opened between them


def test_splits_share_nothing_and_repeat_with_their_seed():
    task = maze(7)
    splits = task.generate_splits({"train": 120, "held_out": 40}, seed=1)
    rows = torch.cat([part.inputs for part in splits.values()])
    assert [len(part) for part in splits.values()] == [120, 40]
    assert len(rows.unique(dim=0)) == 160
    assert task.generate(120, seed=1).fingerprint() == splits["train"].fingerprint()
    assert task.generate(120, seed=2).fingerprint() != splits["train"].fingerprint()
    loaded = load_splits(task, "generated", count=120, held_out_count=40, seed=1)
    assert loaded.train.fingerprint() == splits["train"].fingerprint()
    assert task.overlap(splits["train"], splits["train"]).startswith("0 of 120 held-out mazes are no turned")


def test_default_lengths_are_the_published_ones_and_follow_the_size():
    def lengths(**config):
        kind = maze(**config).kind
        return kind.shortest, kind.longest

    assert lengths(size=30) == (100, 140)
    assert lengths(size=5) == (3, 4)
    assert lengths(size=30, longest=50) == (50, 50)
    assert lengths(size=11, shortest=30) == (30, 30)
    assert lengths(size=11, mode="random", unique=False) == (13, 19)
    assert lengths(size=11, mode="random", unique=False, shortest=15) == (15, None)
    assert lengths(size=11, mode="random", shortest=15) == (15, 19)
    assert maze(11).generate(8, seed=0, min_rating=18).ratings.min() >= 18
    assert not torch.equal(
        maze(9, mode="random", unique=False, shortest=6, longest=9).generate(8, seed=0).inputs,
        maze(9, mode="random", shortest=6, longest=9).generate(8, seed=0).inputs,
    )


@pytest.mark.parametrize("size", [5, 6, 7, 8, 10, 11, 30, 31])
@pytest.mark.parametrize("hard", [False, True])
def test_mazes_of_any_size_odd_or_even_are_made(size, hard):
    shortest = max(3, size**2 // 9)
    task = maze(size, **({"mode": "random", "unique": False, "shortest": shortest} if hard else {}))
    problems = task.generate(3, seed=size)
    assert problems.inputs.shape == (3, size**2)
    assert len(problems.inputs.unique(dim=0)) == 3
    assert task.valid(problems.inputs, problems.labels).all()
    assert problems.ratings.min() >= task.kind.shortest


def test_maze_hard_is_made_from_a_seed():
    task = maze(30, mode="random", unique=False, shortest=111)
    assert (task.kind.shortest, task.kind.longest) == (111, None)
    splits = task.generate_splits({"train": 12, "held_out": 4}, seed=5)
    problems = splits["train"]
    assert task.generate(12, seed=5).fingerprint() == problems.fingerprint()
    assert task.generate(12, seed=6).fingerprint() != problems.fingerprint()
    assert len(torch.cat([part.inputs for part in splits.values()]).unique(dim=0)) == 16
    assert task.violations(problems.inputs, problems.labels) == [[]] * 12
    ways = []
    for inputs, rating in zip(problems.inputs, problems.ratings, strict=True):
        steps, count = slow_shortest(inputs.view(30, 30).numpy())
        assert steps == rating > 110
        ways.append(count)
    assert min(ways) >= 1 and np.median(ways) > 1  # of the labels' paths, most are one of several
    walls = (problems.inputs == 1).float().mean()
    assert 0.3 < walls < 0.45


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(5, 12))
def test_lengths_that_come_by_chance_are_long_enough_and_their_paths_shortest(seed, size):
    task = maze(size, mode="random", unique=False, shortest=size)
    problems = task.generate(4, seed=seed)
    assert task.valid(problems.inputs, problems.labels).all()
    for inputs, rating in zip(problems.inputs, problems.ratings, strict=True):
        assert slow_shortest(inputs.view(size, size).numpy())[0] == rating >= size


def test_symmetries_keep_answers_valid():
    task = maze(8, symmetries=True)
    problems = task.generate(64, seed=0)
    assert task.draws == 1
    uniforms = torch.rand(64, 1)
    inputs, labels = task.augment(problems.inputs, problems.labels, uniforms)
    assert inputs.dtype == labels.dtype == torch.uint8
    assert task.valid(inputs, labels).all()
    again, _ = task.augment(problems.inputs[5:6], problems.labels[5:6], uniforms[5:6])
    assert torch.equal(again, inputs[5:6])
    board = torch.arange(16)[None]
    images = symmetric(board.expand(8, -1), torch.arange(8))
    assert len(images.unique(dim=0)) == 8 and torch.equal(images[:1], board)
    assert images[:, [5, 6, 9, 10]].sort().values.unique(dim=0).tolist() == [
        [5, 6, 9, 10]
    ]  # the middle stays
    turned = torch.rot90(board.view(4, 4)).flatten()
    assert (images == turned).all(1).any()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    size=st.integers(5, 12),
    mode=st.sampled_from(["perfect", "random"]),
    which=st.integers(0, 7),
)
def test_an_image_of_a_maze_has_images_of_its_answers(seed, size, mode, which):
    task = maze(size, mode=mode, unique=mode == "perfect", shortest=size - 2)
    problems = task.generate(3, seed=seed)
    inputs, labels = (symmetric(part, torch.full((3,), which)) for part in (problems.inputs, problems.labels))
    assert task.violations(inputs, labels) == [[]] * 3
    for before, after, label in zip(problems.inputs, inputs, labels, strict=True):
        steps, ways = slow_shortest(before.view(size, size).numpy())
        assert slow_shortest(after.view(size, size).numpy()) == (steps, ways)
        assert (label == 5).sum() + 1 == steps
    spoiled = labels.clone()
    spoiled[labels == 5] = 2  # an image of no answer is no answer
    assert not task.valid(inputs, spoiled)[(labels == 5).any(1)].any()


@given(size=st.integers(2, 9), first=st.integers(0, 7), second=st.integers(0, 7))
def test_the_symmetries_are_a_group(size, first, second):
    board = torch.arange(size * size)[None]
    images = symmetric(board.expand(8, -1), torch.arange(8))
    assert torch.equal(images[:1], board)
    assert len(images.unique(dim=0)) == 8
    both = symmetric(symmetric(board, torch.tensor([first])), torch.tensor([second]))
    assert (images == both).all(1).any()  # one after the other is one of them
    backs = symmetric(images[first].expand(8, -1), torch.arange(8))
    assert (backs == board).all(1).sum() == 1  # and each is undone by one


def test_symmetries_are_off_unless_asked_for():
    assert Maze.Config().symmetries is False
    assert "Maze-Hard" in Maze.Config.__doc__.split("`symmetries`")[1]  # and it says why


def test_without_symmetries_augment_changes_nothing():
    task = maze(8)
    problems = task.generate(4, seed=0)
    assert task.draws == 0
    assert task.augment(problems.inputs, problems.labels, torch.rand(4, 0))[0] is problems.inputs


def test_grids_and_lines_read_alike(seven):
    text = GRID + "\n" + LINE + "\n\n\n" + GRID.replace(".", " ")
    mazes = seven.parse(text, "here")
    assert len(mazes) == 3
    assert (mazes.inputs == mazes.inputs[0]).all()
    assert seven.format(mazes.inputs[0]) == LINE
    assert mazes.sources == ("here",) * 3


def test_render_needs_no_colour(seven, answers):
    inputs = seven.parse(GRID).inputs[0]
    shown = seven.render(inputs).plain.splitlines()
    assert shown[1] == "██S       ████" and len(shown) == 7
    right, wrong = answers(path(*UPPER))[0], answers(path(*UPPER[:4], (5, 5)) | {(1, 1): " "})[0]
    assert seven.render(inputs, right).plain.splitlines()[1] == "██S o o   ████"
    shown = seven.render(inputs, wrong, right).plain.splitlines()
    assert shown[0].startswith(" !██") and shown[3] == "██  ██o  !G ██" and shown[4].count("o!") == 1
    square = maze(3)
    inputs = square.parse("S..\n...\n..G").inputs[0]
    one, other = inputs.clone(), inputs.clone()
    one[[1, 2, 5]], other[[3, 6, 7]] = 5, 5
    assert "!" not in square.render(inputs, one, other).plain  # another shortest path is right as well


def test_for_text_finds_the_size():
    assert Maze.for_text(GRID).board == (7, 7)
    assert Maze.for_text(LINE).board == (7, 7)
    assert Maze.for_text(LINE + "\n" + LINE).board == (7, 7)
    assert Maze.for_text(f"source,question\nme,{LINE}\n").board == (7, 7)
    assert Maze.for_text("S......G." + "\n........." * 8).board == (9, 9)
    for text in ("", "53..7....", "12453 12345"):
        with pytest.raises(DataError, match="this is no maze"):
            Maze.for_text(text)


@pytest.fixture
def table(tmp_path):
    def write(text, name="some.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_what_is_written_reads_back(tmp_path):
    task = maze(9)
    problems = task.generate(20, seed=1)
    task.write(problems, tmp_path / "made.csv")
    again = task.read(tmp_path / "made.csv")
    assert again.fingerprint() == problems.fingerprint()
    assert torch.equal(again.ratings, problems.ratings) and again.sources == problems.sources
    assert len(task.read(tmp_path / "made.csv", limit=3)) == 3
    assert task.read(tmp_path / "made.csv", labelled=False).labels is None
    text = tmp_path / "made.txt"
    text.write_text("\n".join(task.format(row) for row in problems.inputs))
    assert task.read(text).fingerprint() == problems.fingerprint()
    assert task.read(text, limit=2, labelled=False).labels is None


def test_a_published_table_is_read(seven, table):
    problems = seven.read(table(HEADER + GOOD + GOOD))
    assert problems.ratings.tolist() == [6, 6] and problems.sources == ("web", "web")
    assert seven.valid(problems.inputs, problems.labels).all()
    assert seven.format(problems.labels[0]) == SOLVED


def test_the_published_folder_is_read(tmp_path):
    task = maze(30, mode="random", unique=False, shortest=60)
    made = task.generate_splits({"train": 4, "test": 3}, seed=1)
    for stem, problems in made.items():
        lines = ["source,question,answer,rating"]
        for inputs, labels, rating in zip(problems.inputs, problems.labels, problems.ratings, strict=True):
            lines.append(f"web,{task.format(inputs)},{task.format(labels)},{rating:g}")
        (tmp_path / f"{stem}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    splits = load_splits(task, tmp_path)
    assert torch.equal(splits.train.inputs, made["train"].inputs)
    assert torch.equal(splits.held_out.labels, made["test"].labels)
    assert torch.equal(splits.train.ratings, made["train"].ratings)
    assert set(splits.train.sources) == {"web"}


def test_the_hub_name_is_asked_for_and_its_absence_explained(monkeypatch):
    import huggingface_hub

    def offline(dataset, filename, **_):
        raise OSError(f"no route to {dataset}/{filename}")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    name = "sapientinc/maze-30x30-hard-1k"
    with pytest.raises(
        DataError,
        match=rf"train\.csv of the Hub dataset {name} could not be fetched \(no route to {name}/train\.csv\)"
        r"; give the path of a local file, or of a folder with train\.csv and test\.csv",
    ):
        load_splits(maze(30), name)


def test_a_label_may_be_any_shortest_path(table):
    square, question = maze(3), "S" + " " * 7 + "G"
    paths = ["Soo  o  G", "So  oo  G", "So  o  oG", "S  ooo  G", "S  oo  oG", "S  o  ooG"]
    rows = "".join(f"web,{question},{path},4\n" for path in paths)
    problems = square.read(table(HEADER + rows))
    assert [square.format(labels) for labels in problems.labels] == paths
    ours, _ = square.label(problems.inputs[:1])
    assert square.format(ours[0]) in paths
    assert not torch.equal(problems.labels, ours.expand(6, -1))  # what was written is kept


def test_a_label_that_is_not_a_shortest_path_is_refused(seven, answers, table):
    longer = seven.format(answers(path(*LOWER))[0])
    with pytest.raises(
        DataError,
        match=r"some\.csv, line 3: the answer is wrong: the path takes 10 steps, and 6 are enough$",
    ):
        seven.read(table(HEADER + GOOD + f"web,{LINE},{longer},10\n" + GOOD))
    scanned = seven.scan(table(HEADER + GOOD + f"web,{LINE},{longer},10\n" + GOOD), labelled=True)
    assert scanned.places.tolist() == [0, 2]
    assert [(one.place, one.reason) for one in scanned.rejected] == [
        ("line 3", "the answer is wrong: the path takes 10 steps, and 6 are enough")
    ]


HEADER = "source,question,answer,rating\n"
GOOD = f"web,{LINE},{SOLVED},6\n"
MISTAKES = {
    "length": (
        HEADER + GOOD + f"web,{LINE}#,{SOLVED},6\n",
        "line 3: the question has 50 cells; a 7×7 maze has 49",
    ),
    "character": (
        HEADER + f"web,{LINE},{SOLVED[:9]}x{SOLVED[10:]},6\n",
        "line 2: answer, row 2, column 3: 'x' is none of #",
    ),
    "path in question": (
        HEADER + f"web,{SOLVED},{SOLVED},6\n",
        "line 2: row 2, column 3 has o, and a problem",
    ),
    "no start": (
        HEADER + GOOD + f"web,{LINE.replace('S', ' ')},{SOLVED},6\n",
        r"line 3: the start \(S\) must stand once and stands 0 times$",
    ),
    "two goals": (
        HEADER + f"web,{LINE[:9]}G{LINE[10:]},{SOLVED},6\n",
        r"the goal \(G\) must stand once and stands 2 times: row 2, column 3 and row 4, column 6",
    ),
    "no way": (
        HEADER + f"web,{LINE[:9]}#{LINE[10:15]}#{LINE[16:]},{SOLVED},6\n",
        "line 2: no way leads from S to G",
    ),
    "wrong answer": (HEADER + f"web,{LINE},{LINE},6\n", "line 2: the answer is wrong: the 0 marked cells"),
    "only a header": (HEADER, "holds no maze"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_located_and_explained(seven, table, text, message):
    with pytest.raises(DataError, match=f"some.csv.*{message}"):
        seven.read(table(text))


def test_mistakes_in_text_are_located(seven, table):
    with pytest.raises(
        DataError, match=r"some.txt, line 3: 6 characters; a 7×7 maze has 49 on one line, or 7"
    ):
        seven.read(table(GRID.replace("#.#.#.#", "#.#.#."), "some.txt"))
    with pytest.raises(DataError, match=r"lines 1-6: this maze has 6 rows; a 7×7 maze has 7"):
        seven.parse(GRID[:-8] + "\n" + GRID)
    with pytest.raises(DataError, match=r"line 1: maze, row 4, column 5: 'x' is none of #"):
        seven.parse(GRID.replace("..G", ".xG"))
    with pytest.raises(DataError, match="input holds no maze: write 7 lines of 7 characters"):
        seven.parse("\n")
    with pytest.raises(DataError, match="limit 0"):
        seven.read(table(HEADER), limit=0)


def test_what_cannot_be_generated_is_explained():
    with pytest.raises(
        DataError, match="no 7×7 perfect maze with a shortest path of 40 steps in 200 tries: ask"
    ):
        maze(7, shortest=40, longest=40).generate(1, seed=0)
    with pytest.raises(
        DataError, match=r"no further 5×5 perfect maze .* of 6 to 6 steps after \d+ different"
    ):
        maze(5, shortest=6, longest=6).generate(100, seed=0)
    with pytest.raises(DataError, match=r"no maze is rated 9: .* at most 8; raise longest"):
        maze(7).generate(1, seed=0, min_rating=9)
    with pytest.raises(DataError, match=r"random maze .* 140 steps .*or name shortest and no longest"):
        maze(30, mode="random", unique=False, shortest=140, longest=140).generate(1, seed=0)
    with pytest.raises(
        DataError, match="no 6×6 random maze with a shortest path of 34 steps or more in 100,000"
    ):
        maze(6, mode="random", unique=False, shortest=34).generate(1, seed=0)
    with pytest.raises(DataError, match="at least one maze, not 0"):
        maze(7).generate(0, seed=0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"size": 2}, "key 'size': .* it is 2"),
        ({"mode": "prefect"}, "key 'mode': .*'perfect' or 'random'; it is 'prefect'"),
        ({"walls": 1.0}, "key 'walls'"),
        ({"shortest": 9, "longest": 8}, "key 'longest': .*must not be below shortest, 9; it is 8"),
        ({"symetries": True}, "has no key 'symetries'; nearest: 'symmetries'"),
    ],
)
def test_a_wrong_recipe_is_explained(config, message):
    with pytest.raises(RecipeError, match=message):
        load_task({"name": "maze"} | config)


def test_difficulty_is_the_length_of_the_path():
    mazes = maze(9).generate(6, seed=3)
    known = maze(9).difficulty(mazes.inputs, mazes.labels)
    assert known["path length"].tolist() == mazes.ratings.tolist()
    assert maze(9).difficulty(mazes.inputs, None) == {}
