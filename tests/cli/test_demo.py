"""What a newcomer sees first."""

import re

import pytest
from typer.testing import CliRunner

from equilibria.cli import app


@pytest.mark.slow
def test_the_demo_shows_depth_breadth_and_published_puzzles():
    result = CliRunner().invoke(app, ["demo", "--problems", "32"], env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    accuracies = [float(n) for n in re.findall(r"([\d.]+)%", result.output)]
    assert accuracies[0] < 5 < 95 < accuracies[1]  # after one iteration, and settled
    solved, asked = map(int, re.search(r"(\d+) of (\d+) right in", result.output).groups())
    assert asked == 20
    assert solved >= 16
    assert "WRONG" not in result.output
