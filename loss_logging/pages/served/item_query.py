"""The page's queries about items, as SQL over the table of their figures."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import duckdb
import msgspec
from msgspec import Meta

from loss_logging.errors import LossLoggingError

__all__ = [
    "Filter",
    "ItemQuery",
    "Order",
    "QueryError",
    "columns_in",
    "matching",
    "page_of",
    "rows_of",
    "undecided",
    "with_marks",
]

CAPTION_LENGTH = 2_000
_MOST_ROWS = 1_000


class QueryError(LossLoggingError, ValueError):
    """An invalid query about items: an unknown column, or a value of the wrong type."""


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
    """A selection of items. ``search`` is a part of path or caption, ``dataset`` a part of the dataset's name, both in
    any case, see `folded`; ``reason`` is a caption rule, ``decision`` a person's decision,
    "none" for no decision."""

    search: Annotated[str, Meta(max_length=10_000)] = ""
    dataset: Annotated[str, Meta(max_length=10_000)] = ""
    reason: str = ""
    decision: Literal["", "none", "fine", "exclude", "caption", "later"] = ""
    bounds: list[Bound] = []


class ItemQuery(Filter, frozen=True, kw_only=True):
    """One page of the items that match. ``page`` counts from 1."""

    sort: list[Order] = []
    page: Annotated[int, Meta(ge=1, le=2**40)] = 1
    size: Annotated[int, Meta(ge=1, le=_MOST_ROWS)] = 50


Names = tuple[str, str]
"""Dataset and path."""


def matching(
    asked: Filter,
    columns: list[str],
    flagged: Mapping[Names, list[str]],
    decided: Callable[[], Mapping[Names, str]],
) -> tuple[str, list[Any]]:
    """The WHERE clause of ``asked`` and its parameters. Each text is a parameter, and each column is checked.

    Raises:
        QueryError: a bound is on a column that does not exist.
    """
    conditions, values = ["true"], list[Any]()
    if asked.search:
        conditions.append(f"(contains({_FOLDED.format('path')}, ?) OR contains({_FOLDED.format('caption')}, ?))")
        values += [folded(asked.search)] * 2
    if asked.dataset:
        conditions.append(f"contains({_FOLDED.format('dataset')}, ?)")
        values.append(folded(asked.dataset))
    if asked.reason:
        found = [item for item, reasons in flagged.items() if asked.reason in reasons]
        conditions.append(_AMONG)
        values += _columns_of(found)
    if asked.decision:
        found = [item for item, decision in decided().items() if asked.decision in ("none", decision)]
        conditions.append(f"NOT {_AMONG}" if asked.decision == "none" else _AMONG)
        values += _columns_of(found)
    for bound in asked.bounds:
        column = _column(bound.field, columns)
        for comparison, limit in ((">=", bound.low), ("<=", bound.high)):
            if limit is not None:
                conditions.append(f"{column} {comparison} ?")
                values.append(limit)
    return " AND ".join(conditions), values


def folded(text: str) -> str:
    """A text as it is searched in: case and the ways to write an accent make no difference, on every page.

    >>> folded("İSTANBUL"), folded("DIE STRAẞE"), folded("ΔΡΌΜΟΣ") == folded("δρόμος"), folded("cafe\u0301") == "café"
    ('istanbul', 'die strasse', True, True)
    """
    lower = unicodedata.normalize("NFC", text).lower()
    return lower.replace("i\u0307", "i").replace("ς", "σ").replace("ß", "ss")


# The same in SQL, for which a text of ASCII needs no more than a text in lower case.
_FOLDED = (
    "(CASE WHEN strlen({0}) = length({0}) THEN lower({0}) ELSE "
    "replace(replace(replace(lower(nfc_normalize({0})), 'i\u0307', 'i'), 'ς', 'σ'), 'ß', 'ss') END)"
)
_AMONG = "(dataset, path) IN (SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]))"


def _columns_of(found: list[Names]) -> list[list[str]]:
    return [[dataset for dataset, _ in found], [path for _, path in found]]


def undecided(_dataset: str, _path: str) -> str:
    """The decision about an item, of a page that keeps none."""
    return ""


def with_marks(
    row: dict[str, Any], flagged: Mapping[Names, list[str]], decision_of: Callable[[str, str], str]
) -> dict[str, Any]:
    """A row with the rules that object to it, and the decision about it."""
    names = row["dataset"], row["path"]
    return row | {"flags": ", ".join(flagged.get(names, [])), "decision": decision_of(*names)}


def page_of(
    connection: duckdb.DuckDBPyConnection, table: str, asked: ItemQuery, where: str, values: list[Any]
) -> tuple[list[dict[str, Any]], int]:
    """The rows of one page as plain data, and the number of all matching items."""
    columns = columns_in(connection, table)
    order = ", ".join(f"{_column(o.field, columns)} {'DESC' if o.descending else 'ASC'} NULLS LAST" for o in asked.sort)
    keys = "".join(f", {_column(o.field, columns)}" for o in asked.sort)
    # One pass reads only the columns of filter and order; then all columns of the shown rows are read.
    matches = f"SELECT rowid AS place{keys} FROM {table} WHERE {where}"
    first = f"ORDER BY {order + ', ' if order else ''}place LIMIT ? OFFSET ?"
    limits = [asked.size, (asked.page - 1) * asked.size]
    if values:
        query = f"WITH m AS MATERIALIZED ({matches}) SELECT place, (SELECT count(*) FROM m) FROM m {first}"
        found = connection.execute(query, [*values, *limits]).fetchall()
    else:  # DuckDB knows the number without reading, and finds the first rows without storing all
        (total,) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0]
        found = [(place, total) for place, *_ in connection.execute(f"{matches} {first}", limits).fetchall()]
    if not found:  # the page is beyond the last one
        return [], connection.execute(f"SELECT count(*) FROM {table} WHERE {where}", values).fetchall()[0][0]
    places = [place for place, _ in found]
    shown = ", ".join(f"left(caption, {CAPTION_LENGTH}) AS caption" if c == "caption" else f'"{c}"' for c in columns)
    chosen = ", ".join(map(str, places))
    rows = rows_of(connection, f"SELECT rowid AS place, {shown} FROM {table} WHERE rowid IN ({chosen})", [])
    by_place = {row.pop("place"): row for row in rows}
    return [by_place[place] for place in places], found[0][1]


def rows_of(connection: duckdb.DuckDBPyConnection, query: str, values: list[Any]) -> list[dict[str, Any]]:
    """The result of a query as plain data."""
    found = connection.execute(query, values)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def columns_in(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """The names of the columns of a table or view, without ``rowid``, which tells rows apart."""
    return [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall() if row[0] != "rowid"]


def _column(name: str, columns: list[str]) -> str:
    if name not in columns:
        raise QueryError(f"{name!r} is no column; there are: {', '.join(columns)}")
    return f'"{name}"'
