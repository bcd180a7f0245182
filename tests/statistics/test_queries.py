"""Queries: what they read, for how long."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from helpers import record

from loss_logging.records.columns import table_from_records
from loss_logging.statistics.queries import Queries


@pytest.mark.parametrize("fails", [False, True])
def test_another_source_is_read_for_a_while(fails: bool) -> None:
    """Afterwards the queries are about what they were about before, whatever happened meanwhile."""
    one, two = (table_from_records([record(str(i)) for i in range(n)]) for n in (1, 2))
    with Queries() as queries:
        queries.read(one)
        try:
            with queries.reading(two):
                assert queries.value("SELECT count(*) FROM samples") == 2
                if fails:
                    raise KeyError
        except KeyError:
            assert fails
        assert queries.value("SELECT count(*) FROM samples") == 1


def test_files_that_could_not_be_read_are_read_again(tmp_path: Path) -> None:
    """A disk that fails once leaves no older records behind the same names."""
    records, file = table_from_records([record("a")]), tmp_path / "shard.parquet"
    with Queries() as queries:
        with pytest.raises(duckdb.Error):
            queries.read([file])
        pq.write_table(records, file)
        queries.read([file])
        assert queries.value("SELECT count(*) FROM samples") == 1


def test_rows_are_overwritten_all_or_none() -> None:
    """Those with the same keys are replaced and others appended; a failure leaves what was there."""
    with Queries() as queries:
        queries.table("kept", "SELECT range AS a, 2 * range AS b, 'old' AS text FROM range(4)")
        queries.table("new", "SELECT range AS a, 2 * range AS b, 'new' AS text FROM range(3, 6)")
        queries.overwrite("kept", "new", ("a", "b"))
        assert sorted(queries.table_rows("kept")) == [(a, 2 * a, "old" if a < 3 else "new") for a in range(6)]
        queries.table("wrong", "SELECT range AS a, 2 * range AS b, 'new' AS text, 1 AS more FROM range(3)")
        with pytest.raises(duckdb.Error):
            queries.overwrite("kept", "wrong", ("a", "b"))
        assert sorted(queries.table_rows("kept")) == [(a, 2 * a, "old" if a < 3 else "new") for a in range(6)]
