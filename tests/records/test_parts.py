"""loss_logging/records/parts.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import record, write

from loss_logging.records.columns import OLD_SCHEMAS, table_from_records
from loss_logging.records.log import SHARD_ROWS, RecordLog, Shard
from loss_logging.records.parts import Part, parts_of_log, parts_of_records, parts_of_table
from loss_logging.records.record import SampleRecord

TEXTS = ["path", "dataset", "caption"]


def texts(parts: list[Part]) -> list[dict[str, str]]:
    return [row for part in parts for row in part.take(TEXTS, np.arange(part.rows)).to_pylist()]


def test_parts_are_the_records_in_order(tmp_path: Path) -> None:
    """Of a log of several files, a table in several pieces and mappings; each part counts its own."""
    rows = [record(path=str(i), dataset="abc"[i % 3], caption=f"caption {i}", step=i) for i in range(7)]
    log = RecordLog(tmp_path)
    write(log, rows[:4])
    write(log, rows[4:])
    table = pa.concat_tables([table_from_records(rows[:2]), table_from_records(rows[2:])])
    for parts, sizes in ((parts_of_log(log), [4, 3]), (parts_of_table(table), [7]), (parts_of_records(rows), [7])):
        assert texts(parts) == [{name: row[name] for name in TEXTS} for row in rows]
        assert [part.rows for part in parts] == sizes
        assert [part.losses().num_rows for part in parts] == sizes


def test_no_part_is_large(tmp_path: Path) -> None:
    """A part holds no more than a row group, however large the file or the table is."""
    ten = table_from_records([record(path=str(i)) for i in range(10)])
    table = pa.concat_tables([ten] * 30_000).combine_chunks()
    log = RecordLog(tmp_path)
    log.write(table.to_batches())
    for parts in (parts_of_log(log), parts_of_table(table)):
        sizes = [part.rows for part in parts]
        assert sum(sizes) == 300_000
        assert max(sizes) == SHARD_ROWS
        first = sum(sizes[:-1])
        some = table.select(TEXTS).take([first + 3, first + 15])
        assert parts[-1].take(TEXTS, np.array([3, 15])).to_pylist() == some.to_pylist()


def test_records_are_the_rows_of_their_table() -> None:
    """Whatever their texts are, of any form and size; what some field lacks, none of its records have."""
    plain = [record(path=str(i), caption=f"caption {i}", step=i) for i in range(70_000)]
    odd = [record(path=Path("a"), caption=None), record(path=b"b", caption=7), record(path="\ud800", caption=np.nan)]
    columns = ["step", "path", "dataset", "caption", "loss", "timestep"]
    for rows in (plain, odd, [*plain[:2], *odd], [SampleRecord(**row) for row in plain[:3]], odd[2:]):
        table = table_from_records(rows)
        parts = parts_of_records(rows)
        assert sum(part.rows for part in parts) == len(rows)
        taken = pa.concat_tables([part.take(columns, np.arange(part.rows)) for part in parts])
        assert taken.cast(table.select(columns).schema).equals(table.select(columns))
        last = parts[-1].take(["path"], np.array([parts[-1].rows - 1]))
        assert last.to_pylist() == table.select(["path"])[-1:].to_pylist()


def test_a_field_that_is_not_asked_for_is_looked_at() -> None:
    """What is wrong in it is said as where a table is made."""
    rows = [record(), record(loss_empty="low")]
    with pytest.raises(ValueError, match=r"records\[1\].loss_empty is 'low'; expected a number or None"):
        parts_of_records(rows)


def test_files_of_earlier_versions_have_parts(tmp_path: Path) -> None:
    """As they have the columns that anybody asks for by part."""
    schema = OLD_SCHEMAS[b"records/1"]
    rows = table_from_records([record(path="old")]).select(schema.names).cast(schema)
    pq.write_table(rows, tmp_path / Shard.name(0, 0, 0))
    write(log := RecordLog(tmp_path), [record(path="new")])
    assert [row["path"] for row in texts(parts_of_log(log))] == ["old", "new"]


@pytest.mark.parametrize("gone", ["before", "after"])
def test_a_file_that_goes_is_an_oserror(tmp_path: Path, gone: str) -> None:
    """Before its footer is read and after."""
    log = RecordLog(tmp_path)
    path = write(log, [record()])
    files = log.files()
    parts = parts_of_log(log)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        if gone == "after":
            parts[0].losses()
        else:
            log.files = lambda: files  # type: ignore[method-assign]
            parts_of_log(log)
