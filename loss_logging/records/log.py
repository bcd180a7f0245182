"""RecordLog: the append-only log of records, immutable Parquet shards in one folder.

A shard is named ``rank00000-000000012-000000019.parquet``: the rank that wrote it and the first and last of the
sequence numbers it holds. A freshly written shard holds one; a compacted one holds the run it replaced. That makes
every step crash-safe without a manifest: files appear by rename, and a shard whose numbers lie within another's is left
over from an interrupted compaction and is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from loss_logging.errors import LossLoggingError
from loss_logging.records.columns import LAST_STEP, OLD_SCHEMAS, SCHEMA, completed
from loss_logging.support.files import remove_leftovers, whole_file
from loss_logging.support.warn import warn_once

__all__ = ["FOREVER", "SHARD_ROWS", "LogVersionError", "RecordLog", "Shard", "ShardSink", "write_shard"]

FOREVER = LAST_STEP
"""After every step that a run comes to."""
SHARD_ROWS = 131_072
"""How many records a shard is written with, and a row group holds."""

_TIERS = (4_096, 65_536, 1_048_576)
"""Shards with fewer rows than a tier are merged with their neighbours once `_RUN` of them stand in a row."""
_RUN = 16
_DICTIONARY = ["step", "path", "dataset", "caption", "rival"]
_FLOATS = ["loss", "timestep", "loss_empty", "loss_rival"]
_EXACT = [field.name for field in SCHEMA if field.name not in (*_FLOATS, "components")]
"""The columns with statistics: those of floats leave NaN out, so that a reader that trusts them finds none."""


class ShardSink(Protocol):
    """Where a recorder's records go: a log on this machine, one that waits for its disk, or another rank's."""

    @property
    def folder(self) -> Path:
        """The folder that errors name."""

    def write(self, batches: Iterable[pa.RecordBatch]) -> object:
        """Append one shard.

        Raises:
            OSError: nothing was appended.
        """


class LogVersionError(LossLoggingError):
    """The log was written by a later version of loss_logging."""


class Shard(NamedTuple):
    """One file of the log; sorts by rank, then by the order of writing."""

    rank: int
    first: int
    last: int
    path: Path

    @classmethod
    def parse(cls, path: Path) -> Shard | None:
        """The shard at ``path``, or None when the name is not a shard's."""
        parts = path.stem.removeprefix("rank").split("-")
        if path.suffix != ".parquet" or not path.name.startswith("rank") or len(parts) != 3:
            return None
        if not all(part.isdecimal() for part in parts):
            return None
        rank, first, last = map(int, parts)
        return cls(rank, first, last, path)

    @staticmethod
    def name(rank: int, first: int, last: int) -> str:
        return f"rank{rank:05d}-{first:09d}-{last:09d}.parquet"


class RecordLog:
    """The log in ``folder``, read by any process and written by one for each ``rank``.

    Example:
        >>> import tempfile
        >>> from loss_logging import SampleRecord
        >>> from loss_logging.records.columns import table_from_records
        >>> log = RecordLog(Path(tempfile.mkdtemp()))
        >>> _ = log.write(table_from_records([SampleRecord("a.png", "cats", "a cat", 0.5, step=1)]).to_batches())
        >>> log.read().num_rows, [shard.name for shard in log.files()]
        (1, ['rank00000-000000000-000000000.parquet'])
    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self.folder = folder
        self.rank = rank
        self._readable: dict[Path, bool] = {}
        self.unreadable: dict[Path, str] = {}
        """Files that are named like shards and are none, and why; they are left out and left alone."""
        self._shards()  # a log that a later version wrote is refused here, and not in the middle of a run

    def files(self) -> list[Path]:
        """The files that hold the log's records, each record once, by rank and in the order of writing."""
        return [shard.path for shard in self._shards()]

    def clean(self) -> None:
        """Remove what killed processes left: unfinished files, and shards that a compaction has replaced.

        Only before anybody writes. A replaced shard would come back when the one that replaced it goes.
        """
        remove_leftovers(self.folder, "rank")
        for shard in self._found() - set(self._shards()):
            shard.path.unlink(missing_ok=True)

    def last_step_of_all(self) -> int:
        """The last step that any rank has written, -1 for none."""
        return max((self.last_step(rank) for rank in {shard.rank for shard in self._shards()}), default=-1)

    def last_step(self, rank: int) -> int:
        """The last step that ``rank`` has written, -1 for none; steps ascend within a rank."""
        mine = [shard.path for shard in self._shards() if shard.rank == rank]
        steps = _step_range(mine[-1]) if mine else None
        return steps[1] if steps else -1

    def read(self) -> pa.Table:
        """The whole log in memory: for tests and small logs."""
        return pa.concat_tables([SCHEMA.empty_table(), *(pq.read_table(path, schema=SCHEMA) for path in self.files())])

    def write(self, batches: Iterable[pa.RecordBatch]) -> Path:
        """Append one shard, durable when this returns.

        Raises:
            OSError: the disk is full or the folder cannot be written; the log is as it was before.
        """
        path = self._next_path(self.rank)
        self._write(path, batches)
        return path

    def append(self, rank: int, shard: Iterable[bytes]) -> None:
        """Append a shard of another rank, as the pieces of its file; like `write` otherwise."""
        with whole_file(self._next_path(rank)) as file:
            file.writelines(shard)

    def _next_path(self, rank: int) -> Path:
        place = 1 + max((shard.last for shard in self._named() if shard.rank == rank), default=-1)
        return self.folder / Shard.name(rank, place, place)

    def truncate(self, step: int) -> None:
        """Forget every rank's records after ``step``; records at ``step`` stay. Only before anybody writes."""
        with self.rewriting():
            self.clean()
            for path in reversed(self.files()):  # the latest first: interrupted, no gap stays before what is left
                steps = _step_range(path)
                if steps is None or steps[0] > step:
                    path.unlink()
                elif steps[1] > step:
                    self._write(path, (b.filter(pc.less_equal(b["step"], step)) for b in _batches(path)))

    def compact(self) -> None:
        """Merge runs of small shards, so that the number of files grows with the logarithm of the number of writes.

        Readers that listed the files before see some of them vanish, and have to list them again.
        """
        with self.rewriting():
            for rows in _TIERS:
                self._compact(rows)

    def _compact(self, rows: int) -> None:
        """Merge the runs of shards that have fewer than so many rows each."""
        run: list[Shard] = []
        for shard in self._shards():
            follows = not run or (shard.rank == run[-1].rank and shard.first == run[-1].last + 1)
            small = pq.read_metadata(shard.path).num_rows < rows
            if run and not (follows and small):
                self._merge(run)
                run = []
            run += [shard] if small else []
        self._merge(run)

    def _merge(self, run: list[Shard]) -> None:
        if len(run) < _RUN:
            return
        merged = self.folder / Shard.name(run[0].rank, run[0].first, run[-1].last)
        self._write(merged, (batch for shard in run for batch in _batches(shard.path)))
        for shard in run:
            shard.path.unlink()

    def rewriting(self) -> FileLock:
        """Held while shards are replaced: a reporter that outlived its trainer may still be compacting."""
        return FileLock(self.folder / ".rewriting.lock")

    def _found(self) -> set[Shard]:
        return {shard for shard in self._named() if self._is_readable(shard.path)}

    def _named(self) -> set[Shard]:
        return set(filter(None, map(Shard.parse, self.folder.glob("rank*.parquet"))))

    def _is_readable(self, path: Path) -> bool:
        """Whether the file is a shard; each is looked at once.

        Raises:
            LogVersionError: a later version of loss_logging wrote it.
        """
        if path not in self._readable:
            try:
                schema = pq.read_schema(path)
                version = (schema.metadata or {}).get(b"loss_logging")
            except FileNotFoundError:  # compacted since the folder was listed
                return False
            except (pa.ArrowInvalid, OSError) as error:
                self._leave_out(path, f"it cannot be read ({error})")
                return False
            known = {SCHEMA.metadata[b"loss_logging"]: SCHEMA, **OLD_SCHEMAS}
            if version is not None and version not in known:
                raise LogVersionError(
                    f"{path} is of version {version.decode(errors='replace')!r}; this version of loss_logging reads "
                    f"{SCHEMA.metadata[b'loss_logging'].decode()!r}: install the newer one, or use another save_root"
                )
            if version is None or (schema.names, schema.types) != (known[version].names, known[version].types):
                self._leave_out(path, "it is no file of a record log")
                return False
            self._readable[path] = True
        return self._readable[path]

    def leave_out_damaged(self) -> bool:
        """Read every shard whole, and leave out those that cannot be; says whether there was one.

        A footer that is whole says nothing of the data before it, which is too much to read each time.
        """
        damage = {path: reason for path in self.files() if (reason := _damage(path)) is not None}
        for path, reason in damage.items():
            self._leave_out(path, f"its data is damaged ({reason})")
        return bool(damage)

    def _leave_out(self, path: Path, reason: str) -> None:
        self.unreadable[path] = reason
        self._readable[path] = False
        warn_once(f"unreadable {path}", f"{path} is left out of the log: {reason}")

    def _shards(self) -> list[Shard]:
        kept: list[Shard] = []
        for shard in sorted(self._found(), key=lambda shard: (shard.rank, shard.first, -shard.last)):
            if kept and kept[-1].rank == shard.rank and shard.last <= kept[-1].last:
                continue
            kept.append(shard)
        return kept

    def _write(self, path: Path, batches: Iterable[pa.RecordBatch]) -> None:
        with whole_file(path) as file:
            write_shard(file, batches)


def write_shard(file: IO[bytes], batches: Iterable[pa.RecordBatch]) -> None:
    """Write records as one Parquet shard."""
    with pq.ParquetWriter(
        file,
        SCHEMA,
        compression="zstd",
        use_dictionary=_DICTIONARY,
        use_byte_stream_split=_FLOATS,
        write_statistics=_EXACT,
    ) as writer:
        for table in _row_groups(batches):
            writer.write_table(table, row_group_size=SHARD_ROWS)


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in tables of a row group or more, whatever the size of the batches that they came in."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(b.num_rows for b in held) >= SHARD_ROWS:
            yield pa.Table.from_batches(held, SCHEMA)
            held = []
    yield pa.Table.from_batches(held, SCHEMA)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=SHARD_ROWS):
            yield completed(batch)


def _damage(path: Path) -> str | None:
    """What is wrong with the data of a shard; None when all of it can be read."""
    try:
        for _ in _batches(path):
            pass
    except (pa.ArrowException, OSError) as error:
        return str(error)
    return None


def _step_range(path: Path) -> tuple[int, int] | None:
    """The first and last step in a shard, from its footer alone; None for a shard without records."""
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    statistics = [group.column(0).statistics for group in groups if group.num_rows]
    return (min(s.min for s in statistics), max(s.max for s in statistics)) if statistics else None
