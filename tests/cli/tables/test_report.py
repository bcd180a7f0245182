from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shown import printed, report, summary

from loss_logging.cli.tables.report import cell, path_cell
from loss_logging.reports.report import DatasetReport, Job, Worst, WorstItem

HOSTILE = "[bold red]a[/] \x1b]0;title\x07 \x1b[2J \u202e line\nbreak"


def test_tables() -> None:
    """Every dataset, both rankings and the flagged captions are shown with their figures; None stays empty."""
    text = printed(report())
    for expected in (
        "job, step 250",
        "3 records were dropped",
        "cats",
        "dogs",
        "0.25",
        "0.75",
        "empty, short",
        "a cat",
    ):
        assert expected in text
    assert "caption_mismatch" in text
    assert "hard" in text
    assert "1 empty, 1 short" in text
    (dogs,) = (line for line in text.splitlines() if "dogs" in line)
    assert dogs.count(" - ") == 4


def test_empty_tables_are_left_out() -> None:
    """A run without paired records or flags shows no empty table."""
    text = printed(msgspec.structs.replace(report(), worst=Worst(), flagged=[], flagged_summary={}))
    assert "Worst" not in text
    assert "Flagged" not in text


def test_rows() -> None:
    """At most so many lines per table."""
    many = [WorstItem("cats", f"{i}.png", f"caption {i}", 1.0 - i / 100, 4, 0.5) for i in range(30)]
    text = printed(msgspec.structs.replace(report(), worst=Worst(hard=many)), rows=5)
    assert "caption 4" in text
    assert "caption 5" not in text


@pytest.mark.parametrize("field", ["caption", "path", "dataset", "reason", "job", "warning"])
def test_hostile_text_is_inert(field: str) -> None:
    """Markup and control characters in any text from the data are shown as text and steer nothing."""
    base = report()
    changes = {
        "caption": lambda: report(HOSTILE),
        "path": lambda: msgspec.structs.replace(
            base, worst=Worst(hard=[WorstItem("cats", HOSTILE, "a cat", 0.75, 4, 0.5)])
        ),
        "dataset": lambda: msgspec.structs.replace(base, datasets={HOSTILE: DatasetReport(summary())}),
        "reason": lambda: msgspec.structs.replace(base, flagged_summary={HOSTILE: 1}),
        "job": lambda: msgspec.structs.replace(base, job=Job(HOSTILE, 1, "2026-01-01T00:00:00Z")),
        "warning": lambda: msgspec.structs.replace(base, warnings=[HOSTILE]),
    }
    text = printed(changes[field]())
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    if field in ("caption", "reason", "job", "warning"):  # names are cut
        assert "[bold red]a[/] \\x1b]0;title\\x07 \\x1b[2J \\u202e line\\nbreak" in " ".join(text.split())


@given(st.text(), st.integers(2, 80))
def test_cell_fits_and_is_printable(text: str, width: int) -> None:
    """Whatever the text, a cell is one printable line of at most ``width`` characters, encodable as UTF-8."""
    for shown in (cell(text, width), path_cell(text, width)):
        assert len(shown) <= width
        assert shown.isprintable()
        shown.encode()


def test_long_captions_are_cut() -> None:
    """A caption of a megabyte takes one cell."""
    text = printed(report("word " * 200_000))
    assert len(text) < 10_000
    assert "…" in text
