"""A peer's architecture options → the config of our family."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from equilibria.dynamics.gradients import Phantom
from equilibria.dynamics.solvers import Anderson
from equilibria.errors import CheckpointError
from equilibria.reasoners.attractor import AttractorConfig
from equilibria.reasoners.blocks import BlockConfig
from equilibria.reasoners.fprm import FPRMConfig
from equilibria.reasoners.hrm import HRMConfig
from equilibria.reasoners.recursive import RecursiveConfig
from equilibria.reasoners.urm import URMConfig

Options = Mapping[str, Any]


def _common(options: Options) -> dict[str, Any]:
    """What all of them say alike."""
    mlp = bool(options.get("mlp_t", False))
    positions = options["pos_encodings"]
    return {
        "width": options["hidden_size"],
        "heads": options["num_heads"],
        "expansion": options["expansion"],
        "mixing": "mlp" if mlp else "attention",
        "positions": "none" if mlp and positions != "learned" else positions,
        "rope_theta": options.get("rope_theta", 10_000.0),
    }


def _identity(options: Options) -> dict[str, Any]:
    """Prefix slots that carry the puzzle's identity."""
    width = options["puzzle_emb_ndim"]
    prefix = options.get("puzzle_emb_len") or -(-width // options["hidden_size"])
    return {"prefix": prefix, "identity_width": width or None}


def _cycles(options: Options) -> dict[str, Any]:
    return {"H_cycles": options["H_cycles"], "L_cycles": options["L_cycles"]}


FIXED: dict[str, Any] = {"initial": "fixed", "damping": 0.0, "noise": 0.0}
SCALES = {"input-independent": "channel", "fixed": "fixed", "input-dependent": "input"}
CONVOLUTIONS = {"conv1d": "sequence", "conv2d": "board"}


def _around(options: Options) -> dict[str, Any]:
    """What FPRM's repository puts around and into blocks, its TRM baselines included."""
    kind = CONVOLUTIONS.get(options.get("conv_type", "none"), "none")
    scale = options.get("residual_scale")
    return {
        "norm": options.get("norm_type", "post-norm").removesuffix("-norm"),
        "norm_placement": options.get("norm_placement", "none"),
        "normalize_injection": options.get("normalize_input_injection", False),
        "causal": options.get("causal", False),
        "temperature": options.get("softmax_temp", 1.0),
        "convolution": kind,
        "convolution_kernel": options["conv_kernel_size"] if kind != "none" else 4,
        "convolution_bias": options.get("conv_bias", False),
        "residual_scale": SCALES.get(scale, "none") if scale else "none",
        "scale_outer_only": options.get("outer_only", False),
    }


def _eqr(options: Options) -> RecursiveConfig:
    return RecursiveConfig(
        **_common(options),
        **_cycles(options),
        layers=options["L_layers"],
        sigma_H=options["H_init_std"],
        sigma_L=options["L_init_std"],
        damping=1.0 - options["lambda_"],  # the published λ weighs the new value, the paper's the old
        noise=options["noise_scale"],
    )


def _trm(options: Options, streams: int = 2) -> RecursiveConfig:
    own: dict[str, Any] = {"layers": options["L_layers"], "streams": streams}
    return RecursiveConfig(
        **_common(options), **_cycles(options), **_identity(options), **_around(options), **FIXED, **own
    )


def _hrm(options: Options) -> HRMConfig:
    own = {"layers": options["H_layers"], "fast_layers": options["L_layers"]}
    return HRMConfig(**_common(options), **_cycles(options), **_identity(options), **FIXED, **own)


def _urm(options: Options) -> URMConfig:
    own = {"layers": options["num_layers"], "channel_convolution": options.get("conv_kernel", 2)}
    return URMConfig(**_common(options), **_cycles(options), **_identity(options), **FIXED, **own)


def _fprm(options: Options) -> FPRMConfig:
    if options.get("fixed_init"):
        raise CheckpointError("the fprm architecture asks for fixed_init, which no published model used")
    return FPRMConfig(
        **_common(options),
        **_identity(options),
        **_around(options),
        layers=options["L_layers"],
        sigma=options["init_std"],
        alpha_1=options["alpha_1_init"],
        alpha_2=options["alpha_2_init"],
    )


def _attractor(options: Options) -> AttractorConfig:
    return AttractorConfig(
        **_common(options),
        **_identity(options),
        layers=options["L_layers"],
        H_cycles=options["H_cycles"],
        solver=Anderson(window=options["deq_anderson_m"], mixing=options["deq_anderson_beta"], scaled=False),
        max_iterations=options["deq_max_iter"],
        min_iterations=options["deq_min_iter"],
        tolerance=options["deq_tol"],
        gradient=Phantom(steps=options["bptt_through"]),
        jacobian=options["jacobian_reg_lambda"],
    )


TRANSLATIONS: Mapping[str, Callable[[Options], BlockConfig]] = {
    "eqr": _eqr,
    "trm": _trm,
    "trm_singlez": lambda options: _trm(options, streams=1),
    "hrm": _hrm,
    "urm": _urm,
    "fprm": _fprm,
    "attractor_puzzle": _attractor,
}
FAMILIES = tuple(TRANSLATIONS)


def translate_config(family: str, config: Options) -> BlockConfig:
    """A peer's architecture options → ours.

    Raises:
        CheckpointError: an option is missing, or asks for something this family cannot do.
    """
    if family not in TRANSLATIONS:
        raise CheckpointError(f"family '{family}' is not known; choose one of {', '.join(FAMILIES)}")
    try:
        return TRANSLATIONS[family](config)
    except KeyError as error:
        raise CheckpointError(f"the {family} architecture misses the option {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][-1:]}: {fault['msg']}" for fault in error.errors())
        raise CheckpointError(f"the {family} architecture has options of another kind: {faults}") from error
