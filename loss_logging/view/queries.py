"""What the page asks about items, as SQL over the table of their figures."""

from __future__ import annotations

from typing import Annotated, Any

import duckdb
import msgspec
from msgspec import Meta

from loss_logging.errors import LossLoggingError

__all__ = ["Bound", "Filter", "ItemQuery", "Order", "QueryError", "columns_in", "matching", "page_of", "rows_of"]

CAPTION_LENGTH = 2_000
_MOST_ROWS = 1_000


class QueryError(LossLoggingError, ValueError):
    """A question about items that cannot be answered: an unknown column, or a value of the wrong type."""


class Bound(msgspec.Struct, frozen=True):
    """``low <= field <= high``; None for no bound."""

    field: str
    low: float | None = None
    high: float | None = None


class Order(msgspec.Struct, frozen=True):
    """Sort by ``field``; items without a figure come last."""

    field: str
    descending: bool = False


class Filter(msgspec.Struct, frozen=True):
    """Which items: ``search`` is looked for in path and caption, ``dataset`` in the dataset's name, without regard
    to case; ``reason`` is a caption rule."""

    search: Annotated[str, Meta(max_length=10_000)] = ""
    dataset: Annotated[str, Meta(max_length=10_000)] = ""
    reason: str = ""
    bounds: list[Bound] = []


class ItemQuery(Filter, frozen=True, kw_only=True):
    """One page of the items that match. ``page`` counts from 1."""

    sort: list[Order] = []
    page: Annotated[int, Meta(ge=1, le=2**40)] = 1
    size: Annotated[int, Meta(ge=1, le=_MOST_ROWS)] = 50


def matching(asked: Filter, columns: list[str], flagged: dict[tuple[str, str], list[str]]) -> tuple[str, list[Any]]:
    """The WHERE clause of ``asked`` and its parameters; every text is a parameter, every column is looked up.

    Raises:
        QueryError: a bound is on a column that does not exist.
    """
    conditions, values = ["true"], list[Any]()
    if asked.search:
        conditions.append("(contains(lower(path), lower(?)) OR contains(lower(caption), lower(?)))")
        values += [asked.search, asked.search]
    if asked.dataset:
        conditions.append("contains(lower(dataset), lower(?))")
        values.append(asked.dataset)
    if asked.reason:
        found = [item for item, reasons in flagged.items() if asked.reason in reasons]
        conditions.append("(dataset, path) IN (SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]))")
        values += [[dataset for dataset, _ in found], [path for _, path in found]]
    for bound in asked.bounds:
        column = _column(bound.field, columns)
        for comparison, limit in ((">=", bound.low), ("<=", bound.high)):
            if limit is not None:
                conditions.append(f"{column} {comparison} ?")
                values.append(limit)
    return " AND ".join(conditions), values


def page_of(
    connection: duckdb.DuckDBPyConnection, table: str, asked: ItemQuery, where: str, values: list[Any]
) -> list[dict[str, Any]]:
    """The rows of one page, as plain data."""
    columns = columns_in(connection, table)
    # DuckDB counts NaN as larger than any number; the page has neither.
    order = [f"{_column(o.field, columns)} {'DESC' if o.descending else 'ASC'} NULLS LAST" for o in asked.sort]
    by = ", ".join([*order, "rowid"])
    shown = ", ".join(f"left(caption, {CAPTION_LENGTH}) AS caption" if c == "caption" else f'"{c}"' for c in columns)
    # The rows are looked for by what they are sorted by alone; only those of the page are read whole.
    query = (
        f"SELECT {shown} FROM {table} WHERE rowid IN "
        f"(SELECT rowid FROM {table} WHERE {where} ORDER BY {by} LIMIT ? OFFSET ?) ORDER BY {by}"
    )
    return rows_of(connection, query, [*values, asked.size, (asked.page - 1) * asked.size])


def rows_of(connection: duckdb.DuckDBPyConnection, query: str, values: list[Any]) -> list[dict[str, Any]]:
    """The result of a query as plain data."""
    found = connection.execute(query, values)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def columns_in(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """The names of the columns of a table."""
    return [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]


def _column(name: str, columns: list[str]) -> str:
    if name not in columns:
        raise QueryError(f"{name!r} is no column; there are: {', '.join(columns)}")
    return f'"{name}"'
