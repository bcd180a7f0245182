from __future__ import annotations

from pathlib import Path

import msgspec

from loss_logging.reports.report import LossReport
from loss_logging.testing.reports import HOSTILE, empty_report, sample_report


def test_two_steps_differ_in_every_figure_that_is_read_back(tmp_path: Path) -> None:
    """Otherwise a backend that writes the first report twice would pass."""
    one, other = (sample_report(step, tmp_path, captions=HOSTILE) for step in (1, 2))
    assert one.recent != other.recent
    assert one.histograms != other.histograms
    assert Path(one.json_path or "") != Path(other.json_path or "")
    assert all(Path(report.json_path or "").is_file() for report in (one, other))


def test_a_row_for_each_caption_and_none_for_an_empty_run(tmp_path: Path) -> None:
    """Tables have as many rows as there are captions, so that a backend that cuts is found."""
    report = sample_report(1, tmp_path, captions=HOSTILE)
    assert len(report.flagged) == len(report.worst.hard) == len(HOSTILE)
    nothing = empty_report(1)
    assert (nothing.datasets, nothing.flagged, nothing.json_path) == ({}, [], None)
    assert msgspec.json.decode(msgspec.json.encode(nothing), type=LossReport).global_ == nothing.global_
