"""Queries: what they read, for how long."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import record
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize("few", [4, 1_000])
def test_samples_are_those_of_the_files_as_they_are(tmp_path: Path, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """New files, one that was replaced, one that is gone, more than are held in memory: what is there is read."""
    monkeypatch.setattr("loss_logging.statistics.queries._FEW_RECORDS", few)

    def write(number: int, *paths: str) -> None:
        pq.write_table(table_from_records([record(path) for path in paths]), tmp_path / "new")
        (tmp_path / "new").replace(tmp_path / f"{number}.parquet")

    def read(*numbers: int) -> list[str]:
        queries.read([tmp_path / f"{number}.parquet" for number in numbers])
        return [path for (path,) in queries.table_rows("(SELECT path FROM samples)")]

    with Queries() as queries:
        write(1, "a", "b")
        assert read(1) == ["a", "b"]
        write(2, "c")
        assert read(1, 2) == read(1, 2) == ["a", "b", "c"]
        write(2, "d")
        assert read(1, 2) == ["a", "b", "d"]
        assert read(2) == ["d"]
        write(3, "e", "f")
        assert read(1, 2, 3) == ["a", "b", "d", "e", "f"]
        with queries.reading(table_from_records([record("z")])):
            assert queries.value("SELECT path FROM samples") == "z"
        assert read(1, 2, 3) == ["a", "b", "d", "e", "f"]


@given(
    st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=21, unique=True).map(sorted),
    st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1.0]), max_size=20),
)
def test_a_timestep_is_in_the_bin_between_its_edges(edges: list[float], more: list[float]) -> None:
    """An edge belongs to the bin above it; what is outside belongs to the nearest bin."""
    timesteps = np.array([*more, *edges])
    records = [record(str(i), timestep=float(timestep)) for i, timestep in enumerate(timesteps)]
    with Queries() as queries:
        queries.read(table_from_records(records))
        queries.place_timesteps(edges)
        found = [place for (place,) in queries.table_rows("(SELECT timestep_bin FROM samples)")]
    assert found == np.searchsorted(edges[1:-1], timesteps, side="right").tolist()


def test_new_bins_are_those_of_the_records_that_are_held(tmp_path: Path) -> None:
    """Records that were read before the bins were known are placed in them."""
    pq.write_table(table_from_records([record("a", timestep=0.3)]), tmp_path / "1.parquet")
    with Queries() as queries:
        queries.read([tmp_path / "1.parquet"])
        for edges, place in (([0.0, 0.5, 1.0], 0), ([0.0, 0.1, 0.2, 1.0], 2)):
            queries.place_timesteps(edges)
            assert queries.value("SELECT timestep_bin FROM samples") == place
