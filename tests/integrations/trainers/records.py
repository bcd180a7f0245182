"""Read back the records that a run has logged, step by step."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def by_step(save_root: Path) -> dict[int, list[dict[str, Any]]]:
    """The records of each step, from the log on disk."""
    steps: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for path in sorted((save_root / "loss_logging" / "records").rglob("*.parquet")):
        for row in pq.ParquetFile(path).read().to_pylist():
            steps[row["step"]].append(row)
    return dict(steps)


def component(row: dict[str, Any], name: str) -> float:
    """One of a record's components."""
    return dict(row["components"])[name]
