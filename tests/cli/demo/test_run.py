"""loss_logging.cli.demo, run as a user runs it"""

from __future__ import annotations

from pathlib import Path

import pytest
from demo_run import STEPS
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from loss_logging import LossReport, flag_bad_captions, read_report
from loss_logging.cli.demo.data import Sample

pytestmark = pytest.mark.xdist_group("demo")  # which is made once


@pytest.fixture(scope="module")
def report(demo: tuple[Path, str]) -> LossReport:
    return read_report(demo[0] / "loss_logging" / f"digits_{STEPS:09d}.json")


def planted(samples: list[Sample], fault: str, out: Path) -> set[str]:
    return {str(out / sample.path) for sample in samples if sample.fault == fault}


def test_exactly_the_damaged_captions_are_flagged(samples: list[Sample]) -> None:
    """The caption rules object to every damaged caption of the demo and to no other one."""
    records = [{"path": s.path, "dataset": s.dataset, "caption": s.caption, "loss": 0.5} for s in samples]
    config = {"rules": {"disabled": ["duplicate"]}}  # they are made from six templates
    flagged = flag_bad_captions(records, config, top_n=len(samples)).flagged
    assert {caption.path for caption in flagged} == {s.path for s in samples if s.fault == "damaged caption"}


def test_report(report: LossReport) -> None:
    """The report counts each record once, over all three datasets."""
    assert report.global_.count == STEPS * 128
    assert set(report.datasets) == {"clean", "messy", "tiny"}
    assert report.global_.non_finite == 0
    assert not report.warnings


def test_planted_faults_are_found(report: LossReport, samples: list[Sample], demo: tuple[Path, str]) -> None:
    """Wrong captions lead caption_mismatch and noise images lead hard, far above chance (0.4 and 0.2 of 20)."""
    mismatch = {item.path for item in report.worst.caption_mismatch[:20]}
    hard = {item.path for item in report.worst.hard[:20]}
    assert len(mismatch & planted(samples, "wrong caption", demo[0])) >= 10
    assert len(hard & planted(samples, "noise image", demo[0])) >= 15


def test_images_are_on_disk(report: LossReport) -> None:
    """The path of an item is an image."""
    for item in report.worst.hard:
        with Image.open(item.path) as image:
            assert image.size == (64, 64)


def test_tensorboard_files(demo: tuple[Path, str], report: LossReport) -> None:
    """TensorBoard has the mean loss of each dataset."""
    events = EventAccumulator(str(demo[0] / "loss_logging" / "tensorboard" / "digits")).Reload()
    assert {f"loss_logging/loss/{name}" for name in report.datasets} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("loss_logging/loss/clean")) >= STEPS // 20 - 1


def test_summary(demo: tuple[Path, str]) -> None:
    """The output ends with what was planted and found, and with commands whose paths exist."""
    out, text = demo
    for expected in ("Loss per dataset", "40 x wrong caption", "20 x noise image", "24 x damaged caption"):
        assert expected in text
    assert f"tensorboard --logdir '{out}/loss_logging/tensorboard'" in text
    assert f"loss-logging show '{out}/loss_logging/digits_{STEPS:09d}.json'" in text
    assert f"wandb sync '{out}/loss_logging/wandb'/offline-run-*" in text
    assert list(out.glob("loss_logging/wandb/offline-run-*"))


def test_page(demo: tuple[Path, str]) -> None:
    """The demo leaves a report page with pictures, and says where it is."""
    out, stdout = demo
    page = out / "loss_logging" / "digits.html"
    assert str(page) in stdout.replace("'", "")
    assert "data:image/" in page.read_text("utf-8")
