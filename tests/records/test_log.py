"""loss_logging/records/log.py"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import HOSTILE, examples, record, write
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging.records.columns import OLD_SCHEMAS, SCHEMA, table_from_records
from loss_logging.records.log import LogVersionError, RecordLog, Shard
from loss_logging.records.shards import read_shards
from loss_logging.support.database import connect


def steps(log: RecordLog) -> list[int]:
    got: list[int] = log.read()["step"].to_pylist()
    return got


def fill(log: RecordLog, shards: int, rows: int = 1, first: int = 0) -> None:
    """Shards of ``rows`` records each, one step a shard."""
    for step in range(first, first + shards):
        write(log, [record(path=f"{step}-{i}", step=step) for i in range(rows)])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every column comes back as it went in, in the order of writing."""
    rows = [
        record(path=text.encode("utf-8", "replace").decode(), caption=text, step=i, components={"w": 0.5}, timestep=0.1)
        for i, text in enumerate(HOSTILE)
    ]
    log = RecordLog(tmp_path)
    write(log, rows[:4])
    write(log, rows[4:])
    got = RecordLog(tmp_path).read()
    assert got.schema.equals(SCHEMA)
    assert got["path"].to_pylist() == [row["path"] for row in rows]
    assert got["caption"].to_pylist() == [row["caption"].encode("utf-8", "backslashreplace").decode() for row in rows]
    assert got["components"].to_pylist() == [[("w", 0.5)]] * len(rows)


def test_others_find_what_is_not_a_number(tmp_path: Path) -> None:
    """DuckDB, to which the docs send people, finds losses that are NaN, and components."""
    nan = float("nan")
    log = RecordLog(tmp_path)
    write(log, [record(path=f"{i}", loss=nan if i == 3 else 0.5, components={"w": nan}) for i in range(9)])
    files = f"'{tmp_path}/**/*.parquet'"
    assert duckdb.sql(f"SELECT path FROM {files} WHERE isnan(loss)").fetchall() == [("3",)]
    assert len(duckdb.sql(f"SELECT path FROM {files} WHERE isnan(components['w'])").fetchall()) == 9


def test_an_empty_log(tmp_path: Path) -> None:
    """Nothing written: no files, a table of no rows; compacting and truncating it are harmless."""
    log = RecordLog(tmp_path)
    log.compact()
    log.truncate(3)
    assert log.files() == []
    assert log.read().equals(SCHEMA.empty_table())


def test_reopening_goes_on(tmp_path: Path) -> None:
    """A new writer of the same rank continues the sequence, after a compaction as well."""
    fill(RecordLog(tmp_path), 2)
    fill(RecordLog(tmp_path), 20, first=2)
    RecordLog(tmp_path).compact()
    fill(RecordLog(tmp_path), 1, first=22)
    assert steps(RecordLog(tmp_path)) == list(range(23))
    assert [Shard.parse(path)[1:3] for path in RecordLog(tmp_path).files()] == [(0, 21), (22, 22)]  # type: ignore[index]


def test_ranks_are_apart(tmp_path: Path) -> None:
    """Two ranks write without seeing each other's sequence; readers see both; a compaction mixes them not."""
    first, second = RecordLog(tmp_path, 0), RecordLog(tmp_path, 1)
    for _ in range(17):
        write(second, [record(path="one")])
        write(first, [record(path="zero")])
    first.compact()
    assert [path.name for path in first.files()] == [
        "rank00000-000000000-000000016.parquet",
        "rank00001-000000000-000000016.parquet",
    ]
    assert second.read()["path"].to_pylist() == ["zero"] * 17 + ["one"] * 17


@settings(deadline=None, max_examples=examples(20))
@given(sizes=st.lists(st.integers(0, 3), min_size=1, max_size=40), at=st.integers(0, 50))
def test_compaction_and_truncation_keep_what_they_should(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], at: int
) -> None:
    """Records keep their order through compactions; a truncation removes those after its step and no others."""
    log = RecordLog(tmp_path_factory.mktemp("log"))
    expected = []
    for step, rows in enumerate(sizes):
        write(log, [record(path=f"{step}-{i}", step=step) for i in range(rows)])
        expected += [(step, f"{step}-{i}") for i in range(rows)]
        if step % 17 == 0:
            log.compact()
    log.compact()
    assert list(zip(steps(log), log.read()["path"].to_pylist(), strict=True)) == expected
    log.truncate(at)
    assert steps(log) == [step for step, _ in expected if step <= at]
    write(log, [record(step=99)])
    assert steps(RecordLog(log.folder))[-1] == 99


def test_files_grow_with_the_logarithm(tmp_path: Path) -> None:
    """Many flushes leave few files when the log is compacted now and then."""
    log = RecordLog(tmp_path)
    for n in range(300):
        write(log, [record(step=n)])
        if len(log.files()) > 64:
            log.compact()
    assert len(list(tmp_path.iterdir())) <= 65
    assert steps(log) == list(range(300))


@pytest.fixture
def interrupted(tmp_path: Path) -> RecordLog:
    """A log whose compaction died before it removed the shards that it had merged."""
    log = RecordLog(tmp_path)
    fill(log, 20)
    saved = tmp_path / "saved"
    shutil.copytree(tmp_path, saved)
    log.compact()
    for path in list(saved.iterdir())[::3]:
        shutil.move(path, tmp_path / path.name)
    shutil.rmtree(saved)
    (tmp_path / ".rank00000-000000020-000000020.parquet.77.tmp").write_bytes(b"half a shard")
    (tmp_path / "rank-notes.parquet").write_bytes(b"somebody else's")
    return log


def test_leftovers_of_an_interrupted_compaction_count_once(interrupted: RecordLog) -> None:
    """Shards that a merged one replaced, temporary files and foreign ones are ignored."""
    assert steps(interrupted) == list(range(20))
    fill(RecordLog(interrupted.folder), 1, first=20)
    interrupted.compact()
    assert steps(RecordLog(interrupted.folder)) == list(range(21))


@pytest.mark.parametrize("at", [-1, 0, 7, 19])
def test_truncating_brings_no_leftover_back(interrupted: RecordLog, at: int) -> None:
    """What a merged shard replaced stays away when the merged shard goes."""
    interrupted.truncate(at)
    assert steps(RecordLog(interrupted.folder)) == list(range(at + 1))


def test_truncating_is_for_every_rank(tmp_path: Path) -> None:
    """A run that goes on with fewer processes keeps nothing of the others that is later."""
    for rank in range(3):
        fill(RecordLog(tmp_path, rank), 5)
    RecordLog(tmp_path).truncate(2)
    assert steps(RecordLog(tmp_path)) == [0, 1, 2] * 3


class _Full:
    """A file on a full disk."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Full:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, _: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is an OSError, no half a shard stays behind, and the next write goes through."""
    log = RecordLog(tmp_path)
    fill(log, 1)
    real = Path.open
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda self, *a, **k: _Full(real(self, *a, **k)))
        with pytest.raises(OSError, match="No space left"):
            fill(log, 1, first=1)
    assert [path.name for path in tmp_path.iterdir()] == ["rank00000-000000000-000000000.parquet"]
    fill(log, 1, first=2)
    assert steps(RecordLog(tmp_path)) == [0, 2]


def test_large_shards_have_row_groups(tmp_path: Path) -> None:
    """Small batches are put together, so that a query can skip row groups and reads few of them."""
    log = RecordLog(tmp_path)
    one = pa.Table.from_pylist([{**row, "components": None} for row in _complete(1000)], SCHEMA).to_batches()[0]
    path = log.write([one] * 300)
    assert pq.read_metadata(path).num_rows == 300_000
    assert pq.read_metadata(path).num_row_groups <= 6


# --- earlier versions -----------------------------------------------------------------------------------------------


def test_an_old_log_is_read_and_gone_on_with(tmp_path: Path) -> None:
    """Shards without the columns of rivals are records like others: read, queried, cut, compacted, appended to."""
    log = RecordLog(tmp_path)
    (old,) = OLD_SCHEMAS.values()
    for step in range(8):
        table = table_from_records([record(path="old", step=step, loss_empty=0.25)]).select(old.names).cast(old)
        pq.write_table(table, tmp_path / Shard.name(0, step, step))
    assert RecordLog(tmp_path).read()["loss_rival"].null_count == 8
    log = RecordLog(tmp_path)
    log.truncate(6)
    for step in range(7, 24):
        write(log, [record(path="new", step=step, loss_rival=0.25, rival="a dog")])
    for _ in range(2):
        assert log.unreadable == {}
        rows = read_shards(connect(), log.files()).order("step").fetchall()
        assert [(row[0], row[1], *row[10:]) for row in rows] == [
            *((step, "old", None, None) for step in range(7)),
            *((step, "new", 0.25, "a dog") for step in range(7, 24)),
        ]
        log.compact()
    assert len(log.files()) < 16


def test_only_an_old_log(tmp_path: Path) -> None:
    """Where every shard is old, the columns that it lacks are there and hold nothing."""
    (old,) = OLD_SCHEMAS.values()
    pq.write_table(table_from_records([record()]).select(old.names).cast(old), tmp_path / Shard.name(0, 0, 0))
    found = read_shards(connect(), RecordLog(tmp_path).files())
    assert found.columns == SCHEMA.names
    assert found.fetchall()[0][10:] == (None, None)


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    """Its records may mean something else."""
    later = SCHEMA.with_metadata({"loss_logging": "records/3"})
    pq.write_table(pa.Table.from_pylist([], later), tmp_path / Shard.name(0, 0, 0))
    with pytest.raises(LogVersionError, match="records/3"):
        RecordLog(tmp_path)


def _complete(rows: int) -> list[dict[str, Any]]:
    rest = {
        "step": 0,
        "timestep": None,
        "loss_empty": None,
        "is_reg": False,
        "caption_dropped": False,
        "loss_rival": None,
        "rival": None,
    }
    return [record(path=str(i)) | rest for i in range(rows)]
