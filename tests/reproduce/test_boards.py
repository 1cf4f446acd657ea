"""What reproductions of FPRM and of Attractor Tab. 2 share: recipes at both scales, groups by difficulty."""

from itertools import pairwise

import pytest
import torch

from equilibria.pipeline import Pipeline
from equilibria.reproduce import boards, small
from equilibria.reproduce.boards import FPRM, SMALLER, TRM, Variant
from equilibria.reproduce.reproduction import half_range, mean


def test_trm_is_the_one_that_reproductions_of_eqr_train():
    ours, theirs = boards.board("cpu", 1, Variant("TRM", TRM)), small.variant("cpu", 1)
    assert ours.identity("data") == theirs.identity("data")
    assert ours.training.steps == theirs.training.steps


@pytest.mark.parametrize("name", SMALLER)
def test_every_recipe_is_as_published_at_the_scale_of_the_paper(name):
    published, ours = boards.board("paper", 0, Variant("", name)), boards.board("cpu", 0, Variant("", name))
    assert published.reasoner.model_dump()["width"] == 512
    assert published.task["box"] == [3, 3]
    assert ours.task["box"] == [2, 3]
    task = ours.build_task()
    assert ours.build_reasoner(task).parameter_count() < 200_000


def test_large_ones_have_four_times_the_blocks_at_both_scales():
    for scale in ("cpu", "paper"):
        for little, large in ((TRM, boards.TRM_LARGE), (boards.ATTRACTOR, boards.ATTRACTOR_LARGE)):
            few, many = (
                boards.board(scale, 0, Variant("", name)).reasoner.model_dump() for name in (little, large)
            )
            assert many.pop("layers") == boards.LARGE * few.pop("layers")
            assert many == few


def test_a_variant_wins_over_the_scale_and_the_user_over_both(setup):
    variant = Variant("wide", FPRM, ("reasoner.width=32",))
    assert boards.board("cpu", 0, variant).reasoner.model_dump()["width"] == 32
    (trial,) = boards.trials([variant], setup(overrides=("reasoner.width=48",)))
    assert trial.recipe.reasoner.model_dump()["width"] == 48
    assert trial.cell.label == "wide"


def test_seeds_come_one_after_the_other(setup):
    todo = boards.trials([Variant("a", FPRM), Variant("b", TRM)], setup(seeds=2))
    assert [(trial.cell.label, trial.seed) for trial in todo] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert [trial.recipe.training.seed for trial in todo] == [0, 0, 1, 1]


def test_groups_go_from_few_empty_cells_to_many():
    recipe = boards.board("cpu", 0, Variant("", FPRM), ("task.box=[2,2]",))
    task = recipe.build_task()
    pipeline = Pipeline(recipe.build_reasoner(task), task, recipe)
    problems = task.generate(60, seed=0)
    empty, where = boards.groups(pipeline, problems, 3)
    assert torch.equal(empty, (problems.inputs == 1).sum(dim=1).float())
    assert sum(map(len, where)) == 60
    for easier, harder in pairwise(where):
        assert empty[easier].max() < empty[harder].min()


def test_means_and_ranges_are_of_the_seeds():
    rows = [{"x": 1.0}, {"x": 4.0}]
    assert mean(rows, "x") == 2.5
    assert half_range(rows, "x") == 1.5
