"""loss_logging/records/parts.py"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import record, write

from loss_logging.records.columns import OLD_SCHEMAS, table_from_records
from loss_logging.records.log import SHARD_ROWS, RecordLog, Shard
from loss_logging.records.parts import Part, parts_of_log, parts_of_table

TEXTS = ["path", "dataset", "caption"]


def texts(parts: list[Part]) -> list[dict[str, str]]:
    return [row for part in parts for row in part.read(TEXTS).to_pylist()]


def test_parts_are_the_records_in_order(tmp_path: Path) -> None:
    """Of a log of several files and of a table in several pieces; each part counts its own."""
    rows = [record(path=str(i), dataset="abc"[i % 3], caption=f"caption {i}", step=i) for i in range(7)]
    log = RecordLog(tmp_path)
    write(log, rows[:4])
    write(log, rows[4:])
    table = pa.concat_tables([table_from_records(rows[:2]), table_from_records(rows[2:])])
    for parts, sizes in ((parts_of_log(log), [4, 3]), (parts_of_table(table), [2, 5])):
        assert texts(parts) == [{name: row[name] for name in TEXTS} for row in rows]
        assert [part.rows for part in parts] == sizes
        assert [part.read(["loss"]).num_rows for part in parts] == sizes


def test_a_large_file_has_several_parts(tmp_path: Path) -> None:
    """A part holds no more than a row group, however large the file is."""
    table = table_from_records([record(path=str(i)) for i in range(10)])
    log = RecordLog(tmp_path)
    log.write(pa.concat_tables([table] * 30_000).combine_chunks().to_batches())
    sizes = [part.rows for part in parts_of_log(log)]
    assert sum(sizes) == 300_000
    assert max(sizes) == SHARD_ROWS


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
            parts[0].read(["loss"])
        else:
            log.files = lambda: files  # type: ignore[method-assign]
            parts_of_log(log)
