"""Generated mazes against the published generator of Maze-Unique (EqR), draw by draw."""

import pytest
import torch

from equilibria.tasks.maze import Kind, generate_splits


@pytest.mark.parametrize("mode", ["perfect", "random"])
def test_mazes_are_the_published_ones(golden, mode):
    case = golden(f"maze_unique_{mode}")
    config = case.config
    kind = Kind(
        config["grid_size"],
        config["min_path_length"],
        config["max_path_length"],
        perfect=config["maze_mode"] == "perfect",
        walls=config["wall_prob"],
        unique=config["require_unique"],
    )
    counts = {split: config[f"{split}_samples"] for split in ("train", "test")}
    for split, (mazes, answers) in generate_splits(counts, kind, seed=config["seed"]).items():
        assert torch.equal(torch.from_numpy(mazes).long(), case[f"out/{split}/inputs"])
        assert torch.equal(torch.from_numpy(answers).long(), case[f"out/{split}/labels"])
