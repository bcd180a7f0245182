"""The examples that need a trainer's package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_examples import ROOT, run

from loss_logging import read_report


@pytest.mark.parametrize(
    ("package", "script", "options", "records"),
    [
        ("accelerate", "accelerate_dreambooth.py", ["--max-train-steps", "10"], 10 * 16),
        ("transformers", "hf_trainer.py", ["--max-steps", "10"], 10 * 32),
        ("lightning", "lightning_digits.py", ["--max-steps", "10"], 10 * 32),
    ],
)
def test_each_example_is_logged(package: str, script: str, options: list[str], records: int, tmp_path: Path) -> None:
    """The last report of a short training covers every record."""
    pytest.importorskip(package)
    report, _ = run(script, tmp_path, *options, chatty=True)
    assert (report.job.step, report.global_.count) == (10, records)


@pytest.mark.long
@pytest.mark.parametrize(
    ("package", "script"), [("transformers", "hf_trainer.py"), ("lightning", "lightning_digits.py")]
)
def test_wrong_labels_are_the_hardest_items(package: str, script: str, tmp_path: Path) -> None:
    """Most of the ten hardest items are among the 20 of 1,797 that are labelled wrong."""
    pytest.importorskip(package)
    report, printed = run(script, tmp_path, chatty=package == "lightning")
    assert report.job.step == 400
    assert report.global_.count > 400 * 30
    assert printed.count("labelled wrong") >= 7
    assert list(tmp_path.rglob("loss_logging/tensorboard/**/events.out.tfevents.*"))


@pytest.mark.long
def test_the_halves_of_prior_preservation_are_told_apart(tmp_path: Path) -> None:
    """Instance and class images are datasets of their own, with as many records each."""
    pytest.importorskip("accelerate")
    report, _ = run("accelerate_dreambooth.py", tmp_path)
    assert {name: dataset.summary.count for name, dataset in report.datasets.items()} == {"instance": 800, "class": 800}


TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


@pytest.mark.parametrize(
    ("package", "launcher", "script", "options", "records"),
    [
        pytest.param(
            "accelerate", TORCHRUN, "accelerate_dreambooth.py", ["--max-train-steps", "10"], 2 * 10 * 16,
            marks=pytest.mark.long,
        ),
        pytest.param(
            "accelerate", TORCHRUN, "hf_trainer.py", ["--max-steps", "10"], 2 * 10 * 32, marks=pytest.mark.long
        ),
        pytest.param(
            "lightning", [], "lightning_digits.py", ["--max-steps", "10", "--devices", "2"], 2 * 10 * 32,
            marks=pytest.mark.long,
        ),
    ],
)  # fmt: skip
def test_two_processes_report_as_one(
    package: str, launcher: list[str], script: str, options: list[str], records: int, tmp_path: Path
) -> None:
    """On two processes, of torchrun or of Lightning's own, rank 0's report covers every record of both."""
    pytest.importorskip(package)
    command = [sys.executable, *launcher, str(ROOT / "examples" / script), "--out", str(tmp_path), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob(f"loss_logging/*_{10:09d}.json")
    report = read_report(path)
    assert (report.global_.count, report.warnings) == (records, [])
