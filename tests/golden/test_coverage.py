"""Names the parity cases that nothing checks yet, so that none is forgotten."""

import pytest

COVERED = {
    "adam_atan2",
    "anderson",
    "attractor_puzzle_m2",
    "attractor_puzzle_m5_as_published",
    "attractor_puzzle_m5_degenerate",
    "eqr_act_carry",
    "eqr_attention_rope",
    "eqr_attention_rope2d",
    "eqr_eval_metrics",
    "eqr_mixer",
    "eqr_mixer_noise",
    "fpopt",
    "fprm_causal",
    "fprm_maze",
    "fprm_sudoku",
    "fprm_variants",
    "hrm",
    "implicit_gradients",
    "maze_unique_perfect",
    "maze_unique_random",
    "stablemax_cross_entropy",
    "state_tracking",
    "sudoku_augmentation",
    "trm_attention",
    "trm_mixer",
    "trm_singlez",
    "trunc_normal_init",
    "urm",
}


def test_every_case_is_covered_or_named(shared):
    found = {path.stem for path in (shared / "golden").glob("*.json")}
    assert found >= COVERED, f"cases that have gone: {sorted(COVERED - found)}"
    waiting = sorted(found - COVERED)
    if waiting:
        print("\nparity cases not covered yet:", *waiting, sep="\n  ")
        pytest.skip(f"language models not built yet: {', '.join(waiting)}")
