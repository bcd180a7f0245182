from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging import LossLogger, aggregate_by_dataset, flag_bad_captions
from loss_logging.records.columns import table_from_records, text_array
from loss_logging.records.in_flight import names
from loss_logging.records.log import RecordLog

COLUMNS: dict[str, list[Any]] = {
    "path": [3, 7],
    "dataset": ["d", None],
    "caption": ["a cat on a sofa", None],
    "loss": [0.5, 1.0],
    "timestep": [0.25, None],
    "is_reg": [True, None],
    "step": [1, None],
}


FRAMES: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "pandas": pd.DataFrame,
    "pandas with its own types": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "pandas rows left out": lambda columns: pd.concat([pd.DataFrame(columns)] * 2).iloc[[2, 3]],
    "polars": pl.DataFrame,
    "arrow table": pa.table,
    "arrow batch": lambda columns: pa.table(columns).to_batches()[0],
    "arrow stream": lambda columns: pa.table(columns).to_reader(),
    "duckdb": lambda columns: duckdb.from_arrow(pa.table(columns)),
    "rows of a frame": lambda columns: pl.DataFrame(columns).rows(named=True),
}


@pytest.mark.parametrize("kind", [kind for kind in FRAMES if kind != "rows of a frame"])
def test_frames_are_records(kind: str) -> None:
    """The rows of a frame, with what is missing in it, are the records that mappings without those keys are."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
    plain = [
        {name: value for name, value in row.items() if value is not None or name in ("dataset", "caption")}
        for row in rows
    ]
    assert table_from_records(FRAMES[kind](COLUMNS)).equals(table_from_records(plain))


@pytest.mark.parametrize("kind", ["pandas", "polars", "duckdb", "arrow batch"])
def test_frames_everywhere(tmp_path: Path, kind: str) -> None:
    """log_records and the pure functions take them."""
    columns = {**COLUMNS, "dataset": ["d", "d"], "is_reg": [False, False], "caption": ["a cat on a sofa", "nan"]}
    with LossLogger(job_name="run", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        losses.log_records(4, FRAMES[kind](columns))
        path = losses.save_step(4).result()
    assert path is not None
    assert aggregate_by_dataset(FRAMES[kind](columns)).datasets.keys() == {"d"}
    assert flag_bad_captions(FRAMES[kind](columns)).summary == {"empty": 1}
    rows = RecordLog(tmp_path / "loss_logging" / "records" / "run").read().to_pylist()
    assert [(row["step"], row["path"], row["loss"]) for row in rows] == [(4, "3", 0.5), (4, "7", 1.0)]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (COLUMNS, "records is a mapping of columns; expected several records"),
        ({"path": "a", "dataset": "d", "caption": "c", "loss": 1.0}, "records is one mapping; expected several"),
        (pl.DataFrame(COLUMNS).lazy(), r"records is a LazyFrame.*\.collect\(\)"),
        (3, "records is a int; expected several"),
    ],
)
def test_what_holds_no_records_is_named(records: Any, message: str) -> None:
    """With what to give instead."""
    with pytest.raises(TypeError, match=message):
        aggregate_by_dataset(records)


def test_a_frame_that_lacks_a_column_is_named() -> None:
    """As a mapping is that lacks a key."""
    with pytest.raises(ValueError, match=r"records\[0\] lacks caption \(it has path, dataset, loss"):
        table_from_records(pd.DataFrame(COLUMNS).drop(columns="caption"))


@settings(deadline=None, max_examples=examples(30))
@given(st.lists(st.none() | st.text(max_size=5) | st.integers() | st.floats(width=32), min_size=1, max_size=6))
def test_what_holds_them_does_not_change_names(values: list[Any]) -> None:
    """Texts, numbers and gaps name the same things in a list, a tuple, an array and a column."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    expected = text_array(values)
    for held in (tuple(values), array, pd.Series(array), pl.Series(values, dtype=pl.Object)):
        assert text_array(tuple(names("paths", held, len(values)))).equals(expected)
