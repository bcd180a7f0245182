from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from built_pages import report_of

from loss_logging.pages.answer import answers, bin_of, drags
from loss_logging.pages.content import sections
from loss_logging.pages.item_counts import count_items
from loss_logging.reports.items import read_items
from loss_logging.reports.report import Job, LossReport, Summary, Worst, WorstItem
from loss_logging.support.thumbnails import Thumbnail


def test_verdicts_of_a_report_decide() -> None:
    """Where items have a verdict it is taken; else two standard errors, and four pairs, and never below zero."""

    class Judged(WorstItem, frozen=True):
        verdict: str | None = None

    def item(score: float, count: int, error: float | None, verdict: str | None = None) -> WorstItem:
        return Judged("d", "p", "c", score, count, 1.0, error, verdict=verdict)

    assert (
        bin_of(item(0.5, 10, 0.01, "very likely wrong"))
        == bin_of(item(-0.5, 10, 0.01, "very_likely_wrong"))
        == "likely"
    )
    assert bin_of(item(0.0, 10, 0.5, "look at")) == "look"
    assert bin_of(item(0.9, 10, 0.01, "no sign of it")) == ""
    assert bin_of(item(0.5, 10, 0.2)) == "look"
    assert bin_of(item(0.3, 10, 0.2)) == bin_of(item(0.5, 3, 0.01)) == bin_of(item(-0.5, 10, 0.01)) == ""
    assert bin_of(item(0.5, 10, None)) == ""


@pytest.mark.parametrize("p_wrong", [None, 0.5])
def test_what_pictures_say_is_not_put_down_to_losses(p_wrong: float | None) -> None:
    """The first screen and the gallery claim a higher loss only where losses alone have judged."""
    item = WorstItem("d", "1.png", "a cat", -0.2, 10, 1.0, 0.01, verdict="look at these", p_wrong=p_wrong)
    summary = Summary(10, 1.0, 1.0, 1.0, 1.0, 0.0, 0, {})
    report = LossReport(job=Job("j", 1, ""), global_=summary, worst=Worst([], [item]))
    said = answers(report, None)[0]
    (gallery, _) = sections(report, lambda _: Thumbnail(None, ""), None)["galleries"]
    assert said.title == "at least 1 caption to look at"
    for text in (said.detail, gallery.help):
        assert ("is higher" in text) == (p_wrong is None)
        assert ("picture" in text) == (p_wrong is not None)


def test_drags_are_differences_of_means_over_items(example: Path) -> None:
    """The share and its standard error, computed another way."""
    report = report_of(example, 30)
    path = example / "loss_logging" / "job_000000030.json"
    means = {name: [i.average_loss for i in d.item_stats.values()] for name, d in report.datasets.items()}
    for drag in drags(report, count_items(read_items(path))):
        mine = np.array(means[drag.dataset])
        others = [np.array(values) for name, values in means.items() if name != drag.dataset]
        rest = np.concatenate(others)
        assert drag.share == pytest.approx(mine.mean() / rest.mean() - 1)
        squares = sum(len(values) * values.var(ddof=1) for values in others) / len(rest) ** 2
        assert drag.error == pytest.approx((mine.var(ddof=1) / len(mine) + squares) ** 0.5 / rest.mean())
