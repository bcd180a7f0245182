"""Push: deliver the missing data of a run to a tracker, exactly once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from loss_logging.errors import LossLoggingError
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.locate import config_of, job_of
from loss_logging.runs.lock import RunLock
from loss_logging.support.progress_bar import progress_bar
from loss_logging.trackers.backends import Backend, BackendSpec, select_backends
from loss_logging.trackers.ledger import Ledger
from loss_logging.trackers.missed import Missed, all_missed
from loss_logging.trackers.noted import NotedBackend, Row
from loss_logging.trackers.pictures import PictureMaker

__all__ = ["Pushed", "push_job"]

_OF_THE_TRAINER = ("run", "writer")
"""Options whose values were objects in the trainer's process."""


class Pushed(msgspec.Struct, frozen=True):
    """The result of `push_job` for one job. ``failed``: a sentence for each failed delivery."""

    job_name: str
    reports: int
    rows: int
    failed: list[str]

    def __str__(self) -> str:
        if not (self.reports or self.rows or self.failed):
            return f"{self.job_name}: nothing was missed"
        return f"{self.job_name}: {_count(self.reports, 'report')} and {_count(self.rows, 'row')} of scalars delivered"


def push_job(
    latest_report: Path, to: str, options: Mapping[str, Any] | None = None, *, progress: bool = True
) -> Pushed:
    """Deliver the reports and scalars of a run that its ledger for a backend lacks, by step.

    Each is delivered once, also after a kill and a second call. The exception is the call that the kill interrupted;
    with W&B, the writes of the last moments.

    Args:
        latest_report: the newest JSON report of the run; its configuration counts.
        to: the backend, as in ``TrainConfig.loggers``.
        options: options of the backend; they override the run's own.
        progress: show a progress bar.

    Raises:
        ConfigError: there is no such backend, or an option is invalid.
        MissingExtraError: the backend needs a package that is not installed.
        LossLoggingError: the run is still going on, or the backend is an object of the trainer.
    """
    config = config_of(TrainConfig(job_name=job_of(latest_report), save_root=latest_report.absolute().parents[1]))
    spec = _spec(config, to, options or {})
    config.records_dir.mkdir(parents=True, exist_ok=True)
    lock = RunLock(config.records_dir, rank=0)
    lock.acquire()
    try:
        return _deliver(config, spec, progress)
    finally:
        lock.release()


def _deliver(config: TrainConfig, spec: BackendSpec, progress: bool) -> Pushed:
    ledger = Ledger.of(config, spec.name)
    lacking = all_missed(config, ledger)
    tracker = NotedBackend(spec, config, lambda backend, ledger: _prepare(backend, ledger, lacking))
    failed: list[str] = []
    refused, taken = _Refused(), False
    arrived: list[Row] = []
    rows = lacking.rows(lambda step, reason: failed.append(f"the report of step {step} was not delivered: {reason}"))
    label = f"{config.job_name} to {spec.name}"
    pictures = PictureMaker(config)
    for row in progress_bar(label, rows, total=len(lacking), shown=progress):
        if refused.is_hopeless and not taken:
            refused.untried += 1
            continue
        if isinstance(row.payload, LossReport):
            row = row._replace(payload=pictures.added_to(row.payload))
        try:
            tracker.write(row)
            taken = True
            arrived += tracker.settle()
        except Exception as error:  # noqa: BLE001 after any error, the next row is tried
            refused.add(row, error)
    try:
        arrived += tracker.close()
    except Exception as error:  # noqa: BLE001
        failed.append(f"the last rows may not have arrived: {type(error).__name__}: {error}")
    failed += refused.sentences()
    reports = sum(row.is_report for row in arrived)
    return Pushed(config.job_name, reports, len(arrived) - reports, failed)


class _Refused:
    """Failed deliveries by reason, so that a tracker that accepts none gives one sentence, not one per step."""

    FEW = 3
    """The number of failures with one reason, without any success, after which push gives up."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Row]] = {}
        self.untried = 0

    def add(self, row: Row, error: Exception) -> None:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        self._rows.setdefault(reason, []).append(row)

    @property
    def is_hopeless(self) -> bool:
        return len(self._rows) == 1 and sum(map(len, self._rows.values())) >= self.FEW

    def sentences(self) -> list[str]:
        found = []
        for reason, (first, *others) in self._rows.items():
            n = len(others) + self.untried * (len(self._rows) == 1)
            found.append(f"{first}{f' and {n:,} more' if n else ''} {'were' if n else 'was'} not delivered: {reason}")
        return found


def _prepare(backend: Backend, ledger: Ledger, lacking: Missed) -> None:
    """Tell the backend that the next data may be older than its own."""
    if ledger.path.exists():
        ledger.begin(backend)
    is_older = lacking.first is not None and (not ledger.path.exists() or lacking.first <= ledger.last)
    if is_older and lacking.first is not None:
        backend.backfill(lacking.first)


def _spec(config: TrainConfig, to: str, options: Mapping[str, Any]) -> BackendSpec:
    """The backend ``to`` with the options that the run gave it."""
    entries = [dict(entry) for entry in config.loggers if isinstance(entry, Mapping) and entry["name"] == to]
    given = {key: value for key, value in (entries or [{}])[0].items() if key not in _OF_THE_TRAINER}
    selection = select_backends([given | dict(options) | {"name": to}])
    if not selection.reporter:
        raise LossLoggingError(
            f"the logger {to!r} writes to an object of the trainer, which is gone"
            + ("; give the option --project to make a new run" if to == "wandb" else "")
        )
    return selection.reporter[0]


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
