"""Runs in a store in memory or elsewhere, as the tests of object stores make them and look at them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import fsspec

from loss_logging import LossLogger, read_report
from loss_logging.records.log import RecordLog
from loss_logging.runs.store.download import StoredRun
from loss_logging.runs.store.manifest import Manifest, manifest_name, read_manifest
from loss_logging.support.object_store import ObjectStore

MEMORY = "memory://bucket/run"


def logger(url: str, spool: Path, **options: Any) -> LossLogger:
    defaults: dict[str, Any] = {"job_name": "cats", "loggers": [], "reporter": "inline", "timeouts": {"close": 20.0}}
    return LossLogger(save_root=url, spool=spool, **(defaults | options))


def log(losses: LossLogger, *steps: int) -> None:
    for step in steps:
        losses.log_batch(step, [0.25, 0.75], paths=["a.png", "b.png"], datasets="d", captions=["a cat", "a dog"])


def train(url: str, spool: Path, *steps: int, resume: int | None = None, **options: Any) -> list[str]:
    """A run that saves after each step; what it could not deliver."""
    losses = logger(url, spool, **options)
    if resume is not None:
        losses.resume(resume)
    for step in steps:
        log(losses, step)
        losses.save_step(step).result()
    return losses.close()


def manifest(url: str, job: str = "cats") -> Manifest:
    found = read_manifest(ObjectStore(url), manifest_name(job))
    assert found is not None
    return found


def counts(url: str, tmp_path: Path) -> list[int]:
    """Records of each report in the store, and of the log there, as somebody on a third machine sees them."""
    run = StoredRun(url, "cats", tmp_path / f"third-{time.monotonic_ns()}")
    reports = [read_report(run.fetch_report(step)).global_.count for step in run.reports()]
    folder = run.fetch()
    return [*reports, RecordLog(folder / "loss_logging/records/cats").read().num_rows]


def left_behind() -> set[str]:
    """The objects in memory that belong to no run."""
    stored = fsspec.filesystem("memory").find("/bucket/run/loss_logging")
    named = {f"/bucket/run/{entry.key}" for entry in manifest(MEMORY).files.values()}
    return set(stored) - named - {f"/bucket/run/{manifest_name('cats')}"}
