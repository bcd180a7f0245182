"""The shards of a log as one DuckDB relation, whichever version wrote each."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import duckdb

from loss_logging.records.columns import SCHEMA

__all__ = ["read_shards"]


def read_shards(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> duckdb.DuckDBPyRelation:
    """The records in ``files`` with the columns of `SCHEMA`; what a shard of an earlier version lacks is NULL.

    >>> from loss_logging.support.database import connect
    >>> read_shards(connect(), []).columns == SCHEMA.names
    True
    """
    if not files:
        return connection.from_arrow(SCHEMA.empty_table())
    paths = [glob.escape(str(file)) for file in files]  # DuckDB takes [1] in a folder's name for a pattern
    found = connection.read_parquet(paths, union_by_name=True)
    if lacking := [name for name in SCHEMA.names if name not in found.columns]:
        types = dict(zip(SCHEMA.names, connection.from_arrow(SCHEMA.empty_table()).types, strict=True))
        found = found.project(", ".join(["*", *(f"NULL::{types[name]} AS {name}" for name in lacking)]))
    return found
