"""A run that was stopped, killed or refused, and went on as if nothing had happened."""

import json
import multiprocessing
import random
import time

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import equilibria as eq
from equilibria.errors import CheckpointError, TrainingError
from equilibria.runs import train


def run(recipe, folder, **options):
    return train(recipe, out=folder, device="cpu", quiet=True, **options)


@pytest.fixture(scope="module")
def processes():
    """Starts processes that have the library loaded already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["equilibria.runs"])
    return context


def start(processes, recipe, folder):
    resume = (folder / "state.safetensors").exists()
    options = {"out": folder, "device": "cpu", "quiet": True, "resume": resume}
    process = processes.Process(target=train, args=(recipe,), kwargs=options)
    process.start()
    return process


def wait_for(condition, process, seconds=60):
    for _ in range(seconds * 50):
        if condition():
            return
        assert process.is_alive(), f"the run ended by itself with {process.exitcode}"
        time.sleep(0.02)
    process.kill()
    raise AssertionError("the run did not get there")


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("training.optimizer.name=adamw", "training.accumulate=2"),
        ("training.optimizer.name=muon", "training.halting.rule=fixed"),
        ("reasoner.prefix=2", "reasoner.initial=fixed", "reasoner.noise=0", "reasoner.damping=0"),
        ("training.precision=bf16", "training.batch=100"),
    ],
    ids=["adam-atan2", "adamw-accumulated", "muon-fixed", "identity-prefix", "bf16-batch-beyond-data"],
)
def test_a_resumed_run_is_the_run_that_never_stopped(tiny, tmp_path, same_state, overrides):
    straight = run(tiny(*overrides, "training.steps=20"), tmp_path / "straight")
    run(tiny(*overrides, "training.steps=11"), tmp_path / "cut")
    resumed = run(tiny(*overrides, "training.steps=20"), tmp_path / "cut", resume=True)
    same_state(tmp_path / "straight", tmp_path / "cut")
    for name, weight in straight.reasoner.state_dict().items():
        assert torch.equal(weight, resumed.reasoner.state_dict()[name])
    last = load_file(tmp_path / "cut" / "last" / "model.safetensors")
    assert all(torch.equal(weight, last[name]) for name, weight in resumed.reasoner.state_dict().items())


def test_the_log_of_a_resumed_run_has_every_step_once(tiny, tmp_path):
    run(tiny(), tmp_path)
    with (tmp_path / "log.jsonl").open("a") as file:  # steps that were logged but never saved, and a cut line
        file.write('{"step": 15, "loss": 1.0}\n{"step": 20, "lo')
    run(tiny("training.steps=20"), tmp_path, resume=True)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if "loss" in line]
    assert steps == sorted(set(steps))
    assert {5, 10, 15, 20} <= set(steps)
    assert [line["step"] for line in lines if "held_out_exact" in line] == [7, 10, 14, 20]
    assert all(line["loss"] != 1.0 for line in lines if "loss" in line)


@pytest.mark.parametrize(
    "override",
    [
        "training.optimizer.lr=1e-3",
        "training.seed=1",
        "data.seed=1",
        "reasoner.noise=0",
        "data.augment=false",
    ],
)
def test_a_run_resumes_under_its_own_recipe_only(tiny, tmp_path, override):
    run(tiny(), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match="another recipe or other data"):
        run(tiny(override, "training.steps=20"), tmp_path, resume=True)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_how_a_run_is_watched_may_change(tiny, tmp_path, same_state):
    run(tiny("training.steps=12"), tmp_path / "straight")
    run(tiny("training.steps=6"), tmp_path / "cut")
    watched = ("training.log_every=1", "training.save_every=3", "training.evaluate_problems=5")
    run(tiny("training.steps=12", *watched), tmp_path / "cut", resume=True)
    same_state(tmp_path / "straight", tmp_path / "cut")


def test_a_decaying_rate_makes_the_number_of_steps_part_of_the_run(tiny, tmp_path):
    run(tiny("training.optimizer.min_ratio=0.1"), tmp_path)
    with pytest.raises(CheckpointError, match="another recipe"):
        run(tiny("training.optimizer.min_ratio=0.1", "training.steps=20"), tmp_path, resume=True)


def test_a_folder_with_a_run_is_not_overwritten(tiny, tmp_path):
    run(tiny(), tmp_path)
    with pytest.raises(CheckpointError, match="holds a run already: go on with --resume"):
        run(tiny(), tmp_path)


def test_a_run_out_of_time_is_saved_whole_and_goes_on(tiny, tmp_path, same_state, saved_step, capsys):
    run(tiny(), tmp_path / "straight")
    train(tiny(), out=tmp_path / "timed", device="cpu", minutes=1e-4)
    said = " ".join(capsys.readouterr().err.split())
    done = saved_step(tmp_path / "timed")
    assert done < 10
    assert f"time is up at step {done} of 10: everything is saved, go on with --resume" in said
    assert "minutes of training" in said
    assert (tmp_path / "timed" / "last" / "model.safetensors").is_file()
    run(tiny(), tmp_path / "timed", resume=True, minutes=10)
    same_state(tmp_path / "straight", tmp_path / "timed")


def test_a_run_goes_on_from_weights_alone_with_a_fresh_optimizer(tiny, tmp_path, saved_step):
    """As from a shipped reasoner: no state, half the digits, the right step, and a second warm-up."""
    run(tiny("training.steps=5", "training.keep=bf16"), tmp_path / "first")
    weights = tmp_path / "first" / "last"
    assert all(value.dtype == torch.bfloat16 for value in load_file(weights / "model.safetensors").values())
    recipe = tiny("training.steps=9", "training.log_every=1")
    run(recipe, tmp_path / "second", weights=weights, resume=True)
    lines = [json.loads(line) for line in (tmp_path / "second" / "log.jsonl").read_text().splitlines()]
    rates = {line["step"]: line["lr"] / recipe.training.optimizer.lr for line in lines if "lr" in line}
    assert rates == pytest.approx({6: 0.25, 7: 0.5, 8: 0.75, 9: 1.0})  # warmed up over 4 steps once more
    with safe_open(tmp_path / "second" / "state.safetensors", framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
    assert (progress["step"], progress["restarted"]) == (9, 5)


def test_weights_may_also_begin_another_run(tiny, tmp_path, saved_step):
    run(tiny("training.steps=5"), tmp_path / "first")
    before = load_file(tmp_path / "first" / "last" / "model.safetensors")
    still = tiny("training.steps=1", "training.optimizer.lr=1e-12", "training.seed=3")
    run(still, tmp_path / "second", weights=str(tmp_path / "first" / "last"))
    assert saved_step(tmp_path / "second") == 1
    after = load_file(tmp_path / "second" / "last" / "model.safetensors")
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)


def test_weights_that_cannot_be_gone_on_from_are_refused(tiny, tmp_path):
    run(tiny("training.steps=5"), tmp_path / "first")
    weights = tmp_path / "first" / "last"
    with pytest.raises(CheckpointError, match=r"at step 5, the end of the recipe .*raise training.steps"):
        run(tiny("training.steps=5"), tmp_path / "second", weights=weights, resume=True)
    with pytest.raises(CheckpointError, match="do not fit the recipe"):
        run(tiny("reasoner.width=24"), tmp_path / "second", weights=weights)
    with pytest.raises(CheckpointError, match="holds a run already"):
        run(tiny("training.steps=9"), tmp_path / "first", weights=weights, resume=True)
    with pytest.raises(CheckpointError, match="no reasoner 'nowhere'"):
        run(tiny(), tmp_path / "second", weights="nowhere")
    assert not (tmp_path / "second").exists()


def test_nothing_to_resume_says_so(tiny, tmp_path):
    with pytest.raises(CheckpointError, match="nothing to resume"):
        run(tiny(), tmp_path, resume=True)


def test_a_damaged_state_says_so(tiny, tmp_path):
    run(tiny(), tmp_path)
    whole = (tmp_path / "state.safetensors").read_bytes()
    (tmp_path / "state.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"state\.safetensors: damaged"):
        run(tiny("training.steps=20"), tmp_path, resume=True)


def test_what_a_killed_write_left_behind_is_in_nobodys_way(tiny, tmp_path, same_state):
    run(tiny("training.steps=12"), tmp_path / "straight")
    run(tiny("training.steps=6"), tmp_path / "cut")
    for place in (".state.safetensors.77.partial", "last/.model.safetensors.77.partial"):
        (tmp_path / "cut" / place).write_bytes(b"half a header")
    assert eq.load(tmp_path / "cut" / "last").facts["step"] == "6"
    run(tiny("training.steps=12"), tmp_path / "cut", resume=True)
    same_state(tmp_path / "straight", tmp_path / "cut")


def test_a_loss_that_is_not_finite_stops_the_run(tiny, tmp_path, saved_step):
    wild = tiny("training.optimizer.lr=1e30", "training.optimizer.warmup=0", "training.save_every=1")
    with pytest.raises(TrainingError, match=r"the loss is \w+ at step \d+ \(batch [0-9a-f]{16}\)") as caught:
        run(wild, tmp_path)
    assert f"at step {saved_step(tmp_path) + 1} " in str(caught.value)


def test_a_loss_that_is_not_finite_leaves_the_saved_run_alone(tiny, tmp_path):
    run(tiny(), tmp_path)
    state = tmp_path / "state.safetensors"
    tensors = load_file(state)
    with safe_open(state, framework="pt") as file:
        metadata = file.metadata()
    tensors["weights/answer_head.weight"][0, 0] = torch.inf
    save_file(tensors, state, metadata)
    before = state.read_bytes()
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step 11 \(batch"):
        run(tiny("training.steps=20"), tmp_path, resume=True)
    assert state.read_bytes() == before


def test_a_term_signal_saves_and_ends_the_run_cleanly(tiny, tmp_path, processes, same_state, saved_step):
    folder, endless = tmp_path / "cut", tiny("training.steps=1000000", "training.evaluate_every=1000000")
    process = start(processes, endless, folder)
    wait_for(lambda: (folder / "log.jsonl").exists() and (folder / "log.jsonl").stat().st_size, process)
    process.terminate()
    process.join(60)
    assert process.exitcode == 0
    step = saved_step(folder)
    assert eq.load(folder / "last").facts["step"] == str(step)
    until = f"training.steps={step + 3}"
    run(tiny(until), folder, resume=True)
    run(tiny(until), tmp_path / "straight")
    same_state(tmp_path / "straight", folder)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_has_a_whole_state_and_goes_on(
    tiny, tmp_path, processes, same_state, saved_step
):
    moments, folder, killed_later = random.Random(0), tmp_path / "killed", 0
    log = folder / "log.jsonl"
    endless = tiny("training.steps=1000000", "training.save_every=1", "training.evaluate_every=1000000")
    for _ in range(10):
        process = start(processes, endless, folder)
        size = log.stat().st_size if log.exists() else 0
        if moments.random() < 0.8:  # most kills are to hit a run that is under way, some its start
            wait_for(lambda size=size: log.exists() and log.stat().st_size != size, process)
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        process.join()
        if (folder / "state.safetensors").exists():
            killed_later += saved_step(folder) > 0
        for name in ("last", "best"):
            if (folder / name / "model.safetensors").exists():
                eq.load(folder / name)
    assert killed_later >= 5
    until = f"training.steps={saved_step(folder) + 2}"
    finished = run(tiny(until), folder, resume=True)
    assert eq.load(folder / "last").facts["step"] == str(saved_step(folder))
    straight = run(tiny(until), tmp_path / "straight")
    same_state(tmp_path / "straight", folder)
    for name, weight in straight.reasoner.state_dict().items():
        assert torch.equal(weight, finished.reasoner.state_dict()[name])
