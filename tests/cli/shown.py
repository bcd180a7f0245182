from __future__ import annotations

from io import StringIO
from pathlib import Path

import msgspec
from rich.console import Console

from loss_logging.captions.reason import FlaggedCaption
from loss_logging.cli.tables.report import print_report
from loss_logging.reports.report import DatasetReport, Job, LossReport, Summary, Worst, WorstItem


def summary(mean: float | None = 0.25) -> Summary:
    quantiles = dict.fromkeys(("0.05", "0.25", "0.5", "0.75", "0.95", "0.99"), mean)
    return Summary(12, mean, mean, mean, mean, 0.0, 3, quantiles)


def report(caption: str = "a cat", step: int = 250) -> LossReport:
    item = WorstItem("cats", "images/cats/0001.png", caption, 0.75, 4, 0.5, 0.1, 7.5)
    return LossReport(
        job=Job("job", step, "2026-01-01T00:00:00Z"),
        global_=summary(),
        datasets={"cats": DatasetReport(summary()), "dogs": DatasetReport(summary(None))},
        flagged=[FlaggedCaption("images/cats/0002.png", "cats", caption, 0.5, ["empty", "short"], 1.0, "error")],
        flagged_summary={"empty": 1, "short": 1},
        worst=Worst(hard=[item], caption_mismatch=[item]),
        warnings=["3 records were dropped"],
    )


def write(shown: LossReport, folder: Path) -> Path:
    path = folder / f"{shown.job.name}_{shown.job.step:09d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(shown))
    return path


def printed(shown: LossReport, rows: int = 10) -> str:
    text = StringIO()
    print_report(shown, Console(file=text, width=160), rows)
    return text.getvalue()
