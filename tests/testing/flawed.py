"""A backend that is a file, with the flaws that the conformance suite is there to find."""

from __future__ import annotations

import ctypes
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from loss_logging import LossReport, TrainConfig
from loss_logging.testing import Contents


class FileBackend:
    """Appends a line of JSON for each number, and ``{"table": name, "step": n, "rows": n}`` for each table."""

    name = "file"
    flaw = ""

    def __init__(self, config: TrainConfig) -> None:
        self._path = config.out_dir / "file.jsonl"
        self._closed = False

    @classmethod
    def from_config(cls, config: TrainConfig) -> FileBackend:
        return cls(config)

    def write(self, report: LossReport) -> None:
        if self.flaw == "text":
            "".join(flagged.caption for flagged in report.flagged).encode()
        limit = 100 if self.flaw == "rows" else None
        tables = {name: table.rows[:limit] for name, table in report.tables.items()}
        json.dumps([*tables.values()], default=repr)
        self._append(*({"table": name, "step": report.job.step, "rows": len(rows)} for name, rows in tables.items()))
        self.write_scalars(report.job.step, report.scalars)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        shown = {name.split("/")[-1]: value for name, value in scalars.items()} if self.flaw == "names" else scalars
        self._append(*({"name": name, "step": step, "value": value} for name, value in shown.items()))

    def close(self) -> None:
        if self.flaw == "close":
            if self._closed:
                raise RuntimeError("closed already")
            self._closed = True

    def _append(self, *lines: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


class Names(FileBackend):
    flaw = "names"


class Rows(FileBackend):
    flaw = "rows"


class Text(FileBackend):
    flaw = "text"


class Close(FileBackend):
    flaw = "close"


class Hog(FileBackend):
    """Keeps the interpreter to itself while it writes, as a library in C may."""

    def write(self, report: LossReport) -> None:
        ctypes.PyDLL(None).usleep(5_000_000)
        super().write(report)


def read(backend: Any, config: TrainConfig) -> Contents:
    scalars: dict[str, list[tuple[int, float]]] = defaultdict(list)
    tables: dict[str, dict[int, int]] = defaultdict(dict)
    for line in map(json.loads, (config.out_dir / "file.jsonl").read_text().splitlines()):
        if "table" in line:
            tables[line["table"]][line["step"]] = line["rows"]
        else:
            scalars[line["name"]].append((line["step"], line["value"]))
    return Contents(scalars, None, tables)
