from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers import run_statistics, write

from loss_logging.records.log import RecordLog


def hard_items(rows: list[dict[str, Any]], folder: Path) -> dict[str, float]:
    log = RecordLog(folder)
    write(log, rows)
    (numbers := run_statistics(log, timestep_scale=None, block_steps=100)).advance(100)
    return {item.path: item.score for item in numbers.worst_hard(999)}
