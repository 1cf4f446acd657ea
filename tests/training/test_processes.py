"""Several processes train what one does."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from equilibria.runs import train

SCRIPT = """
import sys
from equilibria.runs import train
train(sys.argv[1], out=sys.argv[2], device="cpu", quiet=True)
"""


def run(recipe, folder, **options):
    return train(recipe, out=folder, device="cpu", quiet=True, **options)


def run_in_two_processes(recipe, folder):
    files = {"recipe.yaml": recipe.to_yaml(), "main.py": SCRIPT}
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launcher, *(str(folder / name) for name in ("main.py", "recipe.yaml")), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]


def course(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "steps_per_second"} for line in lines]


@pytest.mark.slow
def test_two_processes_follow_the_course_of_one_and_one_may_go_on_from_there(tiny, tmp_path):
    """With sparse gradients of identities, accumulation and clipping."""
    overrides = (
        "reasoner.prefix=2", "training.accumulate=2", "training.optimizer.clip=1.0",
        "training.log_every=1", "training.optimizer.identity_lr=1e-3",
    )  # fmt: skip
    run(tiny(*overrides, "training.steps=7"), tmp_path / "one")
    run_in_two_processes(tiny(*overrides, "training.steps=7"), tmp_path / "two")
    steps = tiny(*overrides, "training.steps=10")
    run(steps, tmp_path / "one", resume=True)
    run(steps, tmp_path / "two", resume=True)

    expected, got = course(tmp_path / "one"), course(tmp_path / "two")
    assert len(got) == len(expected)
    for mine, theirs in zip(got, expected, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4, rel=1e-4)
    one, two = (load_file(tmp_path / name / "state.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-2, atol=5e-3, msg=lambda m, name=name: name + m)
