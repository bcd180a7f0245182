from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

pytestmark = pytest.mark.xdist_group("plugin")  # whose Python is started once

Run: TypeAlias = Callable[..., tuple[int, str]]


@pytest.mark.parametrize(
    ("flaw", "found", "cases"),
    [
        ("parity", "test_the_mean_is_the_trainers_scalar", ["-k", "scalar or weights"]),
        pytest.param("parity", "test_the_mean_is_the_trainers_scalar", [], marks=pytest.mark.long),
        pytest.param("weights", "test_the_weights_are_the_same_with_and_without", [], marks=pytest.mark.long),
        pytest.param("names", "test_every_example_is_logged_under_its_name", [], marks=pytest.mark.long),
        pytest.param("report", "test_a_report_is_made_at_each_checkpoint", [], marks=pytest.mark.long),
        pytest.param("count", "test_what_is_not_logged_is_counted", [], marks=pytest.mark.long),
        pytest.param("resume", "test_a_run_that_goes_on", [], marks=pytest.mark.long),
        pytest.param("ranks", "test_several_ranks_report_as_one", [], marks=pytest.mark.long),
    ],
)
def test_a_flaw_of_a_trainer_is_found(flaw: str, found: str, cases: list[str], tmp_path: Path, run: Run) -> None:
    """An adapter with a flaw fails the case that is about it, by name; wrong weights fail others, too."""
    status, output = run(tmp_path, "--loss-logging-trainer", f"flawed_trainers:{flaw}", *cases)
    assert status == 1, output
    failed = set(re.findall(r"FAILED .*::(\w+)", output))
    assert found in failed if flaw == "weights" else failed == {found}


def test_a_sound_trainer_passes(tmp_path: Path, run: Run) -> None:
    """An adapter without flaws passes every case, in several processes too, with a trainer that knows no torch."""
    status, output = run(tmp_path, "--loss-logging-trainer", "flawed_trainers:train")
    assert status == 0, output
    assert "test_other" not in output
    assert "9 passed" in output
