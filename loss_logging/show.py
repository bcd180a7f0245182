"""A LossReport as terminal tables."""

from __future__ import annotations

import math
from collections import Counter
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loss_logging.report import FlaggedCaption, LossReport, Summary, WorstItem

__all__ = ["cell", "new_table", "path_cell", "print_report", "report_tables"]

CAPTION_WIDTH, PATH_WIDTH, WARNING_WIDTH = 60, 24, 1000
SEVERITY_STYLES = {"info": "", "warning": "yellow", "error": "red"}


def print_report(report: LossReport, console: Console, rows: int = 10) -> None:
    """Print the losses of each dataset, the worst items and the flagged captions, at most ``rows`` lines of each."""
    console.print(Text(f"{cell(report.job.name)}, step {report.job.step}", style="bold"))
    for warning in report.warnings:
        console.print(Text(f"warning: {cell(warning, WARNING_WIDTH)}", style="yellow"))
    for table in report_tables(report, rows):
        console.print(table)


def report_tables(report: LossReport, rows: int = 10) -> list[Table]:
    """The tables of :func:`print_report`, without those that would be empty."""
    tables = [
        _dataset_table(report),
        _worst_table(
            f"Worst by caption_mismatch: the caption hurts{_undecided(report)}", report.worst.caption_mismatch[:rows]
        ),
        _worst_table("Worst by hard: the image is odd", report.worst.hard[:rows]),
        _flagged_table(report.flagged[:rows], report.flagged_summary),
    ]
    return [table for table in tables if table.row_count]


def cell(text: str, width: int = CAPTION_WIDTH) -> str:
    """``text`` on one line, cut to ``width``, with what could steer the terminal written out.

    >>> print(cell("red\\x1b[31m\\ncat"))
    red\\x1b[31m\\ncat
    """
    visible = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:width])
    return visible if len(visible) <= width and len(text) <= width else f"{visible[: width - 1]}…"


def path_cell(path: str, width: int = PATH_WIDTH) -> str:
    """The end of ``path``, which is what tells paths apart.

    >>> path_cell("a/very/long/path/of/img.png", width=12)
    '…/of/img.png'
    """
    return cell(path, width) if len(path) <= width else f"…{cell(path[1 - width :], width - 1)}"


def new_table(title: str, **columns: str) -> Table:
    """A table of the named columns; each is a ``"number"``, a ``"name"``, or ``"text"``, which gives way first."""
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name, kind in columns.items():
        justify: Literal["left", "right"] = "right" if kind == "number" else "left"
        table.add_column(name.replace("_", " "), justify=justify, no_wrap=kind != "text", overflow="ellipsis")
    return table


def _dataset_table(report: LossReport) -> Table:
    figures = ("count", "mean", "median", "p95", "max", "non_finite", "flagged")
    table = new_table("Loss per dataset", dataset="name", **dict.fromkeys(figures, "number"))
    flagged = Counter(caption.dataset for caption in report.flagged)
    # The report lists at most so many flagged captions.
    more = "+" if len(report.flagged) >= report.config.get("max_table_rows", math.inf) else ""
    for name, dataset in report.datasets.items():
        table.add_row(Text(cell(name, PATH_WIDTH)), *_figures(dataset.summary), f"{flagged[name]}{more}")
    if len(report.datasets) > 1:
        table.add_section()
        table.add_row(Text("all"), *_figures(report.global_), f"{len(report.flagged)}{more}")
    return table


def _figures(summary: Summary) -> list[str]:
    losses = (summary.mean, summary.median, summary.quantiles.get("0.95"), summary.max)
    return [str(summary.count), *map(_number, losses), str(summary.non_finite)]


def _worst_table(title: str, items: list[WorstItem]) -> Table:
    table = new_table(
        title, score="number", n="number", mean_loss="number", dataset="name", path="name", caption="text"
    )
    for item in items:
        table.add_row(
            _number(item.score),
            str(item.count),
            _number(item.average_loss),
            Text(cell(item.dataset, PATH_WIDTH)),
            Text(path_cell(item.path)),
            _line(cell(item.caption)),
        )
    return table


def _undecided(report: LossReport) -> str:
    """How many items the ranking by caption_mismatch leaves out for want of paired records."""
    paired = [dataset.paired_items for dataset in report.datasets.values() if dataset.paired_items is not None]
    undecided, unpaired = sum(p.undecided for p in paired), sum(p.unpaired for p in paired)
    parts = [f"{n} {what}" for n, what in ((undecided, "undecided"), (unpaired, "unpaired")) if n]
    return f" ({', '.join(parts)})" if parts else ""


def _flagged_table(flagged: list[FlaggedCaption], counts: dict[str, int]) -> Table:
    found = ", ".join(f"{n} {cell(reason)}" for reason, n in counts.items())
    table = new_table(
        f"Flagged captions: {found}", severity="name", reasons="text", dataset="name", path="name", caption="text"
    )
    for item in flagged:
        table.add_row(
            Text(item.severity, style=SEVERITY_STYLES[item.severity]),
            _line(cell(", ".join(item.reasons))),
            Text(cell(item.dataset, PATH_WIDTH)),
            Text(path_cell(item.path)),
            _line(cell(item.caption if item.caption.strip() else repr(item.caption))),
        )
    return table


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
