"""A diagnosis of made-up numbers, every section filled, for rules and pages to be tried on."""

import pytest

from equilibria.diagnostics.diagnosis import (
    Accuracy,
    Band,
    Basin,
    BasinRow,
    Breadth,
    CouplingBin,
    CouplingSection,
    Curve,
    CycleRow,
    Cycles,
    DepthPoint,
    Diagnosis,
    Difficulty,
    DifficultyGroup,
    Head,
    HeadBin,
    Labels,
    LocalState,
    Mode,
    Path,
    Picture,
    ProblemRow,
    Residuals,
    Setting,
    Stopping,
)

SETTING = Setting(
    *("made-up", "eqr-sudoku6-cpu", "", "recursive", ()),
    *("sudoku", "puzzle", True, "puzzles.csv", "ab" * 32, 200, 16, 32, 16, "gaussian", 0.01),
    *("residual", 0.05, True, True, 0, "picard", "cpu", "float32", "0.1.0", "2.13.0", 81_000, 42.0, 61.0),
)
COUNTS = (1, 2, 4, 8, 16, 32)


def problem(place: int) -> ProblemRow:
    mode = "abcd"[min(3, place)] if place < 8 else "d"
    shares = {"a": (0.0, 1.0, 0.0), "b": (0.4, 0.5, 0.1), "c": (0.2, 0.0, 0.8), "d": (0.95, 0.0, 0.05)}[mode]
    return ProblemRow(place, "s", mode, *shares, 2, 9.5, 1.0, False if mode in "ab" else None)


@pytest.fixture(scope="session")
def found() -> Diagnosis:
    """Depth 16 adds nothing over 8, a single restart is as good as any number, and nearly all is right."""
    curves = {
        "average": (0.96,) * 6,
        "majority": (0.96, 0.961, 0.962, 0.962, 0.963, 0.963),
        "convergence": (0.96, 0.961, 0.962, 0.963, 0.963, 0.964),
        "halting": (0.96, 0.96, 0.961, 0.961, 0.962, 0.962),
        "first-to-settle": (0.96, 0.959, 0.958, 0.957, 0.957, 0.957),
        "oracle": (0.96, 0.962, 0.964, 0.966, 0.968, 0.97),
    }
    points = [(1, 0.0, 0.0), (2, 0.02, 0.0), (4, 0.6, 0.1), (8, 0.958, 0.7), (16, 0.96, 0.99)]
    modes = [
        ("a", 4, 0.02, 0.1, 4),
        ("b", 2, 0.01, 0.1, 2),
        ("c", 2, 0.01, 0.8, 0),
        ("d", 192, 0.96, 0.02, 192),
    ]
    falling = tuple(2.0 / k for k in range(1, 17))
    slow = tuple(2.0 / k**0.3 for k in range(1, 17))
    paths = tuple(
        Path(((0.1 * k, 1.0), (0.5, 0.02 * k), (k % 3 * 1.0, 0.0)), ("right", "wrong", "unsettled")[k % 3])
        for k in range(32)
    )
    return Diagnosis(
        verdict="Made up.",
        setting=SETTING,
        accuracy=Accuracy(
            tuple(DepthPoint(d, a, (max(0, a - 0.03), min(1, a + 0.02)), float(d), s) for d, a, s in points),
            *(8, 0.002, (-0.004, 0.008), 0.004, 0.036, 16, 8, 0.0, 0.0),
        ),
        breadth=Breadth(
            *(COUNTS, curves, "convergence", 0.96, 0.964, 0.004, (-0.002, 0.01), 1),
            *(0.006, (-0.001, 0.013), 0.001, (-0.003, 0.005)),
        ),
        coupling=CouplingSection(
            *(0.97, 0.31),
            tuple(CouplingBin(640, 0.01 * 1.6**k, 1 - 0.1 * k, (0.9 - 0.1 * k, 1.0)) for k in range(10)),
        ),
        modes=tuple(
            Mode(m, n, s, (s * 0.6, min(1, s * 1.4 + 0.01)), u, r, (0, 1)) for m, n, s, u, r in modes
        ),
        labels=Labels(0, 0),
        problems=tuple(problem(place) for place in range(200)),
        basins=tuple(
            BasinRow(p, m, (Basin(0.5, m != "a", 1, 1.0, 1.0), Basin(0.2, False, 2, 0.9, None)), 0.3)
            for p, m in enumerate("abcd")
        ),
        path_independence=Curve(COUNTS, (0.0, 0.01, 0.015, 0.0175, 0.01875, 0.0194)),
        residuals=Residuals(
            Band(tuple(v * 0.8 for v in falling), falling, tuple(v * 1.3 for v in falling), (6000,) * 16),
            Band(tuple(v * 0.8 for v in slow), slow, tuple(v * 1.3 for v in slow), (400,) * 16),
        ),
        local=tuple(
            LocalState(
                p,
                0,
                p != 1,
                1,
                0.01,
                ((0.8, 0.1), (0.8, -0.1), (-0.3, 0.0)),
                0.806,
                3.2,
                4.0,
                False,
                "‖J‖₂ ≥ 1",
            )
            for p in range(3)
        ),
        cycles=Cycles(128, 0.95, 0.02, 0.03, (CycleRow(1, 5, 3, 4),), 0.25, True),
        difficulty=(
            Difficulty(
                "rating", 0.6, tuple(DifficultyGroup(k, k + 1, 33, 6 + k, 0.97, (0.9, 1.0)) for k in range(6))
            ),
        ),
        head=Head(
            0.99,
            tuple(HeadBin(640, k / 10, k / 10, (max(0, k / 10 - 0.1), k / 10 + 0.05)) for k in range(10)),
        ),
        stopping=(
            Stopping("head", ((4.0, 0.6), (6.0, 0.95), (8.0, 0.96)), 0.96, 16.0, 8.0, 2.0),
            Stopping("residual", ((5.0, 0.7), (9.0, 0.958), (12.0, 0.96)), 0.96, 16.0, 12.0, 1.333),
        ),
        pictures=tuple(Picture(m, p, (0.4, 0.2), paths) for p, m in enumerate("abcd")),
        advice=(),
    )
