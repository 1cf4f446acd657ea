"""EqR and TRM against numbers from their published implementations, through the public door."""

import pytest
import torch

from equilibria.interop import from_published


def stacked(case, prefix):
    return torch.stack([case[f"{prefix}z_H0"], case[f"{prefix}z_L0"]], dim=1)


def published_state(case, name, streams):
    """The state that the published code stored after an iteration."""
    names = ("z_H", "z_L") if streams == 2 else ("z_L",)
    return torch.stack([case[f"{name}/{stream}"] for stream in names], dim=1)


def check_training(parity, case, family, reasoner, condition, state, labels, noise=None):
    """One supervised segment: losses and every gradient."""
    step = reasoner.iterate(state, condition, noise=noise)
    parity.losses(case, step, reasoner.decode(step.state, condition), labels).backward()
    # Rows of the identity table are stored for the mean over the batch, unlike all other gradients;
    # sign-SGD does not see the factor.
    parity.gradients(reasoner, case.group("out/grad/"), family, identity_scale=1 / len(labels))


@pytest.mark.parametrize(
    "name", ["eqr_mixer", "eqr_attention_rope", "eqr_attention_rope2d", "eqr_mixer_noise"]
)
def test_eqr(name, golden, parity):
    case = golden(name)
    reasoner = from_published("eqr", case.config, case.group("weights/"))
    condition = reasoner.encode(case["in/inputs"])
    state = stacked(case, "in/")
    noisy = "in/noise_iters" in case.tensors
    with torch.no_grad():
        for k in range(case.facts["K"]):
            noise = case["in/noise_iters"][k] if noisy else None
            state = reasoner.iterate(state, condition, noise=noise).state
            parity.outputs(case, f"out/iter{k + 1}", state, reasoner.decode(state))
            # From where the published trajectory stands: some of these maps are chaotic, and one bit of
            # difference between two processors' matrix products is a percent three iterations later.
            state = published_state(case, f"out/iter{k + 1}", 2)
    noise = case["in/noise_train"] if noisy else None
    start, labels = stacked(case, "in/"), case["in/loss_labels"]
    check_training(parity, case, "eqr", reasoner, condition, start, labels, noise)


@pytest.mark.parametrize("name", ["trm_mixer", "trm_attention", "trm_singlez"])
def test_trm(name, golden, parity, weights_before_sign_sgd):
    case = golden(name)
    family = "trm_singlez" if name == "trm_singlez" else "trm"
    reasoner = from_published(family, case.config, weights_before_sign_sgd(case, family))
    condition = reasoner.encode(case["in/inputs"], case["in/puzzle_identifiers"])
    state = reasoner.initial_state(condition, None)
    with torch.no_grad():
        for k in range(case.facts["K"]):
            state = reasoner.iterate(state, condition).state
            parity.outputs(case, f"out/iter{k + 1}", state, reasoner.decode(state))
            state = published_state(case, f"out/iter{k + 1}", state.shape[1])
    start = reasoner.initial_state(condition, None)
    check_training(parity, case, family, reasoner, condition, start, case["in/labels"])


@pytest.mark.parametrize("prefix", ["_orig_mod.model.", "model.", ""])
def test_prefixes_of_published_weights_do_not_matter(prefix, golden):
    case = golden("eqr_mixer")
    plain = case.group("weights/")
    wrapped = {prefix + name: value for name, value in plain.items()}
    first = from_published("eqr", case.config, plain).state_dict()
    second = from_published("eqr", case.config, wrapped).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
