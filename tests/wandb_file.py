"""Reads an offline W&B run back from its ``.wandb`` file: LevelDB log framing around protobuf records."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from waiting import wait_until

_BLOCK = 32 * 1024
_RECORD_HEADER = 7  # crc32 (4), length (2), type (1)
_FILE_HEADER = 7  # ":W&B", magic (2), version (1)
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def read_payloads(path: Path) -> Iterator[bytes]:
    """The payload of each record; raises AssertionError on a bad header or checksum."""
    data = path.read_bytes()
    assert data[:4] == b":W&B", data[:_FILE_HEADER]
    position, parts = _FILE_HEADER, []
    while position < len(data):
        left_in_block = _BLOCK - position % _BLOCK
        if left_in_block < _RECORD_HEADER:
            position += left_in_block
            continue
        crc = int.from_bytes(data[position : position + 4], "little")
        length = int.from_bytes(data[position + 4 : position + 6], "little")
        kind = data[position + 6]
        payload = data[position + _RECORD_HEADER : position + _RECORD_HEADER + length]
        assert crc == zlib.crc32(bytes([kind]) + payload), f"bad checksum at byte {position}"
        position += _RECORD_HEADER + length
        parts.append(payload)
        if kind in (_FULL, _LAST):
            yield b"".join(parts)
            parts = []
    assert not parts, "the file ends within a record"


def finished_payloads(path: Path) -> list[bytes]:
    """All payloads, once the last one says that the run is over: W&B writes on for some 10 ms after ``finish()``."""

    def read() -> list[bytes]:
        payloads = _whole_payloads(path)
        return payloads if any(parsed(payload).HasField("exit") for payload in payloads) else []

    wait_until(read)
    return list(read_payloads(path))


def parsed(payload: bytes) -> Any:
    from wandb.proto.wandb_internal_pb2 import Record

    record = Record()
    record.ParseFromString(payload)
    return record


class OfflineRun:
    """What an offline run holds: its history ``rows`` in order, its logged ``artifacts``, its metric definitions."""

    def __init__(self, run_dir: str | Path) -> None:
        """``run_dir`` is the run's folder (``offline-run-...``), its ``files`` folder, or a folder above one run."""
        run_dir = Path(run_dir)
        run_dir = run_dir.parent if run_dir.name == "files" else run_dir
        (path,) = run_dir.rglob("*.wandb")
        self.dir = path.parent
        self.rows: list[dict[str, Any]] = []
        self.artifacts: list[Any] = []
        self.metrics: list[Any] = []
        self.exit_code: int | None = None
        self.run: Any = None
        for record in map(parsed, finished_payloads(path)):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                self.rows.append(_row(record.history.item))
            elif kind == "artifact":
                self.artifacts.append(record.artifact)
            elif kind == "metric":
                self.metrics.append(record.metric)
            elif kind == "run":
                self.run = record.run
            elif kind == "exit":
                self.exit_code = record.exit.exit_code

    def rows_with(self, key: str) -> list[dict[str, Any]]:
        """The history rows that have ``key``."""
        return [row for row in self.rows if key in row]

    def table(self, value: dict[str, Any]) -> dict[str, Any]:
        """``columns`` and ``data`` of a table that a history row refers to."""
        assert value["_type"] == "table-file", value
        table: dict[str, Any] = json.loads((self.dir / "files" / value["path"]).read_text("utf-8"))
        return table


def _row(items: Iterable[Any]) -> dict[str, Any]:
    """The values by key; the parts of a histogram or table come one by one, with a nested key."""
    row: dict[str, Any] = {}
    for item in items:
        *parents, key = item.nested_key or [item.key]
        values = row
        for parent in parents:
            values = values.setdefault(parent, {})
        values[key] = json.loads(item.value_json)
    return row


def history(folder: Path, unfinished: int = 0) -> list[list[dict[str, Any]]]:
    """The history rows of each run file below ``folder``, oldest first, so many of which were never finished."""
    paths = sorted(folder.rglob("*.wandb"), key=lambda path: path.stat().st_mtime_ns)

    def read() -> list[list[Any]] | None:
        files = [[parsed(payload) for payload in _whole_payloads(path)] for path in paths]
        ended = sum(any(record.HasField("exit") for record in records) for records in files)
        return files if ended >= len(paths) - unfinished else None

    files = wait_until(read, every=0.05) if paths else []
    assert files is not None
    return [[_row(r.history.item) for r in records if r.WhichOneof("record_type") == "history"] for records in files]


def _whole_payloads(path: Path) -> list[bytes]:
    payloads = []
    try:
        for payload in read_payloads(path):
            payloads.append(payload)
    except AssertionError:  # it ends within a record
        pass
    return payloads


def finished(run: Any) -> OfflineRun:
    folder = run.dir
    run.finish()
    return OfflineRun(folder)
