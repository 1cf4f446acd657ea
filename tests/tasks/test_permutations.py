"""Word problems of groups: the laws of a group, labels by a slow count, and what a person can get wrong."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.errors import DataError, RecipeError
from equilibria.tasks import load_splits, load_task
from equilibria.tasks.permutations import Permutations, draw_rows, final_state_right, group, prefix_right

SIZES = {"A3": 3, "A4": 12, "A5": 60, "S2": 2, "S3": 6, "S4": 24, "S5": 120, "Z2": 2, "Z60": 60, "Z254": 254}


def task(name="A5", length=32, **more):
    return Permutations(Permutations.Config(group=name, length=length, **more))


@pytest.mark.parametrize(("name", "size"), list(SIZES.items()))
def test_a_group_is_one(name, size):
    cayley = group(name).cayley.astype(int)
    index = np.arange(size)
    assert group(name).size == size
    assert (np.sort(cayley, 0) == index[:, None]).all() and (np.sort(cayley, 1) == index).all()  # inverses
    assert (cayley[0] == index).all() and (cayley[:, 0] == index).all()  # the identity
    few = index[:: max(1, size // 40)]
    left = cayley[cayley[few[:, None], few]][:, :, few]
    right = cayley[few[:, None, None], cayley[few[:, None], few][None]]
    assert (left == right).all()  # associative


@settings(max_examples=20)
@given(name=st.sampled_from(list(SIZES)), seed=st.integers(0, 2**31), length=st.integers(4, 20))
def test_labels_are_the_products_that_slow_composition_gives(name, seed, length):
    problems = task(name, length).generate(4, seed=seed)
    symbols = group(name).symbols
    for inputs, labels in zip(problems.inputs.tolist(), problems.labels.tolist(), strict=True):
        product = symbols[0]
        for given_token, label in zip(inputs, labels, strict=True):
            element = symbols[given_token - 1]
            if name[0] == "Z":
                product = str((int(product) + int(element)) % group(name).size)
            else:  # the right factor acts first
                product = "".join(product[int(value) - 1] for value in element)
            assert symbols[label - 1] == product


def test_rows_are_distinct_repeat_with_their_seed_and_begin_larger_sets():
    problems = task("S3", 4).generate(1296, seed=3)  # every row there is
    assert len(problems.inputs.unique(dim=0)) == 6**4
    assert torch.equal(task("S3", 4).generate(100, seed=3).inputs, problems.inputs[:100])
    assert not torch.equal(task("S3", 4).generate(100, seed=4).inputs, problems.inputs[:100])
    assert (problems.inputs > 0).all() and (problems.ratings == 4).all()
    assert draw_rows(group("A5"), 3, 0, np.random.default_rng(0)).shape == (0, 3)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31), shortest=st.sampled_from([None, 1, 2]))
def test_splits_share_no_row(seed, shortest):
    splits = task("A3", 5, shortest=shortest).generate_splits({"train": 150, "held_out": 60}, seed=seed)
    assert [len(part) for part in splits.values()] == [150, 60]
    rows = torch.cat([part.inputs for part in splits.values()])
    assert len(rows.unique(dim=0)) == 210
    loaded = load_splits(task("A3", 5), "generated", count=150, held_out_count=60, seed=seed)
    assert "dropped" not in loaded.description


def test_mixed_lengths_come_equally_often_and_are_padded():
    problems = task("A5", 6, shortest=3).generate(4000, seed=0)
    lengths = (problems.inputs > 0).sum(1)
    assert lengths.bincount().tolist() == [0, 0, 0, 1000, 1000, 1000, 1000]
    assert torch.equal(problems.labels > 0, problems.inputs > 0)
    assert torch.equal(problems.inputs > 0, torch.arange(6) < lengths[:, None])
    assert torch.equal(problems.ratings, lengths.float())
    assert lengths[:100].unique().numel() == 4  # in no order
    few = task("S3", 4, shortest=1).generate(400, seed=0).ratings.int().bincount().tolist()
    assert few == [0, 6, 36, 179, 179]  # what short lengths lack, greater ones have
    assert task("A5", 6, shortest=3).generate(9, seed=0, min_rating=5).ratings.min() == 5


def test_another_length_is_another_task_of_the_same_group():
    longer = task("S5", 8, shortest=2).at_length(64)
    assert longer.board == (1, 64) and longer.vocab_size == 121
    assert (longer.generate(5, seed=0).inputs > 0).all()


def test_metrics():
    labels = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 0], [1, 2, 3, 4], [5, 0, 0, 0]])
    answers = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 9], [1, 9, 3, 4], [4, 0, 0, 0]])
    assert final_state_right(answers, labels).tolist() == [True, True, True, False]
    assert prefix_right(answers, labels, 1).tolist() == [True, True, True, False]
    assert prefix_right(answers, labels, 2).tolist() == [True, True, False, False]
    assert prefix_right(answers, labels, 100).tolist() == [True, True, False, False]


def test_broken_answers_are_named_and_shown():
    five = task("A5", 4)
    inputs = five.parse("12453 0 21435  # 12345 by its number\n\n23145 12345").inputs
    answers = five.parse("12453 12453 21543\n23145 12345").inputs
    assert five.valid(inputs, answers).tolist() == [True, False]
    assert five.violations(inputs, answers) == [
        [],
        ["position 2: 12345 stands there, the first 2 elements multiply to 23145"],
    ]
    answers[:, 2:] += 1  # after the end of a problem nothing is asked
    assert five.valid(inputs, answers).tolist() == [False, False]
    shown = five.render(inputs[1], answers[1]).plain
    assert "23145  12345" in shown and "12345!" in shown and "23145!" not in shown
    assert len(shown.splitlines()) == 2
    assert five.render(inputs[0]).plain.split() == ["1", "·", "12453", "12345", "21435"]
    assert len(task("Z60", 30).render(*task("Z60", 30).generate(2, seed=0).inputs).plain.splitlines()) == 6


@pytest.fixture
def table(tmp_path):
    def write(text, name="some.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.mark.parametrize("config", [("A5", 6, None), ("S4", 6, 2), ("Z60", 6, 1)], ids=str)
def test_what_is_written_reads_back(config, tmp_path):
    name, length, shortest = config
    made = task(name, length, shortest=shortest)
    problems = made.generate(50, seed=1)
    made.write(problems, tmp_path / "made.csv")
    again = made.read(tmp_path / "made.csv")
    assert again.fingerprint() == problems.fingerprint()
    assert torch.equal(again.ratings, problems.ratings) and again.sources == problems.sources
    assert made.valid(again.inputs, again.labels).all()
    assert len(made.read(tmp_path / "made.csv", limit=7)) == 7
    assert made.read(tmp_path / "made.csv", labelled=False).labels is None
    text = tmp_path / "made.txt"
    text.write_text("\n".join(made.format(row) for row in problems.inputs))
    assert made.read(text).fingerprint() == problems.fingerprint()
    assert made.read(text, limit=3, labelled=False).inputs.tolist() == problems.inputs[:3].tolist()


HEADER = "question,answer\n"
GOOD = "0 21543 23145,12345 21543 15243\n"
MISTAKES = {
    "word": (
        HEADER + GOOD + "12345 1x,1 1\n",
        "line 3: question, position 2: '1x' is no element of A5: .* 0 to 59",
    ),
    "odd": (HEADER + "12345 21345,0 1\n", "line 2: question, position 2: '21345' is an odd permutation.*S5"),
    "long": (HEADER + "0 0 0 0,0 0 0 0\n", "line 2: the question has 4 elements; here it may have up to 3"),
    "nothing there": (HEADER + ",0\n", "line 2: the question has 0 elements"),
    "only a header": (HEADER, "holds no problem"),
    "wrong": (
        HEADER + "21543 0,21543 12345\n",
        "line 2: the answer is wrong: position 2: 12345 stands there, the first 2 elements multiply to 21543",
    ),
    "short": (HEADER + "21543 0,21543\n", "line 2: the answer is wrong: position 2: - stands there"),
    "more": (HEADER + "21543,21543 0\n", "position 2: 12345 stands there, the problem has no element there"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_located_and_explained(table, text, message):
    with pytest.raises(DataError, match=f"some.csv.*{message}"):
        task("A5", 3).read(table(text))


def test_other_mistakes_are_explained(table):
    with pytest.raises(DataError, match=r"input holds no problem: write elements of Z60 .* as in 58 59"):
        task("Z60").parse("# nothing\n")
    with pytest.raises(DataError, match="'60' is no element of Z60: write a number from 0 to 59"):
        task("Z60").parse("0 60")
    with pytest.raises(DataError, match="'11345' is no element of S5: write the digits 1-5 in any order"):
        task("S5").parse("11345")
    with pytest.raises(DataError, match="S3 has 36 different problems of length 2, not 37: ask for fewer"):
        task("S3", 2).generate(37, seed=0)
    with pytest.raises(DataError, match="S3 has 36 different problems of length 2, not 37"):
        task("S3", 2).generate_splits({"train": 30, "held_out": 7}, seed=0)
    with pytest.raises(DataError, match="generate at least one problem"):
        task("S3", 2).generate(0, seed=0)
    with pytest.raises(DataError, match=r"no problem is rated 3: .* at most 2"):
        task("S3", 2).generate(5, seed=0, min_rating=3)
    with pytest.raises(DataError, match="limit 0"):
        task("S3", 2).read(table(HEADER), limit=0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"group": "A6"}, "key 'group': .*there is no group 'A6' here; there are A3, A4, A5, S2"),
        ({"group": "a5"}, "no group 'a5'"),
        ({"group": "Z255"}, "no group 'Z255' .* Z2 … Z254"),
        ({"group": "S1"}, "no group 'S1'"),
        ({"length": 0}, "key 'length': .* it is 0"),
        ({"length": 4, "shortest": 5}, "key 'shortest': .*must not exceed the length 4; it is 5"),
        ({"lenght": 4}, "has no key 'lenght'; nearest: 'length'"),
    ],
)
def test_a_wrong_recipe_is_explained(config, message):
    with pytest.raises(RecipeError, match=message):
        load_task({"name": "permutations"} | config)


def test_for_text_takes_the_length_of_the_first_problem():
    assert Permutations.for_text("# two\n12453 0 5\n1").board == (1, 3)
    for text in ("", "53..7", "#####\n#S G#\n"):
        with pytest.raises(DataError):
            Permutations.for_text(text)


def test_difficulty_is_the_number_of_elements():
    problems = task("A5", 6).parse("12453 0 5\n1\n")
    assert task("A5", 6).difficulty(problems.inputs, None)["sequence length"].tolist() == [3, 1]
