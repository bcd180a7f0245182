"""loss_logging.reports.notebook"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from item_reports import save, save_pairs

from loss_logging import LossLogger, read_report
from loss_logging.captions.reason import FlaggedCaption
from loss_logging.errors import LossLoggingError
from loss_logging.reports.artifact import read_without_items
from loss_logging.reports.report import Job, LossReport, Summary, Worst, WorstItem

CATS, DOGS = ("cats", "1.png"), ("dogs", "2.png")
EMPTY = Summary(0, None, None, None, None, None, 0, {})
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> \" ' &"


def item(score: float, error: float | None, path: str) -> WorstItem:
    return WorstItem("cats", path, "a cat", score, 10, 0.5, error)


def test_items_as_frames(tmp_path: Path) -> None:
    """A row for each item with its figures, whether the report holds them or its file does."""
    (path,) = save(tmp_path, [{CATS: [1.0, 3.0], DOGS: [0.5]}])
    for report in (read_report(path), read_without_items(path)):
        frame = report.to_pandas().set_index("path")
        assert frame.loc["1.png", ["dataset", "count", "average_loss"]].tolist() == ["cats", 2, 2.0]
        assert report.to_polars()["average_loss"].to_list() == report.to_pandas()["average_loss"].tolist()


def test_items_that_are_gone_are_said_to_be(tmp_path: Path) -> None:
    """Which file held them."""
    (path,) = save(tmp_path, [{CATS: [1.0]}])
    report = read_without_items(path)
    path.unlink()
    with pytest.raises(LossLoggingError, match=rf"were in {re.escape(str(path))}, which no longer exists"):
        report.to_pandas()
    with pytest.raises(LossLoggingError, match="no figures of items, and no file"):
        LossReport(job=Job("job", 1, ""), global_=EMPTY).to_polars()


def test_a_report_shows_itself() -> None:
    """Losses, items beyond chance and flags; an item that the caption helps, or whose figure may be chance, is none."""
    worst = Worst(
        caption_mismatch=[item(0.4, 0.05, "wrong.png"), item(0.1, 0.2, "chance.png"), item(-0.2, 0.01, "helps.png")]
    )
    flagged = [FlaggedCaption("bad.png", "cats", HOSTILE, 0.5, ["markup"], 1.0, "error")]
    report = LossReport(
        job=Job(HOSTILE, 7, ""),
        global_=EMPTY,
        worst=worst,
        flagged=flagged,
        flagged_summary={"markup": 1},
        warnings=[HOSTILE],
    )
    html = report._repr_html_()
    assert "wrong.png" in html
    assert "0.4 ± 0.05" in html
    assert "chance.png" not in html
    assert "helps.png" not in html
    assert "bad.png" in html
    assert set(re.findall(r"<(\w+)", html)) <= {
        "div",
        "p",
        "b",
        "small",
        "ul",
        "li",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert (
        msgspec.structs.replace(report, worst=Worst(), flagged=[], flagged_summary={})._repr_html_().count("<table>")
        == 0
    )


def test_the_latest_report(tmp_path: Path) -> None:
    """None before the first save step; then the newest, with its items behind it."""
    with LossLogger(job_name="job", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        for step in (1, 2):
            losses.log_batch(step, [0.5, 1.5], paths=["a.png", "b.png"], datasets="cats", captions=["a cat", "a dog"])
            assert (losses.latest() is None) == (step == 1)
            losses.save_step(step).result(60)
        latest = losses.latest()
    assert latest is not None
    assert latest.job.step == 2
    assert sorted(latest.to_pandas()["average_loss"]) == [0.5, 1.5]
    assert "cats" in latest._repr_html_()


def test_captions_are_shown_by_verdict(tmp_path: Path) -> None:
    """Where captions have verdicts, those that are very likely wrong are called so, and no other one."""
    shown = read_report(save_pairs(tmp_path / "bad", wrong=2, items=40))._repr_html_()
    wrong = shown[shown.index("Captions very likely wrong") : shown.index("Images with")]
    assert wrong.count("picture of number") == 2
    clean = read_report(save_pairs(tmp_path / "good", wrong=0, items=40))._repr_html_()
    assert "Captions" not in clean
