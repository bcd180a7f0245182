"""Does one piece of work again and again, and dies at another point of it each time.

``python kill_points.py FOLDER WORK FIRST STRIDE``: the n-th run works on the copy FOLDER/n of FOLDER/before, and dies
before the (FIRST + n * STRIDE)-th call that changes the disk. The last run comes to its end. Forks: an interpreter for
each would take hours.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import training_run
from training_run import LAST, SAVE

from loss_logging import LossLogger, LossReport
from loss_logging.records import log as record_log
from loss_logging.records.log import RecordLog
from loss_logging.reports.artifact import write_report
from loss_logging.reports.report import Job, Summary
from loss_logging.training import recorder, reporter

DIED = 9
STEP = 10
"""Where ``truncate`` and ``resume`` go back to."""


def write(folder: Path) -> None:
    log = RecordLog(folder)
    log.write(log.read().slice(0, 3).to_batches())


def compact(folder: Path) -> None:
    RecordLog(folder).compact()


def truncate(folder: Path) -> None:
    RecordLog(folder).truncate(STEP)


def report(folder: Path, name: str = "new") -> None:
    write_report(
        folder / "job_000000001.json",
        LossReport(job=Job(name, 1, ""), global_=Summary(0, None, None, None, None, None, 0, {})),
    )


def inline(folder: Path, **options: Any) -> LossLogger:
    """A logger that works in this process alone."""
    return LossLogger(
        **training_run.options(folder, reporter="inline", timeouts={"flush": 0.0001}, keep_reports=3, **options)
    )


def run(folder: Path) -> None:
    """A short run, from its start."""
    with inline(folder) as losses:
        go_on(losses, 0)


def go_on(losses: LossLogger, after: int) -> None:
    """Train to the end of the short run."""
    for step in range(after + 1, 3 * SAVE + 1):
        training_run.log(losses, step)
        time.sleep(0.002)
        if step % SAVE == 0:
            losses.save_step(step)


def resume(folder: Path) -> None:
    """Go back to the first save step."""
    with inline(folder) as losses:
        losses.resume(SAVE)


def archive(folder: Path) -> None:
    """A new run where there is one."""
    with inline(folder) as losses:
        training_run.log(losses, LAST)


WORK: dict[str, Callable[..., None]] = {
    work.__name__: work for work in (write, compact, truncate, report, run, resume, archive)
}
CHANGES = [(os, "fsync"), (os, "rename"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir"), (Path, "touch")]


def die_before(point: int) -> None:
    """End the process before the ``point``-th change of the disk from here on."""
    calls = count(1)

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if next(calls) == point:
                os._exit(DIED)
            return function(*args, **options)

        return call

    for owner, name in CHANGES:
        setattr(owner, name, deadly(getattr(owner, name)))


def main(folder: Path, work: str, first: int, stride: int) -> None:
    recorder._DRAIN_SECONDS = recorder._PAUSE_SECONDS = 0.0001  # many small shards, compacted often
    record_log._RUN = 4
    reporter._COMPACT_FILES = 8
    for n in count():
        copy = folder / str(n)
        shutil.copytree(folder / "before", copy)
        if (child := os.fork()) == 0:
            die_before(first + n * stride)
            WORK[work](copy)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != DIED:
            sys.exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
