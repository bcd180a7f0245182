"""examples/"""

from __future__ import annotations

import io
import runpy
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest

from loss_logging import LossReport, read_report

ROOT = Path(__file__).parent.parent


def run(script: str, out: Path, *options: str, chatty: bool = False) -> tuple[LossReport, str]:
    """Run an example in this process, which has imported what takes seconds; its last report and what it printed.

    Only a ``chatty`` library may say more.
    """
    path = str(ROOT / "examples" / script)
    with (
        patch.object(sys, "argv", [path, "--out", str(out), *options]),
        redirect_stdout(io.StringIO()) as printed,
        redirect_stderr(io.StringIO()) as said,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")  # a warning is said on the error stream
        runpy.run_path(path, run_name="__main__")
    assert chatty or not said.getvalue()
    return read_report(sorted((out / "loss_logging").glob("*.json"))[-1]), printed.getvalue()


def test_plain_pytorch(tmp_path: Path) -> None:
    """The plain loop logs every sample of every epoch, and the highest losses are those of the wrong labels."""
    report, printed = run("plain_pytorch.py", tmp_path)
    assert report.job.step == 342
    assert report.global_.count == 6 * 1797
    assert set(report.datasets) == {"scans", "photos"}
    assert report.datasets["scans"].summary.count == 6 * 600
    assert printed.count("labelled wrong") >= 8
    assert list((tmp_path / "loss_logging" / "tensorboard").rglob("events.out.tfevents.*"))


@pytest.mark.parametrize("options", [pytest.param((), marks=pytest.mark.long), ("--snr-gamma", "5")])
def test_diffusers_style(options: tuple[str, ...], tmp_path: Path) -> None:
    """Both branches of the diffusers loss are logged: the same unweighted losses at first, and they fall."""
    report, _ = run("diffusers_style.py", tmp_path, "--max-train-steps", "60", *options)
    assert report.job.step == 60
    assert report.global_.count == 60 * 32
    assert report.global_.mean is not None
    assert 0 < report.global_.mean < 1.1  # the noise has variance 1
    assert report.global_.non_finite == 0


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_are_short(path: Path) -> None:
    """An example is under 80 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) < 80
