"""Earlier: the records of the evaluation of this name that was finished last."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.selection import Item
from loss_logging.records.columns import SCHEMA
from loss_logging.records.log import SHARD_ROWS, RecordLog
from loss_logging.runs.paths import RunPaths
from loss_logging.support.database import connect
from loss_logging.support.files import whole_file

__all__ = ["Earlier", "note_finished"]

_DECISIVE = ("model_id", "seed", "draws", "paired")
"""What the losses depend on: kept figures would mean something else."""
_DONE = "finished.json"


class _Finished(msgspec.Struct):
    """What an evaluation was asked for, and when it was done; ISO 8601 in UTC."""

    arguments: dict[str, Any]
    created: str


def note_finished(paths: RunPaths, arguments: Mapping[str, Any]) -> None:
    """Note that the log holds a whole evaluation, with the arguments that it had."""
    with whole_file(paths.evaluation_mark) as file:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        file.write(msgspec.json.encode(_Finished(dict(arguments), now)))


class Earlier:
    """The records of the evaluation that was finished last, with the draws that they are of.

    They are linked into a folder of their own, and stay there until the evaluation that keeps some of them is finished
    too: it replaces the log, and may be interrupted while it does.

    Args:
        paths: of the run, which this process holds.
        arguments: of the evaluation that is asked for now.
        memory_limit: most memory that looking for records may use; more goes to the disk.

    Raises:
        LossLoggingError: no evaluation of this name was finished.
        ConfigError: it was of another model, seed, or number of draws.

    Attributes:
        created: when that evaluation was finished, ISO 8601 in UTC.
    """

    def __init__(self, paths: RunPaths, arguments: Mapping[str, Any], memory_limit: str) -> None:
        self._folder = paths.evaluation / "earlier"
        if not (self._folder / _DONE).exists():
            _link(paths, self._folder)
        finished = msgspec.json.decode((self._folder / _DONE).read_bytes(), type=_Finished)
        _check(finished.arguments, arguments)
        self.created = finished.created
        self._draws: int = arguments["draws"]
        self._connection = connect(memory_limit, 1, paths.spill)
        files = [glob.escape(str(file)) for file in RecordLog(self._folder).files()]
        source = "read_parquet($files, filename = true, file_row_number = true)" if files else "nothing"
        if not files:
            empty = SCHEMA.empty_table().append_column("filename", pa.array([], pa.string()))
            self._connection.register("nothing", empty.append_column("file_row_number", pa.array([], pa.int64())))
        self._from = (source, {"files": files} if files else {})

    def close(self) -> None:
        """Give the memory back."""
        self._connection.close()

    def items(self) -> Iterator[tuple[Item, str, int]]:
        """Each item and caption, and how often it was evaluated with all draws."""
        source, given = self._from
        query = f"SELECT dataset, path, caption, count(*) FROM {source} GROUP BY ALL"
        for batch in self._connection.sql(query, params=given or None).to_arrow_reader(SHARD_ROWS):
            for dataset, path, caption, n in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield Item(dataset, path), caption, 0 if n % self._draws else n // self._draws

    def records(self, kept: Iterable[tuple[Item, str, int]]) -> Iterator[pa.RecordBatch]:
        """The records of some items and captions, so often each, with their draws as their steps.

        They were written by item and draw; what an item has of one caption is therefore as many of each draw.
        """
        rows = list(kept)
        table = {
            "dataset": pa.array([item.dataset for item, *_ in rows], pa.string()),
            "path": pa.array([item.path for item, *_ in rows], pa.string()),
            "caption": pa.array([caption for _, caption, _ in rows], pa.string()),
            "times": pa.array([times for *_, times in rows], pa.int64()),
        }
        self._connection.register("kept", pa.table(table))
        source, given = self._from
        names = ", ".join(["place // evaluated AS step", *SCHEMA.names[1:]])
        query = f"""
            SELECT {names} FROM (
                SELECT
                    *,
                    row_number() OVER (item ORDER BY filename, file_row_number) - 1 AS place,
                    count(*) OVER item // {self._draws} AS evaluated
                FROM {source}
                WINDOW item AS (PARTITION BY dataset, path, caption)
            )
            JOIN kept USING (dataset, path, caption)
            WHERE place % evaluated < times
        """
        for batch in self._connection.sql(query, params=given or None).to_arrow_reader(SHARD_ROWS):
            yield batch.cast(SCHEMA)


def _link(paths: RunPaths, folder: Path) -> None:
    try:
        finished = paths.evaluation_mark.read_bytes()
    except FileNotFoundError:
        finished = b""
    if not finished:
        raise LossLoggingError(
            f"only: {paths.out_dir} holds no finished evaluation named {paths.job!r} that says of which model it is, "
            "so that there are no figures to keep; evaluate everything once, without only"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for shard in RecordLog(paths.records).files():
        _link_one(shard, folder / shard.name)
    with whole_file(folder / _DONE) as file:
        file.write(finished)


def _link_one(file: Path, to: Path) -> None:
    try:
        os.link(file, to)
    except OSError:  # a file system without links
        shutil.copyfile(file, to)


def _check(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = [
        f"{name} was {before.get(name)!r} and is {now[name]!r}" for name in _DECISIVE if before.get(name) != now[name]
    ]
    if changed:
        raise ConfigError(
            f"only: the last report of this job is another model's or another setting's ({'; '.join(changed)}): "
            "figures of both would stand side by side; evaluate everything, without only, or under another job_name"
        )
