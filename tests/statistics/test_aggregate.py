"""aggregate_by_dataset against NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import assert_same, examples, item_rows, record, run_statistics, write
from hypothesis import given, settings
from hypothesis import strategies as st
from summaries import NON_FINITE, ORDINARY, assert_summary, by_dataset, records

from loss_logging import aggregate_by_dataset
from loss_logging.errors import ConfigError
from loss_logging.records.columns import SCHEMA, table_from_records
from loss_logging.records.log import RecordLog
from loss_logging.records.record import SampleRecord


def plain_top(rows: Sequence[dict[str, Any]], k: int) -> list[tuple[float, str]]:
    """(loss, path) of the k items with the highest losses, each once, equals by dataset and path."""
    highest: dict[tuple[str, str], float] = {}
    for row in rows:
        if math.isfinite(row["loss"]):
            key = (row["dataset"] or "unknown", row["path"])
            highest[key] = max(highest.get(key, -math.inf), row["loss"])
    ranked = sorted(highest, key=lambda key: (-highest[key], key))
    return [(highest[key], key[1]) for key in ranked[:k]]


@settings(deadline=None, max_examples=examples(60))
@given(rows=records(st.one_of(st.floats(-1e150, 1e150), ORDINARY, NON_FINITE)), k=st.integers(0, 9))
def test_aggregates_are_numpys(rows: list[dict[str, Any]], k: int) -> None:
    """Every figure, per dataset and over all, with NaN and infinity left out and counted; each item once in top_k,
    as the first record of its highest loss."""
    result = aggregate_by_dataset(rows, top_k=k)
    groups = by_dataset(rows)
    assert [None, *result.datasets] == list(groups)
    for name, group in groups.items():
        summary = result.overall if name is None else result.datasets[name]
        assert_summary(summary, group)
        assert [(top.loss, top.path) for top in summary.top_k] == plain_top(group, k)
        for top in [] if name is None else summary.top_k:
            first = next(row for row in group if (row["path"], row["loss"]) == (top.path, top.loss))
            assert (top.caption, top.step, top.timestep) == (first["caption"], first["step"], first["timestep"])
    listed = [top for summary in result.datasets.values() for top in summary.top_k]
    assert all(top in listed for top in result.overall.top_k)


@settings(deadline=None, max_examples=examples(10))
@given(records(st.one_of(ORDINARY, NON_FINITE)))
def test_the_form_of_the_records_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    """Mappings, SampleRecords, a generator, a table and a log on disk have the same figures."""
    expected = aggregate_by_dataset(rows)
    log = RecordLog(tmp_path_factory.mktemp("log"))
    write(log, rows[:20])
    write(log, rows[20:])
    forms: list[Any] = [
        [SampleRecord(**row) for row in rows],
        (row for row in rows),
        pd.DataFrame(rows).to_dict("records"),
        table_from_records(rows),
        log,
    ]
    for form in forms:
        assert_same(aggregate_by_dataset(form).to_dict(), expected.to_dict())


@pytest.mark.parametrize(
    "losses",
    [
        [1e308],
        [1e308, 1.5e308, 1.7e308],
        [1e-308, 2e-308, 5e-324],
        [1e-320, 1e308],
        [-1e308, -1e307],
        [0.1] * 7,
        [-3.0],
        [math.nan],
        [math.inf, -math.inf, math.nan],
        [],
    ],
    ids=str,
)
@pytest.mark.parametrize("whole_run", [False, True], ids=["aggregate", "run"])
def test_extreme_numbers(tmp_path: Path, losses: list[float], whole_run: bool) -> None:
    """Figures that a float can hold are right; one that overflows on the way is None, never infinite or an error."""
    rows = [record(path=str(i), loss=loss) for i, loss in enumerate(losses)]
    if whole_run:
        log = RecordLog(tmp_path)
        write(log, rows)
        numbers = run_statistics(log)
        numbers.advance(0)
        summary = numbers.summaries(3)[None]
        numbers.worst_hard(3)
        item_rows(numbers)
    else:
        summary = aggregate_by_dataset(rows).overall
    finite = [loss for loss in losses if math.isfinite(loss)]
    assert summary.count == len(losses)
    assert summary.non_finite == len(losses) - len(finite)
    assert summary.min == min(finite, default=None)
    assert summary.max == max(finite, default=None)
    assert summary.median == (pytest.approx(float(np.median(finite))) if finite else None)
    for value in (summary.mean, summary.std):
        assert value is None or math.isfinite(value)
    if finite and max(map(abs, finite)) < 1e150:
        assert summary.mean == pytest.approx(np.mean(finite))
        assert summary.std == pytest.approx(np.std(finite))
    if len(set(finite)) == 1:
        assert (summary.mean, summary.std) == (pytest.approx(finite[0]), 0.0)


@pytest.mark.parametrize("k", [1, 5, 100, 600_000, 2**31 - 1])
@pytest.mark.parametrize("logged", [False, True], ids=["mappings", "log"])
def test_top_k_of_repeated_and_tied_items(tmp_path: Path, k: int, logged: bool) -> None:
    """Each item once with its highest loss; equal ones by dataset and path; any k, larger than what there is too, and
    wherever in a log they are."""
    rng = np.random.default_rng(5)
    rows = [
        record(path=f"{rng.integers(40):02}", dataset="ab"[rng.integers(2)], loss=float(rng.integers(8)), step=step)
        for step in range(2000)
    ]
    rows += [record(path="hog", dataset="a", loss=100.0 + i) for i in range(50)]
    log = RecordLog(tmp_path)
    for first in range(0, len(rows), 300):
        write(log, rows[first : first + 300])
    result = aggregate_by_dataset(log if logged else rows, top_k=k)
    assert [(top.loss, top.path) for top in result.overall.top_k] == plain_top(rows, k)
    assert result.overall.top_k[0].loss == 149.0
    for name, summary in result.datasets.items():
        own = [row for row in rows if row["dataset"] == name]
        assert [(top.loss, top.path) for top in summary.top_k] == plain_top(own, k)


def test_captions_are_read_of_what_is_shown_alone(tmp_path: Path) -> None:
    """Of a log, the caption is read in the parts that hold one of the highest losses, and in no other."""
    log = RecordLog(tmp_path)
    for step in range(20):
        write(log, [record(path=f"{step}-{i}", loss=float(step), step=step) for i in range(3)])
    files = log.files()
    expected = aggregate_by_dataset(log, 3).to_dict()
    for path in files[:-1]:  # where the captions are, there is nothing any more
        column = pq.read_metadata(path).row_group(0).column(SCHEMA.names.index("caption"))
        content = bytearray(path.read_bytes())
        first = column.dictionary_page_offset
        content[first : first + column.total_compressed_size] = bytes(column.total_compressed_size)
        path.write_bytes(content)
    assert aggregate_by_dataset(log, 3).to_dict() == expected
    with pytest.raises(OSError, match="page header"):
        aggregate_by_dataset(log, 4)


@pytest.mark.parametrize("k", [-1, 1.5, None, "3", True])
def test_an_impossible_top_k(k: Any) -> None:
    """The error names the argument, the value and what is allowed."""
    with pytest.raises(ConfigError, match=rf"top_k is {k!r}; allowed: a whole number, 0 or more"):
        aggregate_by_dataset([], top_k=k)


def test_many_equal_losses_have_no_spread(tmp_path: Path) -> None:
    """Rounding in sums of a value that no float holds exactly does not become a standard deviation, or a `hard`."""
    rows = table_from_records([record(path=str(i), loss=0.1, step=1) for i in range(5000)])
    log = RecordLog(tmp_path)
    log.write(pa.concat_tables([rows] * 60).to_batches())
    numbers = run_statistics(log)
    numbers.advance(1)
    assert numbers.summaries(1)[None].std == 0.0
    assert numbers.worst_hard(3) == []
