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


@pytest.mark.parametrize(
    ("flaw", "found"),
    [
        ("weights", "test_the_weights_are_the_same_with_and_without"),
        ("parity", "test_the_mean_is_the_trainers_scalar"),
        pytest.param("names", "test_every_example_is_logged_under_its_name", marks=pytest.mark.long),
        pytest.param("report", "test_a_report_is_made_at_each_checkpoint", marks=pytest.mark.long),
        pytest.param("count", "test_what_is_not_logged_is_counted", marks=pytest.mark.long),
        pytest.param("resume", "test_a_run_that_goes_on", marks=pytest.mark.long),
        pytest.param("ranks", "test_several_ranks_report_as_one", marks=pytest.mark.long),
    ],
)
def test_a_flaw_of_a_trainer_is_found(flaw: str, found: str, tmp_path: Path) -> None:
    """An adapter with a flaw fails the case that is about it, by name; wrong weights fail others, too."""
    status, output = run(tmp_path, "--loss-logging-trainer", f"flawed_trainers:{flaw}")
    assert status == 1, output
    failed = set(re.findall(r"FAILED .*::(\w+)", output))
    assert found in failed if flaw == "weights" else failed == {found}


def test_a_sound_trainer_passes(tmp_path: Path) -> None:
    """An adapter without flaws passes every case, in several processes too, with a trainer that knows no torch."""
    status, output = run(tmp_path, "--loss-logging-trainer", "flawed_trainers:train")
    assert status == 0, output
    assert "test_other" not in output
    assert "9 passed" in output


@pytest.mark.parametrize("name", ["tinny", "flawed_trainers:trian", "no_such_module:train"])
def test_a_trainer_that_does_not_exist_is_an_error(name: str, tmp_path: Path) -> None:
    """A name, a function or a module that is not there is an error that names it."""
    status, output = run(tmp_path, "--loss-logging-trainer", name, "-k", "weights")
    assert status != 0
    assert name.rpartition(":")[2] in output
