"""Published weights of HRM, URM, FPRM and the Attractor: every name has its place."""

import json

import pytest
import torch
from typer.testing import CliRunner

import equilibria as eq
from equilibria.cli import app
from equilibria.errors import CheckpointError
from equilibria.interop import from_published, import_checkpoint, our_name, translate_config
from equilibria.reasoners.interface import ProblemShape

WIDTH, TOKENS, VOCABULARY, IDENTITIES = 16, 81, 11, 3
SHAPE = ProblemShape(VOCABULARY, TOKENS, (9, 9), identifiers=IDENTITIES)
COMMON = {
    "hidden_size": WIDTH,
    "num_heads": 2,
    "expansion": 4,
    "pos_encodings": "rope",
    "puzzle_emb_ndim": WIDTH,
    "forward_dtype": "bfloat16",
}
CYCLES = {"H_cycles": 2, "L_cycles": 2}
OPTIONS = {
    "trm": COMMON | CYCLES | {"L_layers": 2, "puzzle_emb_len": 2},
    "hrm": COMMON | CYCLES | {"H_layers": 1, "L_layers": 2, "halt_max_steps": 16},
    "urm": COMMON | CYCLES | {"num_layers": 2, "loops": 16},
    "fprm": COMMON
    | CYCLES
    | {
        "L_layers": 2,
        "puzzle_emb_len": 2,
        "norm_type": "pre-norm",
        "norm_placement": "none",
        "residual_scale": "input-independent",
        "conv_type": "conv2d",
        "conv_kernel_size": 3,
        "alpha_1_init": 0.75,
        "alpha_2_init": 0.25,
        "init_std": 6.0,
    },
    "attractor_puzzle": COMMON
    | {
        "L_layers": 2,
        "H_cycles": 2,
        "puzzle_emb_len": 2,
        "deq_max_iter": 4,
        "deq_min_iter": 2,
        "deq_tol": 1e-3,
        "deq_anderson_m": 3,
        "deq_anderson_beta": 1.0,
        "bptt_through": 2,
        "jacobian_reg_lambda": 0.0,
    },
}
FAMILIES = list(OPTIONS)
BLOCK = {
    "self_attn.qkv_proj.weight": (3 * WIDTH, WIDTH),
    "self_attn.o_proj.weight": (WIDTH, WIDTH),
    "mlp.gate_up_proj.weight": (512, WIDTH),
    "mlp.down_proj.weight": (WIDTH, 256),
}
CONVOLUTION = {"mlp.dwconv.weight": (256, 1, 2), "mlp.dwconv.bias": (256,)}


def blocks(level, count, extra=None):
    shapes = BLOCK | (extra or {})
    return {f"{level}layers.{i}.{name}": shape for i in range(count) for name, shape in shapes.items()}


def published(family):
    """Weights under the names, and in the shapes and dtypes, of a published model."""
    shapes = {
        "embed_tokens.embedding_weight": (VOCABULARY, WIDTH),
        "lm_head.weight": (VOCABULARY, WIDTH),
        "q_head.weight": (2, WIDTH),
        "q_head.bias": (2,),
        "puzzle_emb.weights": (IDENTITIES, WIDTH),
    }
    shapes |= {
        "trm": blocks("L_level.", 2) | {"H_init": (WIDTH,), "L_init": (WIDTH,)},
        "hrm": blocks("H_level.", 1) | blocks("L_level.", 2) | {"H_init": (WIDTH,), "L_init": (WIDTH,)},
        "urm": blocks("", 2, CONVOLUTION) | {"init_hidden": (WIDTH,)},
        "fprm": blocks("L_level.", 2)
        | {"L_level.conv.weight": (WIDTH, 1, 3, 3)}
        | {f"L_level.alpha_{k}_param": (WIDTH,) for k in (1, 2)},
        "attractor_puzzle": blocks("L_level.", 2) | {"H_init": (WIDTH,), "L_init": (WIDTH,)},
    }[family]
    weights = {f"inner.{name}": torch.randn(shape) for name, shape in shapes.items()}
    if family == "fprm":  # all-ones DropConnect masks, one a linear map
        linear = [name for name in weights if name.endswith("_proj.weight") or "head.weight" in name]
        weights |= {f"{name.removesuffix('.weight')}.mask": torch.ones_like(weights[name]) for name in linear}
    return {name: value.bfloat16() if "dwconv" in name else value for name, value in weights.items()}


def container(family, weights):
    """The file as each repository writes it."""
    wrapped = {f"_orig_mod.model.{name}": value for name, value in weights.items()}
    if family != "urm":
        return wrapped
    return {
        "step": 50_000,
        "model_state_dict": wrapped,
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4}]}],
        "rng_state": torch.get_rng_state(),
        "cuda_rng_state": [torch.get_rng_state()],
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_has_one_name_of_ours_and_back(family):
    weights = published(family)
    reasoner = from_published(family, OPTIONS[family], weights, SHAPE)
    state = reasoner.state_dict()
    forth = {name: our_name(name, family) for name in weights}
    back = {ours: name for name, ours in forth.items() if ours is not None}
    assert len(back) == sum(ours is not None for ours in forth.values()), (
        "two published names share one of ours"
    )
    assert set(state) - set(back) <= {"fixed_state"}
    assert set(back) <= set(state)
    for ours, name in back.items():
        assert torch.equal(state[ours], weights[name].float().view_as(state[ours])), name
    if "fixed_state" in state:
        initial = [n for n in ("H_init", "L_init", "init_hidden") if f"inner.{n}" in weights]
        assert torch.equal(state["fixed_state"], torch.stack([weights[f"inner.{n}"] for n in initial]))
    carried = {name for name, ours in forth.items() if ours is None}
    assert all(name.endswith((".mask", "_init", "init_hidden")) for name in carried)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_becomes_a_pipeline_that_solves_and_saves(tmp_path, family):
    torch.save(container(family, published(family)), tmp_path / "step_1.pth")
    pipeline = import_checkpoint(tmp_path / "step_1.pth", family, architecture=OPTIONS[family])
    assert pipeline.reasoner.config == translate_config(family, OPTIONS[family])
    puzzle = "53..7...." + "." * 72
    (answer,) = pipeline.solve(puzzle, depth=2, seed=1)
    back = eq.load(pipeline.save(tmp_path / "saved"))
    (again,) = back.solve(puzzle, depth=2, seed=1)
    assert torch.equal(answer.tokens, again.tokens)
    assert back.recipe.reasoner == pipeline.recipe.reasoner


@pytest.mark.parametrize("family", ["hrm", "urm", "fprm", "attractor_puzzle"])
def test_the_recipe_of_a_family_is_its_published_architecture(family):
    """Without options beside it, a file is read as the shape that its repository trains."""
    published_sizes = {"hrm": 27_275_266, "urm": 13_662_210, "fprm": 6_833_666, "attractor_puzzle": 6_828_034}
    name = {"attractor_puzzle": "attractor-sudoku-7m"}.get(family, f"{family}-sudoku")
    recipe = eq.load_recipe(name)
    with torch.device("meta"):
        reasoner = recipe.build_reasoner(recipe.build_task())
    assert reasoner.parameter_count() == published_sizes[family]


def test_convolution_filters_of_half_precision_become_whole():
    weights = published("urm")
    assert weights["inner.layers.0.mlp.dwconv.weight"].dtype == torch.bfloat16
    reasoner = from_published("urm", OPTIONS["urm"], weights, SHAPE)
    assert {value.dtype for value in reasoner.state_dict().values()} == {torch.float32}


def test_a_filter_of_another_width_is_named():
    weights = published("urm") | {"inner.layers.0.mlp.dwconv.weight": torch.randn(256, 1, 3)}
    with pytest.raises(CheckpointError, match=r"convolution\.weight \(256, 3\) for \(256, 2\)"):
        from_published("urm", OPTIONS["urm"], weights, SHAPE)


def test_weights_of_the_wrong_family_are_named():
    with pytest.raises(CheckpointError, match=r"'inner\.H_level\.layers\.0\..*' is not known in this family"):
        from_published("trm", OPTIONS["trm"], published("hrm"), SHAPE)


def test_another_initial_state_than_ours_is_refused():
    with pytest.raises(CheckpointError, match="asks for fixed_init"):
        translate_config("fprm", OPTIONS["fprm"] | {"fixed_init": True})


def test_the_command_line_imports_and_lists_families(tmp_path):
    torch.save(container("urm", published("urm")), tmp_path / "urm.pth")
    (tmp_path / "arch.json").write_text(json.dumps(OPTIONS["urm"]))
    arguments = ["import", str(tmp_path / "urm.pth"), "--family", "urm"]
    arguments += ["--architecture", str(tmp_path / "arch.json"), "--out", str(tmp_path / "ours")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "parameters in" in result.output
    assert eq.load(tmp_path / "ours").reasoner.config.family == "urm"
    listed = CliRunner().invoke(app, ["import", "--families"])
    assert listed.exit_code == 0
    assert listed.output.split() == list(eq.published_families())
