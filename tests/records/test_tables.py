"""loss_logging/record_tables.py: Arrow tables where records are expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from helpers import HOSTILE, examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loss_logging import LossLogger, aggregate_by_dataset, read_report
from loss_logging.records.columns import SCHEMA, table_from_records
from loss_logging.records.tables import table_of_records

TEXTS = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
FLOATS = [pa.float64(), pa.dictionary(pa.int8(), pa.float64())]
NUMBERS = st.none() | st.sampled_from([0.0, 0.5, 2.0, float("nan"), float("inf")])


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, list[dict[str, Any]]]:
    """A table of columns of various types, and its rows as mappings without the optional values that are missing."""
    n = draw(st.integers(0, 6))

    def column(values: st.SearchStrategy[Any], kinds: list[pa.DataType]) -> pa.Array:
        return pa.array(draw(st.lists(values, min_size=n, max_size=n)), draw(st.sampled_from(kinds)))

    text = st.sampled_from(["", "a", "b c", "猫", HOSTILE[3]])
    loss = NUMBERS.filter(lambda x: x is not None)
    columns = {
        "path": column(text, TEXTS),
        "dataset": column(st.none() | text, TEXTS),
        "caption": column(st.none() | text, TEXTS),
        "loss": draw(st.sampled_from([column(loss, FLOATS), column(st.integers(0, 9), [pa.int32(), pa.float32()])])),
    }
    optional = {
        "step": column(st.integers(0, 9), [pa.int64(), pa.int32(), pa.uint8()]),
        "timestep": draw(st.sampled_from([column(NUMBERS, FLOATS), column(st.integers(0, 999), [pa.int16()])])),
        "loss_empty": draw(st.sampled_from([column(NUMBERS, FLOATS), pa.nulls(n)])),
        "is_reg": column(st.booleans() | st.none(), [pa.bool_()]),
        "caption_dropped": column(st.booleans(), [pa.bool_()]),
        "components": draw(
            st.sampled_from(
                [
                    pa.array([{"w": 1.0} for _ in range(n)], pa.struct([("w", pa.float64()), ("v", pa.float64())])),
                    pa.array([[("w", 2.0)] for _ in range(n)], pa.map_(pa.string(), pa.float32())),
                    pa.nulls(n),
                ]
            )
        ),
        "other": pa.array(range(n)),
    }
    chosen = draw(st.permutations([*columns, *draw(st.sets(st.sampled_from(sorted(optional))))]))
    table = pa.table({name: (columns | optional)[name] for name in chosen})
    rows = []
    for row in table.to_pylist():
        if row.get("components"):
            row["components"] = {name: x for name, x in dict(row["components"]).items() if x is not None}
        rows.append({name: x for name, x in row.items() if name in columns or x is not None})
    return table, rows


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.filter_too_much])
@given(tables())
def test_a_table_is_its_rows(given_: tuple[pa.Table, list[dict[str, Any]]]) -> None:
    """Whatever types its columns have and whichever optional ones it lacks, it has the records that its rows are."""
    table, rows = given_
    found = table_of_records(table)
    assert found.schema == SCHEMA
    expected = table_from_records(rows).to_pylist()
    assert repr([row | {"components": row["components"] or []} for row in found.to_pylist()]) == repr(
        [row | {"components": row["components"] or []} for row in expected]
    )
    found.validate(full=True)
    in_parts = pa.concat_tables([table[:2], table[2:]])
    assert repr(table_of_records(in_parts).to_pylist()) == repr(found.to_pylist())


def test_missing_datasets_are_counted_once(tmp_path: Path) -> None:
    """Records without a dataset are "unknown", once, in aggregates and in a run, and only the required columns are
    needed."""
    table = pa.table(
        {"path": ["a", "b", "c"], "dataset": ["x", None, ""], "caption": ["q", None, "r"], "loss": [0.25, 0.5, 0.75]}
    )
    found = aggregate_by_dataset(table)
    assert {name: summary.count for name, summary in found.datasets.items()} == {"unknown": 2, "x": 1}
    assert (found.overall.count, found.overall.mean) == (3, 0.5)
    with LossLogger(job_name="run", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        losses.log_records(7, table)
        path = losses.save_step(7).result()
    assert path is not None
    report = read_report(path)
    assert {name: dataset.summary.count for name, dataset in report.datasets.items()} == {"unknown": 2, "x": 1}
    assert report.global_.count == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dataset": None}, r"the table of records lacks dataset \(it has path, caption, loss\); required: path, data"),
        ({"loss": [0.5, None]}, r"records\[1\].loss is None; expected a number"),
        ({"loss": ["0.5", "low"]}, r"records\[1\].loss is 'low'; expected a number"),
        ({"step": [1, -2]}, r"records\[1\].step is -2; expected a whole number, 0 or more"),
        ({"step": [1.5, 2.0]}, r"records\[0\].step is 1.5; expected a whole number, 0 or more"),
        ({"is_reg": ["yes", "no"]}, r"records\[0\].is_reg is 'yes'; expected true or false"),
        ({"timestep": ["late", None]}, r"records\[0\].timestep is 'late'; expected a number or None"),
    ],
    ids=str,
)
def test_a_table_that_does_not_fit(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    """The error names the column that is missing, or the row and the value, in aggregates and in a run."""
    columns = {"path": ["a", "b"], "dataset": ["d", "d"], "caption": ["", ""], "loss": [0.5, 0.5]} | changed
    table = pa.table({name: values for name, values in columns.items() if values is not None})
    with pytest.raises(ValueError, match=message):
        aggregate_by_dataset(table)
    with (
        LossLogger(job_name="run", save_root=tmp_path, loggers=[], reporter="inline") as losses,
        pytest.raises(ValueError, match=message),
    ):
        losses.log_records(1, table)
