"""A demo, run as a user runs it, but for a shorter time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["STEPS", "run_demo"]

STEPS = 700
"""Enough for the run itself to name wrong captions."""


def run_demo(out: Path) -> tuple[Path, str]:
    """Its folder, and what it printed."""
    program = Path(sys.executable).with_name("loss-logging")
    command = [program, "demo", "--out", out, "--loggers", "tensorboard,wandb", "--steps", str(STEPS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "training" in done.stderr  # the progress bar
    return out, done.stdout
