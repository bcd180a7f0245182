"""The examples that need a trainer's package."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_examples import run


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
