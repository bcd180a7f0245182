from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

pytestmark = pytest.mark.xdist_group("plugin")  # whose Python is started once

Run: TypeAlias = Callable[..., tuple[int, str]]


@pytest.mark.parametrize(
    ("flaw", "found"),
    [
        ("Rows", "test_a_long_table_is_written_whole"),
        pytest.param("Names", "test_scalars_arrive_under_their_names", marks=pytest.mark.long),
        pytest.param("Text", "test_hostile_text_is_data", marks=pytest.mark.long),
        pytest.param("Close", "test_closing_twice_is_closing_once", marks=pytest.mark.long),
        pytest.param("Hog", "test_writing_leaves_the_interpreter_to_others", marks=pytest.mark.long),
    ],
)
def test_a_flaw_is_found(flaw: str, found: str, tmp_path: Path, run: Run) -> None:
    """A backend with a flaw fails the case that is about it, by name."""
    backend = ["--loss-logging-backend", f"flawed:{flaw}", "--loss-logging-reader", "flawed:read"]
    status, output = run(tmp_path, *backend, "-k", found)
    assert status == 1, output
    assert re.search(rf"FAILED .*{found}", output)


def test_a_sound_backend_passes(tmp_path: Path, run: Run) -> None:
    """A backend without flaws passes every case, also where nobody says how to read it."""
    status, output = run(tmp_path, "--loss-logging-backend", "{name: flawed:FileBackend}")
    assert status == 0, output
    assert "test_other" not in output
