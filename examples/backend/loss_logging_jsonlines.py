"""A logger backend to copy: every report, and the means between reports, as a line of JSON.

    pip install examples/backend
    pytest --loss-logging-backend jsonlines --loss-logging-reader loss_logging_jsonlines:read

and then ``loggers: [jsonlines]``, or ``loggers: [{name: jsonlines, file: losses.jsonl}]``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from loss_logging import LossReport, TrainConfig
from loss_logging.testing import Contents


class JsonLinesBackend:
    """Appends to ``file``, by default ``{save_root}/loss_logging/{job_name}.jsonl``."""

    name = "jsonlines"

    def __init__(self, *, file: str | Path) -> None:
        self._path = Path(file)  # opened at the first write, so that a run that logs nothing leaves no file

    @classmethod
    def from_config(cls, config: TrainConfig, *, file: str | Path | None = None) -> JsonLinesBackend:
        """The options of an entry in ``loggers``, and what the run's configuration says."""
        return cls(file=file or config.out_dir / f"{config.job_name}.jsonl")

    def write(self, report: LossReport) -> None:
        """One line, written by one call: a report that fails leaves nothing of itself."""
        tables = {name: {"columns": t.columns, "rows": t.rows} for name, t in report.tables.items()}
        histograms = {name: histogram.counts for name, histogram in report.histograms.items()}
        curves = {name: [mean or 0.0 for mean in curve.means] for name, curve in report.curves.items()}
        line = {"scalars": report.scalars, "histograms": histograms | curves, "tables": tables}
        self._append({"step": report.job.step, **line})

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """One line."""
        self._append({"step": step, "scalars": dict(scalars)})

    def close(self) -> None:
        """Every line is in the file."""

    def _append(self, line: dict[str, Any]) -> None:
        # Captions may hold lone surrogates, which no encoding has.
        text = msgspec.json.encode(_encodable(line)) + b"\n"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(text)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_encodable(name): _encodable(member) for name, member in value.items()}
    return [_encodable(member) for member in value] if isinstance(value, list) else value


def read(_backend: JsonLinesBackend, config: TrainConfig) -> Contents:
    """What the file holds, for the conformance suite."""
    contents = Contents(defaultdict(list), defaultdict(dict), defaultdict(dict))
    for line in map(msgspec.json.decode, (config.out_dir / f"{config.job_name}.jsonl").read_bytes().splitlines()):
        for name, value in line["scalars"].items():
            contents.scalars[name].append((line["step"], value))
        for name, heights in line.get("histograms", {}).items():
            contents.histograms[name][line["step"]] = heights
        for name, table in line.get("tables", {}).items():
            contents.tables[name][line["step"]] = len(table["rows"])
    return contents
