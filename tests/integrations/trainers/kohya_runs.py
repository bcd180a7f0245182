"""Runs of kohya's trainers: stand-ins with their seams, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from warm import with_torch

pytest.importorskip("accelerate")


ROOT = Path(__file__).parents[3]
STANDIN = Path(__file__).parent / "kohya_standin"
SD_SCRIPTS = str(STANDIN / "sd_scripts" / "train_network.py")
MUSUBI = str(STANDIN / "musubi" / "tiny_train_network.py")
LAUNCHER = ("-m", "loss_logging.integrations.trainers.kohya")
# Buckets of 6 and batches of 3: every batch is full, so the rows of a step can be divided into its batches.
CATS, DOGS, BATCH = 7, 5, 3
OPTIONS = ("--prior_loss_weight", "0.5", "--caption_dropout_rate", "0.3", "--alpha_mask", "--masked_loss")


def pictures(folder: Path, empty: int = 0) -> Path:
    """Two folders in the form that sd-scripts reads; the first few captions of each are empty."""
    for name, count in (("10_cats", CATS), ("5_dogs_reg", DOGS)):
        (folder / name).mkdir()
        for i in range(count):
            (folder / name / f"{name[-4:]}{i}.png").touch()
            (folder / name / f"{name[-4:]}{i}_0064x0064_tiny.safetensors").touch()
            caption = "" if i < empty else f"number {i} of {name}"
            (folder / name / f"{name[-4:]}{i}.txt").write_text(caption, encoding="utf-8")
    return folder


def python(*arguments: object) -> str:
    """Run a new Python as a user does; what it said on the error stream."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stderr


def arguments(images: Path, out: Path, *options: object) -> list[str]:
    """Of a script."""
    out.mkdir(exist_ok=True)
    return [*map(str, ("--train_data_dir", images, "--output_dir", out, "--output_name", "lora", *options))]


def launched(folder: Path, *arguments: object) -> str:
    """Run the launcher; what it said on the error stream."""
    return _said(_LAUNCHED, folder, *arguments)


def both(folder: Path, planned: list[tuple[str, list[str], bool]]) -> str:
    """Run scripts with their arguments, with the launcher or without it; what they said on the error stream."""
    return _said(_BOTH, folder, repr(planned))


def _said(code: str, folder: Path, *arguments: object) -> str:
    done = with_torch().run(code, folder, *map(str, arguments))
    assert done.returncode == 0, done.stderr
    return done.stderr


_LAUNCHED = """
import runpy, warnings
warnings.simplefilter("ignore")
runpy.run_module("loss_logging.integrations.trainers.kohya", run_name="__main__", alter_sys=True)
"""
_BOTH = """
import runpy, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from loss_logging.integrations.trainers import kohya, kohya_items
for script, arguments, logged in eval(sys.argv[1]):
    if logged:
        kohya.main([script, *arguments])
    else:
        sys.argv = [script, *arguments]
        sys.path.insert(0, str(Path(script).parent))
        runpy.run_path(script, run_name="__main__")
"""


def assert_same_training(without: Path, with_us: Path) -> None:
    """Bit for bit, and in the same files."""
    left, right = ({path.name for path in folder.iterdir()} for folder in (without, with_us))
    assert right == left | {"loss_logging"}
    for path in without.glob("*.pt"):
        ours = torch.load(with_us / path.name)
        assert all(torch.equal(tensor, ours[name]) for name, tensor in torch.load(path).items()), path.name
    assert (without / "batches0.json").read_text() == (with_us / "batches0.json").read_text()


class Base:
    """A trainer that calls its methods with what is in their places."""

    architecture = architecture_full_name = "wan"

    def process_batch(self, batch: Any, network: Any, accelerator: Any, global_step: int) -> Any:
        output = SimpleNamespace(pred=torch.tensor([[1.0], [3.0]]), target=torch.zeros(2, 1))
        return self.compute_loss(None, output, torch.ones(2))

    def compute_loss(self, args: Any, output: Any, timesteps: Any) -> Any:
        return (output.pred - output.target).square().mean(), {}

    def train(self, names: Any, step: int) -> Any:
        network = SimpleNamespace(save_weights=lambda: None)
        accelerator = SimpleNamespace(unwrap_model=lambda model: model, trackers=[], is_main_process=True)
        return self.process_batch({"loss_logging": names}, network, accelerator, step)
