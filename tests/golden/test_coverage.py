"""Names the parity cases that nothing checks yet, so that none is forgotten."""

import pytest

COVERED = {
    "adam_atan2",
    "eqr_act_carry",
    "eqr_attention_rope",
    "eqr_attention_rope2d",
    "eqr_eval_metrics",
    "eqr_mixer",
    "eqr_mixer_noise",
    "stablemax_cross_entropy",
    "sudoku_augmentation",
    "trm_attention",
    "trm_mixer",
    "trm_singlez",
    "trunc_normal_init",
}


def test_every_case_is_covered_or_named(shared):
    found = {path.stem for path in (shared / "golden").glob("*.json")}
    assert found >= COVERED, f"cases that have gone: {sorted(COVERED - found)}"
    waiting = sorted(found - COVERED)
    if waiting:
        print("\nparity cases not covered yet:", *waiting, sep="\n  ")
        pytest.skip(f"families and solvers not built yet: {', '.join(waiting)}")
