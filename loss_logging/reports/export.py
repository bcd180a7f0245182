"""The items of a report as a file for other programs: CSV, Parquet, JSON lines, or a list of paths to exclude."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from loss_logging.captions.decisions import SETTLED, Decisions
from loss_logging.captions.reason import FlaggedCaption
from loss_logging.errors import LossLoggingError
from loss_logging.evidence.verdict import Verdict
from loss_logging.reports.artifact import opened_report, spreadsheet_cell
from loss_logging.reports.decided import DecidedItems
from loss_logging.reports.items import DECIDED, load_items
from loss_logging.reports.report import SCHEMA_NAME, LossReport
from loss_logging.support.database import connect
from loss_logging.support.files import whole_file
from loss_logging.support.progress_bar import counted

__all__ = ["Format", "ItemFilter", "exclude_lines", "export_items"]

Format = Literal["csv", "parquet", "jsonl", "exclude-list"]
_ROWS = 8_192
_SEVERITIES = ("info", "warning", "error")
_OF_CAPTIONS = ("caption_mismatch", "word_score")
"""Figures that are of the caption, not of the picture."""


class ItemFilter(msgspec.Struct, frozen=True):
    """A selection of items. All conditions apply together; ``worst`` comes last and orders the rest.

    Args:
        datasets: only items of these datasets; all when empty.
        flagged: only items with a flagged caption: by any rule (``"any"``), with at least a severity (``"info"``,
            ``"warning"``, ``"error"``), or by one rule (``"empty"``).
        min_caption_mismatch: only items with at least this value, and with 4 pairs or more.
        verdicts: only items whose caption has one of these verdicts, without captions that a person found fine
            and excluded images; all when empty.
        worst: a figure and the number of items with its highest values, as ``("hard", 100)``. Items without that figure
            are left out; for ``caption_mismatch``, also items with fewer than 4 pairs.
    """

    datasets: tuple[str, ...] = ()
    flagged: str | None = None
    min_caption_mismatch: float | None = None
    worst: tuple[str, int] | None = None
    verdicts: tuple[Verdict, ...] = ()


class Exported(msgspec.Struct, frozen=True):
    """The number of written items, the number of all items, and sentences for the reader of the file."""

    items: int
    of: int
    warnings: list[str]


def export_items(
    report: Path,
    out: Path | IO[bytes],
    to: Format,
    selection: ItemFilter | None = None,
    *,
    decisions: Decisions | None = None,
    formulas: bool = False,
    progress: bool = False,
) -> Exported:
    """Write the items of a report: dataset, path, the fields of `ItemStats`, and the rules that flag the caption.

    Args:
        report: a JSON report; the figures may be in the Parquet file beside it.
        out: a file, which is written completely or not at all, or a stream.
        to: ``"csv"``, ``"parquet"``, ``"jsonl"``, or ``"exclude-list"``: the recorded paths in UTF-8, one per line,
            each once; paths with line breaks are left out. Where captions are the condition, those that a person found
            fine, or has corrected since, are not in the list.
        selection: the items and their order; when None, all items by dataset and path.
        decisions: the decisions since the report was written.
        formulas: whether texts in CSV stay unchanged. Otherwise a text that a spreadsheet would run as a formula gets
            an apostrophe in front.
        progress: show a progress bar for what takes more than a second.

    Raises:
        LossLoggingError: the report lacks the dataset, the flag, verdicts or figures per item; or an exclude-list
            without any condition was asked for.
        ReportError: the file is no loss report.
        OSError: a file cannot be read or written.
    """
    selection = selection or ItemFilter()
    if to == "exclude-list" and selection == ItemFilter():
        raise LossLoggingError("an exclude-list without a condition would hold every item; add a condition")
    with closing(connect()) as connection:
        with opened_report(report, progress=progress) as (found, texts):
            warnings = _check(found, selection)
            load_items(connection, "items", "*", report, texts=texts, progress=progress)
        flagged = found.flagged
        if decisions is not None:
            decided = DecidedItems(decisions)
            decided.mark(connection, "items")
            connection.register("corrected", decided.corrected_since(connection, "items"))
            flagged = decided.report(found).flagged
        (of,) = connection.execute("SELECT count(*) FROM items").fetchall()[0]
        if not of:
            raise LossLoggingError(f"{report} has no figures per item (log_per_example was off)")
        if selection.verdicts and not connection.execute("FROM items WHERE verdict IS NOT NULL LIMIT 1").fetchall():
            raise LossLoggingError(f"no caption in {report} has a verdict; {_no_verdict(found)}")
        _load_flagged(connection, flagged)
        only_paths = to == "exclude-list"
        query, parameters = _query(selection, only_paths=only_paths, with_decisions=decisions is not None)
        if only_paths:
            warnings += _others_of(connection, query, parameters)
            if _is_about_captions(selection):
                warnings += _corrected_of(connection, query, parameters)
        reader = connection.sql(query, params=parameters or None).to_arrow_reader(_ROWS)
        writers: dict[Format, _Writer] = {
            "csv": _csv_writer(formulas),
            "parquet": _write_parquet,
            "jsonl": _write_lines,
            "exclude-list": _write_paths,
        }
        with whole_file(out) if isinstance(out, Path) else nullcontext(out) as file:
            written, left_out = writers[to](reader.schema, counted(reader, "writing", shown=progress), file)
    return Exported(written, of, [*warnings, *left_out])


def _check(report: LossReport, selection: ItemFilter) -> list[str]:
    """Raise if the report lacks the data of the selection; returns sentences on incomplete data."""
    for name in selection.datasets:
        if name not in report.datasets:
            raise LossLoggingError(f"there is no dataset {name!r}; there are: {', '.join(report.datasets)}")
    known = ["any", *_SEVERITIES, *report.flagged_summary]
    if selection.flagged is not None and selection.flagged not in known:
        raise LossLoggingError(f"no caption is flagged {selection.flagged!r}; allowed: {', '.join(known)}")
    most = report.config.get("max_table_rows")
    if selection.flagged is not None and most is not None and len(report.flagged) >= most:
        return [f"the report lists the {most} worst flagged captions only (max_table_rows); others are not exported"]
    return []


def _no_verdict(report: LossReport) -> str:
    """The reason why no caption has a verdict, and the advice."""
    if report.schema_ != SCHEMA_NAME:
        return "an older version wrote it: make it again with loss-logging report"
    if report.verdicts is None:
        return "verdicts need the loss with the empty caption (losses_empty) on some of the steps"
    return "no item has 4 pairs so far, or the warnings of loss-logging show give the reason"


def _load_flagged(connection: duckdb.DuckDBPyConnection, flagged: list[FlaggedCaption]) -> None:
    columns: dict[str, pa.Array] = {
        "dataset": pa.array([caption.dataset for caption in flagged], pa.string()),
        "path": pa.array([caption.path for caption in flagged], pa.string()),
        "reasons": pa.array([caption.reasons for caption in flagged], pa.list_(pa.string())),
        "severity": pa.array([caption.severity for caption in flagged], pa.string()),
    }
    connection.register("flagged", pa.table(columns))


def _query(selection: ItemFilter, *, only_paths: bool, with_decisions: bool) -> tuple[str, dict[str, Any]]:
    conditions, order, parameters = ["true"], "dataset, path", dict[str, Any]()
    if selection.datasets:
        conditions.append("list_contains($datasets, dataset)")
        parameters["datasets"] = list(selection.datasets)
    if selection.flagged in ("any", *_SEVERITIES):
        severe = _SEVERITIES[0 if selection.flagged == "any" else _SEVERITIES.index(selection.flagged) :]
        conditions.append("list_contains($severe, severity)")
        parameters["severe"] = list(severe)
    elif selection.flagged is not None:
        conditions.append("list_contains(reasons, $reason)")
        parameters["reason"] = selection.flagged
    if selection.min_caption_mismatch is not None:
        conditions += ["caption_mismatch >= $least", DECIDED]
        parameters["least"] = selection.min_caption_mismatch
    if selection.verdicts:
        conditions.append("list_contains($verdicts, verdict) AND NOT list_contains($settled, coalesce(decision, ''))")
        parameters |= {"verdicts": list(selection.verdicts), "settled": list(SETTLED)}
    if only_paths and _is_about_captions(selection):
        conditions.append("coalesce(decision, '') <> 'fine'")
        if with_decisions:
            conditions.append("(path, caption) NOT IN (SELECT (path, caption) FROM corrected)")
    limit = ""
    if selection.worst is not None:
        figure, most = selection.worst
        conditions.append(f"isfinite({figure})")
        if figure == "caption_mismatch":
            conditions.append(DECIDED)
        order, limit = f"{figure} DESC, dataset, path", f"LIMIT {most:d}"
    columns = "dataset, path" if only_paths else "items.*, reasons, severity"
    return (
        f"SELECT {columns} FROM items LEFT JOIN flagged USING (dataset, path) "
        f"WHERE {' AND '.join(conditions)} ORDER BY {order} {limit}"
    ), parameters


def _is_about_captions(selection: ItemFilter) -> bool:
    ranked = None if selection.worst is None else selection.worst[0]
    by_figure = selection.min_caption_mismatch is not None or ranked in _OF_CAPTIONS
    return bool(selection.flagged or selection.verdicts) or by_figure


def _corrected_of(connection: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, Any]) -> list[str]:
    """A warning of selected items that were trained with a corrected caption, and maybe with the one before."""
    corrected = (
        f"WITH chosen AS ({query}) SELECT count(DISTINCT path), min(path) FROM items "
        "WHERE (dataset, path) IN (SELECT (dataset, path) FROM chosen) AND decision = 'caption'"
    )
    n, path = connection.execute(corrected, parameters or None).fetchall()[0]
    if not n:
        return []
    return [
        f"{n:,} of these have a corrected caption: {path}, say. Records of before, where the run has "
        "any, still count, so that the figures are not of this caption alone: look before you exclude them"
    ]


def _others_of(connection: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, Any]) -> list[str]:
    """A warning of items that are not selected, and have the path of one that is in another dataset."""
    others = (
        f"WITH chosen AS ({query}) SELECT count(DISTINCT path), min(path), min_by(dataset, path) FROM items "
        "WHERE path IN (SELECT path FROM chosen) AND (dataset, path) NOT IN (SELECT (dataset, path) FROM chosen)"
    )
    n, path, dataset = connection.execute(others, parameters or None).fetchall()[0]
    if not n:
        return []
    return [
        f"a list names paths alone, and {n:,} of these are those of items of other datasets, too, which the conditions "
        f"do not select: {path} in {dataset}, say. They are left out there as well"
    ]


_Batches: TypeAlias = Iterable[pa.RecordBatch]
_Writer: TypeAlias = Callable[[pa.Schema, _Batches, IO[bytes]], tuple[int, list[str]]]


def _csv_writer(formulas: bool) -> _Writer:
    def cell(value: Any) -> Any:
        text = ", ".join(value) if isinstance(value, list) else value
        return text if formulas else spreadsheet_cell(text)

    def write(schema: pa.Schema, batches: _Batches, file: IO[bytes]) -> tuple[int, list[str]]:
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(schema.names)
        n = 0
        for row in _rows(batches):
            writer.writerow(map(cell, row.values()))
            n += 1
        text.detach()
        return n, []

    return write


def _write_lines(_: pa.Schema, batches: _Batches, file: IO[bytes]) -> tuple[int, list[str]]:
    n = 0
    for row in _rows(batches):
        file.write(msgspec.json.encode(row) + b"\n")
        n += 1
    return n, []


def _write_parquet(schema: pa.Schema, batches: _Batches, file: IO[bytes]) -> tuple[int, list[str]]:
    n = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            n += batch.num_rows
    return n, []


def _write_paths(_: pa.Schema, batches: _Batches, file: IO[bytes]) -> tuple[int, list[str]]:
    paths = dict.fromkeys(row["path"] for row in _rows(batches))
    lines = [line.encode() for line in exclude_lines(paths)]
    file.writelines(lines)
    left_out = len(paths) - len(lines)
    return len(lines), [f"{left_out} paths with line breaks in them are left out"] if left_out else []


def exclude_lines(paths: Iterable[str]) -> Iterator[str]:
    """The lines of a list of paths, each once; a path with a line break in it has none, as it would be read as two.

    A line that begins with "#" is a remark, a byte order mark at the beginning is none of a path, and a blank line is
    none: such a path gets its folder in front.

    >>> list(exclude_lines(["1.png", "#2.png", "3\\n.png", "1.png"]))
    ['1.png\\n', './#2.png\\n']
    """
    for path in dict.fromkeys(paths):
        if len(path.splitlines()) == 1:
            is_unread = path.startswith(("#", "\ufeff")) or not path.strip()
            yield f"{'./' if is_unread else ''}{path}\n"


def _rows(batches: _Batches) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()
