"""A report in a notebook: its HTML, and its items as a table."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa

from loss_logging.errors import LossLoggingError
from loss_logging.evidence.verdict import VERDICTS
from loss_logging.reports.items import ITEM_SCHEMA, read_items
from loss_logging.reports.report import DECISIVE_PAIRS, ItemStats, LossReport, Table, WorstItem

__all__ = ["item_table", "report_html"]

_ROWS, _WIDTH = 8, 100


def item_table(report: LossReport) -> pa.Table:
    """One row per item: dataset, path and the figures of `ItemStats`, from the report or its file.

    Raises:
        LossLoggingError: neither has the items; the message gives the reason.
    """
    rows = [
        (name, path, *(getattr(item, field) for field in ItemStats.__struct_fields__))
        for name, dataset in report.datasets.items()
        for path, item in dataset.item_stats.items()
    ]
    if rows:
        columns = zip(*rows, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, ITEM_SCHEMA, strict=True)]
        return pa.Table.from_arrays(arrays, schema=ITEM_SCHEMA)
    if report.json_path is None:
        raise LossLoggingError("this report has no figures of items, and no file (json_path) that could hold them")
    try:
        return pa.Table.from_batches(list(read_items(Path(report.json_path))), schema=ITEM_SCHEMA)
    except FileNotFoundError as error:
        raise LossLoggingError(
            f"the items of this report were in {report.json_path}, which no longer exists"
        ) from error


def report_html(report: LossReport) -> str:
    """The report as a few small HTML tables; all texts are escaped."""
    job = report.job
    parts = [f"<p><b>{_text(job.name)}</b>, step {job.step:,} <small>{_text(job.created)}</small></p>"]
    if report.warnings:
        parts.append(f"<ul>{''.join(f'<li>{_text(sentence, 500)}</li>' for sentence in report.warnings)}</ul>")
    found = report.flagged_summary.items()
    for title, table in (
        ("Loss per dataset", _datasets(report)),
        *_captions(report),
        ("Images with the highest loss for their timestep", _items(report.worst.hard, "hard")),
        (f"Flagged captions: {', '.join(f'{n:,} {rule}' for rule, n in found)}", _flagged(report)),
    ):
        if table.rows:
            parts.append(_html(title, table))
    return f"<div>{''.join(parts)}</div>"


def _datasets(report: LossReport) -> Table:
    rows = [(name, dataset.summary) for name, dataset in report.datasets.items()]
    rows.sort(key=lambda row: -(row[1].mean if row[1].mean is not None else float("-inf")))
    listed = [*rows[:_ROWS], *([("all", report.global_)] if len(rows) > 1 else [])]
    columns = ["dataset", "records", "mean", "median", "95%", "highest"]
    return Table(columns, [[n, s.count, s.mean, s.median, s.quantiles.get("0.95"), s.max] for n, s in listed])


def _captions(report: LossReport) -> list[tuple[str, Table]]:
    """The captions of the first two verdicts; without any verdict, the captions that hurt by two standard errors."""
    if report.verdicts is not None and report.verdicts.judged:
        titles = ("Captions very likely wrong", "Captions to look at")
        return [
            (title, _wrong(report.worst.having(verdict))) for title, verdict in zip(titles, VERDICTS[:2], strict=True)
        ]
    hurting = [
        item
        for item in report.worst.caption_mismatch
        if item.count >= DECISIVE_PAIRS and (item.score or 0.0) > max(0.0, 2 * (item.standard_error or 0.0))
    ]
    return [("Captions that may be wrong: the loss is higher with them, by more than chance", _wrong(hurting))]


def _wrong(items: list[WorstItem]) -> Table:
    table = _items(items, "caption mismatch")
    errors = [item.standard_error for item in items[:_ROWS]]
    scores = [
        None if row[2] is None else f"{row[2]:.3g} ± {error or 0:.2g}"
        for row, error in zip(table.rows, errors, strict=True)
    ]
    rows = [[*row[:2], score, *row[3:]] for row, score in zip(table.rows, scores, strict=True)]
    return Table(table.columns, rows)


def _items(items: list[WorstItem], score: str) -> Table:
    rows = [[i.dataset, i.path, i.score, i.average_loss, i.caption] for i in items[:_ROWS]]
    return Table(["dataset", "path", score, "mean loss", "caption"], rows)


def _flagged(report: LossReport) -> Table:
    rows = [[f.dataset, f.path, ", ".join(f.reasons), f.severity, f.caption] for f in report.flagged[:_ROWS]]
    return Table(["dataset", "path", "rules", "severity", "caption"], rows)


def _html(title: str, table: Table) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in table.columns)
    body = "".join(f"<tr>{''.join(f'<td>{_text(value)}</td>' for value in row)}</tr>" for row in table.rows)
    return f"<p><b>{_text(title, 500)}</b></p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: Any, most: int = _WIDTH) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = f"{value:,}" if isinstance(value, int) else " ".join(str(value).split())
    return escape(text if len(text) <= most else f"{text[: most - 1]}…")
