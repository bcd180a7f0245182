"""loss_logging/records/record.py"""

from __future__ import annotations

import msgspec
import pytest
from helpers import record

from loss_logging.records.record import SampleRecord, as_records


def test_records_and_mappings_mix() -> None:
    """SampleRecords pass through as they are, mappings become equal ones, and other keys are ignored."""
    first = SampleRecord("a", "d", "c", 0.5, step=3, components={"snr": 2.0})
    second = {**msgspec.structs.asdict(first), "width": 512}
    got = as_records([first, second])
    assert got[0] is first
    assert got[1] == first


def test_defaults_are_not_shared() -> None:
    """Two records without components do not share one dictionary."""
    first, second = as_records([record(), record()])
    assert first.components == {}
    assert first.components is not second.components


@pytest.mark.parametrize("key", ["path", "dataset", "caption", "loss"])
def test_a_missing_key_is_named(key: str) -> None:
    """The error names the record, the missing key, and the keys that are there."""
    broken = record(width=3)
    del broken[key]
    with pytest.raises(ValueError, match=rf"records\[1\] lacks {key} \(it has .*width\)"):
        as_records([record(), broken])


@pytest.mark.parametrize("thing", [None, "text", 3, ["path"], ("a", "d", "c", 1.0)])
def test_what_is_no_record_is_named(thing: object) -> None:
    """The error says which element it is, counted from the caller's position, and what it is."""
    with pytest.raises(TypeError, match=rf"records\[7\] is a {type(thing).__name__}; expected a SampleRecord"):
        as_records([thing], position=7)  # type: ignore[list-item]
