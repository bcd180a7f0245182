from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers import strict_json

from loss_logging import LossLogger


def logger(folder: Path, **options: Any) -> LossLogger:
    """An inline logger named "run"."""
    defaults: dict[str, Any] = {"job_name": "run", "save_root": folder, "loggers": [], "reporter": "inline"}
    return LossLogger(**(defaults | options))


def log(losses: LossLogger, step: int, loss: float = 0.5, n: int = 2, dataset: str = "d", first: int = 0) -> None:
    paths = [f"{first + i}" for i in range(n)]
    losses.log_batch(step, [loss] * n, paths=paths, datasets=dataset, captions=["a cat on a sofa"] * n)


def saved(losses: LossLogger, step: int) -> dict[str, Any]:
    path = losses.save_step(step).result(30)
    assert path is not None
    return strict_json(path)
