"""A demo, run as a user runs it, but for a shorter time, and in this process, which has imported what takes seconds."""

from __future__ import annotations

from pathlib import Path

from command import loss_logging

__all__ = ["STEPS", "run_demo"]

STEPS = 700
"""Enough for the run itself to name wrong captions."""


def run_demo(out: Path) -> tuple[Path, str]:
    """Its folder, and what it printed."""
    done = loss_logging("demo", "--out", out, "--loggers", "tensorboard,wandb", "--steps", str(STEPS))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "training" in done.stderr  # the progress bar
    return out, done.stdout
