from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import psutil

from loss_logging import LossLogger


def reporters(parent: psutil.Process | None = None) -> list[psutil.Process]:
    """The living reporter processes of this test."""
    found = []
    for child in (parent or psutil.Process()).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "loss_logging.training.reporter" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("loss_logging")}


def logger(folder: Path, **options: Any) -> LossLogger:
    defaults: dict[str, Any] = {"job_name": "run", "save_root": folder, "loggers": [], "timeouts": {"close": 30.0}}
    return LossLogger(**(defaults | options))


def log(losses: LossLogger, step: int, n: int = 2) -> None:
    losses.log_batch(step, [0.5] * n, paths=[f"{i}" for i in range(n)], datasets="d", captions=["a cat"] * n)
