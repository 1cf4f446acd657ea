"""Published checkpoint files: read without running them, mapped by name, and refused in words."""

import collections
import os
import random
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

import equilibria as eq
from equilibria.errors import CheckpointError
from equilibria.interop import from_published, import_checkpoint, read_published, translate_config
from equilibria.reasoners.interface import ProblemShape

ARCH = {
    "hidden_size": 16,
    "num_heads": 2,
    "L_layers": 1,
    "H_layers": 0,
    "expansion": 4,
    "H_cycles": 2,
    "L_cycles": 2,
    "mlp_t": True,
    "pos_encodings": "none",
    "H_init_std": 1.0,
    "L_init_std": 1.0,
    "lambda_": 0.95,
    "noise_scale": 0.01,
    "halt_max_steps": 16,
    "halt_exploration_prob": 0.1,
    "forward_dtype": "bfloat16",
    "loss": {"name": "losses@ACTLossHead", "loss_type": "stablemax_cross_entropy"},
    "name": "recursive_reasoning.eqr@EqR",
    "puzzle_emb_ndim": 0,
    "puzzle_emb_len": 0,
}
TRM = ARCH | {"puzzle_emb_ndim": 16, "puzzle_emb_len": 2}


def published(tokens=81, vocabulary=11, identifiers=0, width=16):
    """Weights under the names, and in the shapes, of the published models (9 x 9 Sudoku by default)."""
    prefix = 2 if identifiers else 0
    inner = {
        "embed_tokens.embedding_weight": (vocabulary, width),
        "lm_head.weight": (vocabulary, width),
        "q_head.weight": (2, width),
        "q_head.bias": (2,),
        "L_level.layers.0.mlp_t.gate_up_proj.weight": (512, tokens + prefix),
        "L_level.layers.0.mlp_t.down_proj.weight": (tokens + prefix, 256),
        "L_level.layers.0.mlp.gate_up_proj.weight": (512, width),
        "L_level.layers.0.mlp.down_proj.weight": (width, 256),
    }
    if identifiers:
        inner |= {"H_init": (width,), "L_init": (width,), "puzzle_emb.weights": (identifiers, width)}
    return {f"inner.{name}": torch.randn(shape) for name, shape in inner.items()}


def wrapped(weights, prefix="_orig_mod.model."):
    return {prefix + name: value for name, value in weights.items()}


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A module of the peer's, there while the file is written and gone when it is read."""
    (tmp_path / "peer_training.py").write_text(
        textwrap.dedent(
            """
            from dataclasses import dataclass

            @dataclass
            class Carry:
                steps: object
                halted: object

            class Slotted:
                __slots__ = ("x",)

            class Bomb:
                def __init__(self, path):
                    self.path = path
                def __reduce__(self):
                    return open, (self.path, "w")
            """
        )
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import peer_training

    yield peer_training
    sys.modules.pop("peer_training", None)


def forget(monkeypatch, tmp_path):
    sys.modules.pop("peer_training")
    (tmp_path / "peer_training.py").unlink()
    monkeypatch.syspath_prepend(str(tmp_path / "nowhere"))


def test_a_plain_state_dict_is_its_weights(tmp_path):
    weights = published()
    torch.save(wrapped(weights), tmp_path / "plain.pth")
    got, config = read_published(tmp_path / "plain.pth")
    assert config is None
    assert got.keys() == weights.keys()
    assert all(torch.equal(got[name], weights[name]) for name in weights)


def test_a_training_state_gives_its_averaged_weights_and_its_config(tmp_path, monkeypatch, foreign):
    raw, average = published(), published()
    average.pop("inner.q_head.bias")  # what is not averaged is taken from the model
    slotted = foreign.Slotted()
    slotted.x = 3
    container = {
        "step": 50_000,
        "model": wrapped(raw),
        "ema": {"mu": 0.999, "shadow": wrapped(average)},
        "config": {"arch": ARCH, "epochs": 50_000},
        "carry": foreign.Carry(torch.zeros(3), {"nested": foreign.Carry(1, 2)}),
        "train_dataset": slotted,
        "rng": torch.get_rng_state(),
        "numpy": np.random.RandomState(0).get_state(),
        "python": random.getstate(),
        "optimizers": [{"state": {0: {"m": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4}]}],
        "saved_to": Path("somewhere"),
    }
    torch.save(container, tmp_path / "full.pth")
    forget(monkeypatch, tmp_path)
    got, config = read_published(tmp_path / "full.pth")
    assert "peer_training" not in sys.modules
    assert config == container["config"]
    for name, value in raw.items():
        assert torch.equal(got[name], average.get(name, value))


@pytest.mark.parametrize("there", [True, False])
def test_nothing_a_file_asks_for_is_executed(tmp_path, monkeypatch, foreign, there):
    target = tmp_path / "executed"
    weights = published()
    container = {"model": wrapped(weights), "extra": foreign.Bomb(str(target))}
    torch.save(container, tmp_path / "bomb.pth")
    assert not target.exists()
    if not there:
        forget(monkeypatch, tmp_path)
    got, _ = read_published(tmp_path / "bomb.pth")
    assert not target.exists()
    assert torch.equal(got["inner.lm_head.weight"], weights["inner.lm_head.weight"])


@pytest.mark.parametrize(
    "call", [lambda path: (os.system, (f"touch {path}",)), lambda path: (Path.touch, (path,))]
)
def test_a_call_that_no_stand_in_can_take_is_refused_unrun(tmp_path, call):
    target = tmp_path / "executed"

    class Caller:
        def __reduce__(self):
            return call(target)

    torch.save({"model": published(), "extra": Caller()}, tmp_path / "call.pth")
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint without running it") as caught:
        read_published(tmp_path / "call.pth")
    assert not target.exists()
    assert "weights_only" not in str(caught.value)  # torch advises to load it unprotected; we do not


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 nor a zip file", b"\x80\x02}"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "garbage.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"garbage\.pth: cannot be read as a checkpoint") as caught:
        read_published(tmp_path / "garbage.pth")
    assert "weights_only" not in str(caught.value)


def test_a_truncated_checkpoint_is_refused(tmp_path):
    torch.save(published(), tmp_path / "cut.pth")
    whole = (tmp_path / "cut.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        read_published(tmp_path / "cut.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(2)], "holds a list, expected a mapping of weights"),
        ({"step": 3}, "holds no weights"),
        ({"model": {}, "ema": None}, "holds no weights"),
        ({"model": {3: torch.zeros(2)}}, "holds no weights"),
    ],
)
def test_a_file_without_weights_says_so(tmp_path, content, message):
    torch.save(content, tmp_path / "empty.pth")
    with pytest.raises(CheckpointError, match=message):
        read_published(tmp_path / "empty.pth")
    with pytest.raises(CheckpointError, match="no such file"):
        read_published(tmp_path / "absent.pth")


SHAPE = ProblemShape(vocabulary=11, tokens=81, board=(9, 9))


def test_missing_unknown_and_misshapen_weights_are_named():
    lacking = published()
    lacking.pop("inner.q_head.bias")
    with pytest.raises(CheckpointError, match=r"lacks weights for: halt_head\.score\.bias"):
        from_published("eqr", ARCH, lacking, SHAPE)
    with pytest.raises(CheckpointError, match=r"weight 'inner\.strange' is not known"):
        from_published("eqr", ARCH, published() | {"inner.strange": torch.zeros(1)}, SHAPE)
    deeper = published() | {"inner.L_level.layers.7.mlp.down_proj.weight": torch.zeros(16, 256)}
    with pytest.raises(CheckpointError, match=r"layers\.7\.mlp\.down_proj\.weight' does not belong"):
        from_published("eqr", ARCH, deeper, SHAPE)
    wider = published() | {"inner.lm_head.weight": torch.zeros(11, 17)}
    with pytest.raises(CheckpointError, match=r"answer_head\.weight \(11, 17\) for \(11, 16\)"):
        from_published("eqr", ARCH, wider, SHAPE)


@pytest.mark.parametrize("lost", [("inner.H_init",), ("inner.H_init", "inner.L_init")])
def test_missing_initial_states_are_named(lost):
    weights = {name: value for name, value in published(identifiers=1).items() if name not in lost}
    with pytest.raises(CheckpointError, match="lacks weights for: fixed_state"):
        from_published("trm", TRM, weights, SHAPE)


def test_an_unknown_family_and_missing_options_are_named():
    with pytest.raises(CheckpointError, match="family 'gpt' is not known; choose one of eqr, trm"):
        translate_config("gpt", ARCH)
    with pytest.raises(CheckpointError, match="misses the option 'lambda_'"):
        translate_config("eqr", {key: value for key, value in ARCH.items() if key != "lambda_"})


def test_another_number_of_identities_gets_the_mean_of_the_trained_ones():
    weights = published(identifiers=4)
    reasoner = from_published("trm", TRM, weights, ProblemShape(11, 81, (9, 9), identifiers=2))
    mean = weights["inner.puzzle_emb.weights"].mean(dim=0)
    torch.testing.assert_close(reasoner.embedding.identity.weight.data, mean.expand(2, -1))


@pytest.mark.parametrize(("family", "arch", "identifiers"), [("eqr", ARCH, 0), ("trm", TRM, 1)])
def test_an_imported_checkpoint_solves_saves_and_loads(tmp_path, family, arch, identifiers):
    weights = published(identifiers=identifiers)
    torch.save({"model": wrapped(weights), "config": {"arch": arch}}, tmp_path / "step_50000.pth")
    pipeline = import_checkpoint(tmp_path / "step_50000.pth", family)
    assert not pipeline.reasoner.training
    assert pipeline.name == "step_50000"
    head = pipeline.reasoner.state_dict()["answer_head.weight"]
    assert torch.equal(head, weights["inner.lm_head.weight"])
    puzzle = "53..7...." + "." * 72
    (answer,) = pipeline.solve(puzzle, depth=2, breadth=2, seed=1)
    back = eq.load(pipeline.save(tmp_path / "saved"))
    (again,) = back.solve(puzzle, depth=2, breadth=2, seed=1)
    assert torch.equal(answer.tokens, again.tokens)
    assert answer.residual == again.residual
    assert "step_50000.pth" in back.card
    assert back.recipe.reasoner == pipeline.recipe.reasoner


def test_architecture_options_may_come_from_beside_the_file(tmp_path):
    torch.save(wrapped(published()), tmp_path / "bare.pth")
    pipeline = import_checkpoint(tmp_path / "bare.pth", "eqr", architecture=ARCH)
    assert pipeline.recipe.reasoner.width == 16
    with pytest.raises(CheckpointError, match="lacks weights for"):
        import_checkpoint(tmp_path / "bare.pth", "eqr")  # the recipe's 512 channels


def test_dictionaries_of_other_kinds_are_read(tmp_path):
    ordered = collections.OrderedDict(wrapped(published()))
    torch.save({"model": ordered, "config": {"arch": ARCH}}, tmp_path / "ordered.pth")
    assert len(read_published(tmp_path / "ordered.pth")[0]) == 8
