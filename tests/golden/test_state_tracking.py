"""Groups, rows and prefix metrics against the published state-tracking data (FPRM)."""

import numpy as np
import pytest
import torch

from equilibria.tasks.permutations import draw_rows, group, prefix_accuracy, prefix_right, products

GROUPS = ["A5", "S5"]


@pytest.mark.parametrize("name", GROUPS)
def test_elements_and_products_are_the_published_ones(golden, name):
    case = golden("state_tracking")
    elements = [[int(digit) for digit in symbol] for symbol in group(name).symbols]
    assert elements == case[f"out/{name}/elements"].tolist()
    assert np.array_equal(group(name).cayley, case[f"out/{name}/cayley"])


@pytest.mark.parametrize("name", GROUPS)
def test_rows_are_the_published_ones(golden, name):
    """All sets come from one generator: rows to train on, their order, rows to test on."""
    case = golden("state_tracking")
    config, rng = case.config, np.random.default_rng(case.facts["seed"])
    short = draw_rows(group(name), config["k_train"], config["train_samples"], rng)
    train = np.zeros((len(short), config["k_eval_max"]), np.uint8)
    train[:, : config["k_train"]] = rng.permutation(short)
    test = draw_rows(group(name), config["k_eval_max"], config["test_samples"], rng)
    for split, rows in {"train": train, "test": test}.items():
        inputs = torch.from_numpy(rows)
        assert torch.equal(inputs.int(), case[f"out/{name}/{split}_inputs"])
        assert torch.equal(products(group(name), inputs).int(), case[f"out/{name}/{split}_labels"])


@pytest.mark.parametrize("name", GROUPS)
def test_prefix_metrics_are_the_published_ones(golden, agree, name):
    case = golden("state_tracking")
    answers, labels = case[f"in/{name}/metric_preds"], case[f"in/{name}/metric_labels"]
    for place, k in enumerate(case[f"out/{name}/metric_ks"].tolist()):
        scored = (labels[:, :k] > 0).any(1)
        for metric, of_rows in (("accuracy", prefix_accuracy), ("sequence_accuracy", prefix_right)):
            mean = of_rows(answers, labels, k)[scored].float().mean()
            agree(f"{metric} at {k}", mean, case[f"out/{name}/metric_{metric}"][place], 1e-6)
