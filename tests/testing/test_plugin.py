"""The pytest plugin, run as an author of a backend runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def run(cwd: Path, *options: str) -> tuple[int, str]:
    """Exit status and output of pytest in a folder with a failing test of its own, which is not to be run."""
    (cwd / "test_other.py").write_text("def test_other():\n    assert False\n")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
    command = [sys.executable, "-m", "pytest", "-p", "loss_logging.testing.plugin", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("flaw", "found"),
    [
        ("Rows", "test_a_long_table_is_written_whole"),
        pytest.param("Names", "test_scalars_arrive_under_their_names", marks=pytest.mark.long),
        ("Text", "test_hostile_text_is_data"),
        pytest.param("Close", "test_closing_twice_is_closing_once", marks=pytest.mark.long),
        pytest.param("Hog", "test_writing_leaves_the_interpreter_to_others", marks=pytest.mark.long),
    ],
)
def test_a_flaw_is_found(flaw: str, found: str, tmp_path: Path) -> None:
    """A backend with a flaw fails the case that is about it, by name."""
    backend = ["--loss-logging-backend", f"flawed:{flaw}", "--loss-logging-reader", "flawed:read"]
    status, output = run(tmp_path, *backend, "-k", found)
    assert status == 1, output
    assert re.search(rf"FAILED .*{found}", output)


def test_a_sound_backend_passes(tmp_path: Path) -> None:
    """A backend without flaws passes every case, also where nobody says how to read it."""
    status, output = run(tmp_path, "--loss-logging-backend", "{name: flawed:FileBackend}")
    assert status == 0, output
    assert "test_other" not in output


def test_a_backend_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """A name with a typo is an error that says what is known."""
    status, output = run(tmp_path, "--loss-logging-backend", "tensorbord", "-k", "closing_twice")
    assert status == 1
    assert "did you mean tensorboard?" in output
