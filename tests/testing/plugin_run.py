from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


ROOT = HERE.parent.parent


def run(cwd: Path, *options: str) -> tuple[int, str]:
    """Exit status and output of pytest in a folder with a failing test of its own, which is not to be run."""
    (cwd / "test_other.py").write_text("def test_other():\n    assert False\n")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
    command = [sys.executable, "-m", "pytest", "-p", "loss_logging.testing.plugin", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr
