"""loss_logging/records/columns.py"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
import torch
from helpers import HOSTILE, examples, record
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging.records.columns import SCHEMA, table_from_records, text_array
from loss_logging.records.record import SampleRecord

FLOATS = st.floats(allow_nan=True, allow_infinity=True)
RECORDS = st.builds(
    SampleRecord,
    path=st.text(max_size=5),
    dataset=st.text(max_size=5),
    caption=st.text(max_size=5),
    loss=FLOATS,
    step=st.integers(0, 2**62),
    timestep=st.none() | FLOATS,
    loss_empty=st.none() | FLOATS,
    components=st.dictionaries(st.text(max_size=3), FLOATS, max_size=2),
    is_reg=st.booleans(),
    caption_dropped=st.booleans(),
)


@settings(deadline=None, max_examples=examples(50))
@given(st.lists(RECORDS, max_size=5))
def test_every_form_gives_the_same_table(records: list[SampleRecord]) -> None:
    """SampleRecords, mappings, both mixed, and a generator of them are one table; no value is lost on the way."""
    mappings = [msgspec.structs.asdict(one) for one in records]
    table = table_from_records(records)
    assert table.schema == SCHEMA
    forms: list[Any] = [mappings, iter(mappings), [*records[:1], *mappings[1:]]]
    for form in forms:
        assert repr(table_from_records(form).to_pylist()) == repr(table.to_pylist())  # NaN is not equal to itself
    for row, one in zip(table.to_pylist(), records, strict=True):
        assert (row["step"], row["is_reg"], row["caption_dropped"]) == (one.step, one.is_reg, one.caption_dropped)
        assert row["loss"] == one.loss or (math.isnan(row["loss"]) and math.isnan(one.loss))
        assert row["path"] == one.path
        assert row["dataset"] == (one.dataset or "unknown")
        assert len(dict(row["components"] or [])) == len(one.components)
        finite = one.timestep is not None and math.isfinite(one.timestep)
        assert row["timestep"] == (one.timestep if finite else None)


@pytest.mark.parametrize(
    "second",
    [
        {"step": 2, "timestep": 0.5},
        {"id": 7, "timestep": 0.5},
        {"timestep": 0.5},
        {},
        {"step": 2},
        {"id": 7},
        {"step": 2, "id": 7, "timestep": 0.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("first", [{"step": 1}, {"id": 1}, {}, {"id": 1, "step": 1}], ids=str)
def test_mappings_need_not_have_the_same_keys(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Whichever optional fields and other keys each has, a record has what its mapping has."""
    rows = [{"path": "a", "dataset": "d", "caption": "c", "loss": 0.5} | keys for keys in (first, second)]
    found = table_from_records(rows).select(["step", "timestep"]).to_pylist()
    assert found == [{"step": row.get("step", 0), "timestep": row.get("timestep")} for row in rows]


@pytest.mark.parametrize(
    "number", [np.float32(0.5), np.array(0.5), torch.tensor(0.5), torch.tensor([0.5]), "0.5", True]
)
def test_whatever_float_takes_is_a_number(number: Any) -> None:
    """NumPy scalars, tensors of one element and the like count as the number that they hold."""
    assert table_from_records([record(loss=number)])["loss"].to_pylist() == [float(number)]


@pytest.mark.parametrize("dataset", ["", None])
def test_a_missing_dataset_is_unknown(dataset: str | None) -> None:
    """Records without a dataset are counted together, under a name."""
    assert table_from_records([record(dataset=dataset)])["dataset"].to_pylist() == ["unknown"]


@pytest.mark.parametrize("values", [[text] for text in HOSTILE])
def test_hostile_text_is_kept(values: list[str]) -> None:
    """Any text goes in; what UTF-8 cannot hold comes out as a visible escape, everything else unchanged."""
    (got,) = text_array(values).to_pylist()
    assert got == values[0].encode("utf-8", "backslashreplace").decode("utf-8")


def test_text_of_other_types() -> None:
    """Paths, bytes, numbers and None become text."""
    assert text_array([Path("a/b"), b"raw", 3, None, np.str_("s")]).to_pylist() == ["a/b", "raw", "3", "", "s"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (record(loss=None), r"records\[70001\].loss is None; expected a number"),
        (record(loss="x"), r"records\[70001\].loss is 'x'; expected a number"),
        (record(loss=torch.zeros(2)), r"records\[70001\].loss is tensor"),
        (record(timestep="late"), r"records\[70001\].timestep is 'late'; expected a number or None"),
        (record(loss_empty=[1]), r"records\[70001\].loss_empty is \[1\]; expected a number or None"),
        (record(step=-1), r"records\[70001\].step is -1; expected a whole number, 0 or more"),
        (record(step=None), r"records\[70001\].step is None; expected a whole number, 0 or more"),
        (record(step=2.5), r"records\[70001\].step is 2.5; expected a whole number, 0 or more"),
        (record(step="3"), r"records\[70001\].step is '3'; expected a whole number, 0 or more"),
        (record(components={"w": "x"}), r"records\[70001\].components is {'w': 'x'}; expected .*names.*numbers"),
        (record(components=[1]), r"records\[70001\].components is \[1\]; expected .*names.*numbers"),
        (record(is_reg="maybe"), r"records\[70001\].is_reg is 'maybe'; expected true or false"),
        (record(is_reg=None), r"records\[70001\].is_reg is None; expected true or false"),
        (record(caption_dropped=None), r"records\[70001\].caption_dropped is None; expected true or false"),
        ({"path": "a", "loss": 1.0}, r"records\[70001\] lacks dataset, caption"),
    ],
)
def test_the_error_names_the_record_and_the_value(bad: dict[str, Any], message: str) -> None:
    """Of many records, the one that is wrong is named by its place in the caller's sequence; none is left out."""
    with pytest.raises(ValueError, match=message):
        table_from_records([record()] * 70_001 + [bad, record()])


def test_steps_and_components_of_numpy_and_torch() -> None:
    """Whole numbers of NumPy and torch are steps; their floats are components."""
    rows = table_from_records([record(step=np.int64(4), components={"w": np.float32(2), "v": torch.tensor(3.0)})])
    assert rows["step"].to_pylist() == [4]
    assert rows["components"].to_pylist() == [[("w", 2.0), ("v", 3.0)]]


def test_no_records() -> None:
    """Nothing in, an empty table of the same columns out."""
    assert table_from_records([]).equals(pa.table(SCHEMA.empty_table()))
