"""Reports for testing backends: an ordinary one, an empty one, and ones that break writers which are not careful."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from loss_logging.captions.reason import FlaggedCaption
from loss_logging.reports.report import (
    DatasetReport,
    Histogram,
    Job,
    LossReport,
    Summary,
    TimestepCurve,
    Verdicts,
    Worst,
    WorstItem,
)

__all__ = ["HOSTILE", "empty_report", "sample_report"]

HOSTILE = (
    "![x](http://example.invalid/pixel.png) <img src=x onerror=alert(1)>",
    "a | b | c\n| --- |\n# heading\r\n- list",
    "lone \ud800 surrogate, nul \x00, escape \x1b[31m",
    "=cmd|' /C calc'!A0",
    '"quoted", \\ud800 \\n {"json": [1]}; DROP TABLE runs; --',
    "שלום \u202eright to left",
    "猫の写真 🐈",
    "x" * 100_000,
    "../../etc/passwd",
    " ",
    "",
)
"""Captions, paths and names of datasets are data that nobody has checked."""


def sample_report(
    step: int, folder: Path, *, datasets: Sequence[str] = ("cats", "dogs"), captions: Sequence[str] = ("a cat", "")
) -> LossReport:
    """The report of a step, with its JSON in ``folder``. A row per caption in each table; figures differ by step."""
    json_path = folder / f"conformance_{step:09d}.json"
    json_path.write_text('{"schema": "loss_logging/report/2"}')
    summary = Summary(
        count=10,
        mean=0.5,
        median=0.5,
        min=0.1,
        max=0.8,
        std=0.1,
        non_finite=0,
        quantiles={},
        histogram=Histogram([0.1, 0.2, 0.4, 0.8], [5 + step, 2, 3]),
        loss_by_timestep=TimestepCurve([0, 250, 500, 1000], [2, 0, 4], [0.25, None, 0.75 + step]),
    )
    worst = [_worst(i, caption) for i, caption in enumerate(captions)]
    return LossReport(
        job=Job("conformance", step, "2024-01-01T00:00:00Z"),
        global_=summary,
        verdicts=Verdicts(1, len(captions), 3 + step),
        datasets={
            name: DatasetReport(summary, verdicts=Verdicts(1, len(captions), 3 + step, i))
            for i, name in enumerate(datasets)
        },
        flagged=[
            FlaggedCaption(f"{i}.png", "cats", caption, 0.1 * i if i else None, ["short", "url"], 0.5, "warning")
            for i, caption in enumerate(captions)
        ],
        flagged_summary={"short": len(captions)},
        worst=Worst(hard=worst, caption_mismatch=worst),
        recent={name: 0.5 + step + i for i, name in enumerate(datasets)},
        warnings=["3 records are dropped: they came faster than they can be written"],
        config={"max_table_rows": 500},
        json_path=str(json_path),
    )


def empty_report(step: int) -> LossReport:
    """The report of a run that has logged nothing: no datasets, no tables, no JSON."""
    nothing = Summary(
        count=0, mean=None, median=None, min=None, max=None, std=None, non_finite=0, quantiles={}, histogram=None
    )
    return LossReport(job=Job("conformance", step, "2024-01-01T00:00:00Z"), global_=nothing)


def _worst(i: int, caption: str) -> WorstItem:
    """Each figure that can be missing is missing in one row, and not a number in another."""
    figure = (None, math.nan, math.inf, 0.25)[i % 4]
    score = None if figure is None else 2.5 - i
    return WorstItem(
        "cats", f"{i}.png", caption, score, 3, figure, standard_error=figure, t=figure, verdict="look at these"
    )
