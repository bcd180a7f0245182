"""examples/backend, installed as a user installs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from warm import PYTEST, with_torch

pytestmark = pytest.mark.xdist_group("torch")  # and the example is installed once

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables with which the example is installed, in a folder of its own."""
    folder = tmp_path_factory.mktemp("backend")
    shutil.copytree(ROOT / "examples" / "backend", folder / "source")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--disable-pip-version-check", "--no-index", "--target", str(folder / "site"), str(folder / "source")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return {"PYTHONPATH": f"{folder / 'site'}{os.pathsep}{ROOT}"}


def run(environment: dict[str, str], cwd: Path, code: str, *arguments: str) -> str:
    done = with_torch().run(code, cwd, *arguments, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_found_by_its_name(environment: dict[str, str], tmp_path: Path) -> None:
    """Installed, it is a logger like any other, in the reporter's process; nothing of ours names it."""
    code = """
from loss_logging import LossLogger
with LossLogger(job_name="cats", save_root="run", loggers=["jsonlines"]) as losses:
    losses.log_batch(1, [0.25], paths=["1.png"], datasets="cats", captions=["a cat on a sofa"])
    losses.save_step(1)
"""
    run(environment, tmp_path, code)
    assert '"loss_logging/loss/cats":0.25' in (tmp_path / "run" / "loss_logging" / "cats.jsonl").read_text()


@pytest.mark.long
def test_it_passes_the_conformance_suite(environment: dict[str, str], tmp_path: Path) -> None:
    """The command in its docstring passes every case, with what arrived compared."""
    options = ["--loss-logging-backend", "jsonlines", "--loss-logging-reader", "loss_logging_jsonlines:read"]
    plugin = ["-p", "loss_logging.testing.plugin", "-p", "no:cacheprovider"]
    printed = run(environment, tmp_path, PYTEST, "-q", *plugin, *options)
    assert "17 passed" in printed
