"""examples/trainer, installed as a user installs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from warm import PYTEST, with_torch

ROOT = Path(__file__).parent.parent


@pytest.mark.xdist_group("torch")
@pytest.mark.parametrize(
    ("cases", "passed"),
    [
        (["-k", "scalar"], "1 passed"),
        pytest.param([], "9 passed", marks=pytest.mark.long),
    ],
)
def test_it_is_found_by_its_name_and_passes(cases: list[str], passed: str, tmp_path: Path) -> None:
    """The commands in its docstring: installed, the suite and doctor know it by its name, and it passes the cases."""
    shutil.copytree(ROOT / "examples" / "trainer", tmp_path / "source")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    command += ["--disable-pip-version-check", "--target", str(tmp_path / "site"), str(tmp_path / "source")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    environment = {"PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT}"}
    plugin = ["-p", "loss_logging.testing.plugin", "-p", "no:cacheprovider"]
    for code, arguments, printed in (
        (PYTEST, ["-q", *plugin, "--loss-logging-trainer", "tiny", *cases], passed),
        ("from loss_logging.cli import main; main()", ["doctor"], "trainer tiny"),
    ):
        done = with_torch().run(code, tmp_path, *arguments, environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert printed in done.stdout
