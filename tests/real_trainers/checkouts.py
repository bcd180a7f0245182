"""Where the trainers are: in a folder that the user names, each as its repository is called. Nothing is fetched.

    python -m pytest -m real --trainers ~/trainers        (or LOSS_LOGGING_TRAINERS=~/trainers)

The folder has one or more of ``sd-scripts``, ``musubi-tuner``, ``ai-toolkit``, ``SimpleTuner``, ``OneTrainer`` (with
``mgds`` beside it), ``diffusion-pipe`` and ``diffusers``, and
``trl`` needs no checkout. A trainer is run by ``DIR/NAME/.venv/bin/python`` where there is one, with what that trainer
itself needs, and else by the Python of the tests. loss_logging need not be installed there: it is put on the path.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import safetensors.torch
import torch

__all__ = ["ROOT", "Checkout", "checkout", "same_files"]

ROOT = Path(__file__).parents[2]
DRIVERS = Path(__file__).parent / "drivers"


class Checkout(NamedTuple):
    """A trainer's folder, and the Python that runs it."""

    folder: Path
    python: str

    def run(self, driver: str, out: Path, *arguments: object) -> dict[str, Any]:
        """Run a driver, which trains in ``out``, and read what it found. A Python without the trainer's needs skips."""
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        environment |= {"PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false", "CI": "1"}
        environment |= {"NO_ALBUMENTATIONS_UPDATE": "1", "DISABLE_TELEMETRY": "YES"}
        out.mkdir(parents=True, exist_ok=True)
        command = [self.python, DRIVERS / f"{driver}.py", self.folder, out, *arguments]
        done = subprocess.run(
            [*map(str, command)], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=900
        )
        (out / "said.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
        if done.returncode and "ModuleNotFoundError" in done.stderr:
            pytest.skip(f"{self.python} lacks what the trainer needs: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr[-4000:]
        found: dict[str, Any] = json.loads((out / "found.json").read_text(encoding="utf-8"))
        return found


def checkout(config: pytest.Config, name: str) -> Checkout:
    """The trainer's; skips where the user has named no folder, or it is not in there."""
    given = config.getoption("--trainers") or os.environ.get("LOSS_LOGGING_TRAINERS")
    if not given:
        pytest.skip("name the folder of the trainers' checkouts: --trainers DIR, or LOSS_LOGGING_TRAINERS")
    folder = Path(given).expanduser().absolute() / name
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    own = folder / ".venv" / "bin" / "python"
    return Checkout(folder, str(own) if own.exists() else sys.executable)


def same_files(plain: Path, logged: Path) -> None:
    """The networks that were saved are the same to the bit, at each save."""
    names = sorted(path.name for path in plain.glob("*.safetensors"))
    assert len(names) >= 2
    for name in names:
        left, right = (safetensors.torch.load_file(folder / name) for folder in (plain, logged))
        assert all(torch.equal(tensor, right[key]) for key, tensor in left.items()), name
