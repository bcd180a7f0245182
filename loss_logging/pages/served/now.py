"""A report with present figures: rankings and sums from the server's table of items."""

from __future__ import annotations

from typing import Any

import duckdb
import msgspec

from loss_logging.evidence.verdict import VERDICTS
from loss_logging.pages.item_counts import ItemCounts, count_items, counted_columns
from loss_logging.pages.served.item_query import columns_in
from loss_logging.reports.decided import DecidedItems
from loss_logging.reports.report import DECISIVE_PAIRS, LossReport, Worst, WorstItem

__all__ = ["brought_up_to_date", "counts_of"]

_ROWS = 100_000
_ALSO = ("verdict", "p_wrong", "p_odd", "word", "better_word")
"""Columns, and fields of lists, that only a report of a later version has."""


def counts_of(connection: duckdb.DuckDBPyConnection, table: str, decided: DecidedItems | None = None) -> ItemCounts:
    """The counts over the items of a table, and the decisions about some of them."""
    names = [*counted_columns(columns_in(connection, table)), *(() if decided is None else ("path", "caption"))]
    columns = ", ".join(f'"{name}"' for name in names)
    batches = connection.sql(f"SELECT {columns} FROM {table}").to_arrow_reader(_ROWS)
    return count_items(batches if decided is None else decided.marked(batches))


def brought_up_to_date(
    report: LossReport, connection: duckdb.DuckDBPyConnection, table: str, counts: ItemCounts, k: int
) -> LossReport:
    """The report with the ``k`` worst items, whatever was decided about them, and the sums of a newer table. Median and
    quantiles of all losses are unknown between save steps, and None."""
    columns = columns_in(connection, table)
    summary = msgspec.structs.replace(
        report.global_,
        count=counts.records,
        mean=counts.mean,
        median=None,
        non_finite=counts.non_finite,
    )
    worst = Worst(_hard(connection, table, columns, k), _caption_mismatch(connection, table, columns, k))
    names = [flag.dataset for flag in report.flagged], [flag.path for flag in report.flagged]
    query = f"SELECT dataset, path, average_loss FROM {table} WHERE path IN (SELECT unnest(?::VARCHAR[]))"
    losses = {(dataset, path): loss for dataset, path, loss in connection.execute(query, [names[1]]).fetchall()}
    flagged = [msgspec.structs.replace(f, loss=losses.get((f.dataset, f.path), f.loss)) for f in report.flagged]
    return msgspec.structs.replace(report, global_=summary, worst=worst, flagged=flagged)


def _hard(connection: duckdb.DuckDBPyConnection, table: str, columns: list[str], k: int) -> list[WorstItem]:
    if "hard" not in columns:
        return []
    order = "hard DESC, dataset, path"
    where = "isfinite(hard)"
    figures = {"score": "hard", "count": "count - non_finite", "std_z": "std_z"}
    return _items(connection, table, columns, figures, where, order, k)


def _caption_mismatch(connection: duckdb.DuckDBPyConnection, table: str, columns: list[str], k: int) -> list[WorstItem]:
    if "caption_mismatch" not in columns:
        return []
    order = "caption_mismatch DESC NULLS LAST, dataset, path"
    where = f"n_paired >= {DECISIVE_PAIRS} AND caption_mismatch IS NOT NULL"
    if {"verdict", "p_wrong", "rival_mismatch"} <= {*columns}:  # as in worst_caption_mismatch.sql
        likely, look, _ = VERDICTS
        mean = "caption_mismatch + coalesce(rival_mismatch, caption_mismatch)"
        groups = f"CASE verdict WHEN '{likely}' THEN 0 WHEN '{look}' THEN 1 ELSE 2 END"
        order = f"{groups}, p_wrong DESC NULLS LAST, {mean} DESC NULLS LAST, dataset, path"
        where = f"({where}) OR verdict IN ('{likely}', '{look}')"
    figures = {
        "score": "caption_mismatch",
        "count": "n_paired",
        "standard_error": "standard_error",
        "t": "caption_mismatch / nullif(standard_error, 0)",
        "robust_z": "robust_z",
    }
    return _items(connection, table, columns, figures, where, order, k)


def _items(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: list[str],
    figures: dict[str, str],
    where: str,
    order: str,
    k: int,
) -> list[WorstItem]:
    given = {name: name for name in _ALSO if name in columns and name in WorstItem.__struct_fields__}
    selected = {"dataset": "dataset", "path": "path", "caption": "caption", "average_loss": "average_loss"}
    selected |= figures | given
    listed = ", ".join(f"{expression} AS {name}" for name, expression in selected.items())
    rows: list[tuple[Any, ...]] = connection.execute(
        f"SELECT {listed} FROM {table} WHERE {where} ORDER BY {order} LIMIT ?", [k]
    ).fetchall()
    return [WorstItem(**dict(zip(selected, row, strict=True))) for row in rows]
