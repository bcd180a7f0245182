"""Reports that are made from the log of a run that has ended."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb

from loss_logging.errors import LossLoggingError
from loss_logging.records.log import RecordLog
from loss_logging.reports.names import by_step, report_files
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.facts import RunFacts, read_facts
from loss_logging.runs.locate import (
    Place,
    config_of,
    find_report,
    job_of,
    logs_in,
    place_of,
    save_root_of,
)
from loss_logging.runs.lock import RunLock, is_locked
from loss_logging.runs.paths import opened_run
from loss_logging.support.object_store import as_url
from loss_logging.support.progress_bar import announced
from loss_logging.training.ranks.awaited import AwaitedRanks
from loss_logging.training.report_maker import ReportMaker

__all__ = ["find_log", "find_or_make_report", "make_missing_reports", "make_report"]


def make_report(run: TrainConfig, step: int | None = None, *, progress: bool = False) -> Path:
    """Make the report of a run from its log, with the figures of the run's own reporter. Returns the path of the JSON.

    Args:
        run: the run, by its ``job_name`` and ``save_root``. The configuration is the one that the run began with.
        step: the last step in the report; the last step of the log when None.
        progress: whether to show a line on a terminal meanwhile.

    Raises:
        LossLoggingError: the log has no records, or no such step; the run is not over; the log cannot be read.
        OSError: the folder cannot be written.
    """
    facts = read_facts(run) or RunFacts(config_of(run).to_dict())
    config = config_of(run, facts.config)
    log = RecordLog(config.records_dir)
    last = log.last_step_of_all()
    if last < 0:
        raise LossLoggingError(f"{config.records_dir} holds no records: a report needs some")
    if step is not None and not 0 <= step <= last:
        raise LossLoggingError(f"the log in {config.records_dir} ends at step {last}; it has no step {step}")
    if is_locked(config.records_dir, rank=0):
        raise LossLoggingError(
            f"the run {config.job_name!r} in {config.local_root} is not over: its report comes with its next save "
            "step. Until then, loss-logging view shows the records"
        )
    lock = RunLock(config.records_dir, rank=0)
    lock.acquire()
    try:
        step = last if step is None else step
        with (
            announced(f"making the report of step {step}", shown=progress),
            closing(ReportMaker(config, log, facts)) as maker,
        ):
            return _made(maker, config, log, facts, step)
    finally:
        lock.release()


def _made(maker: ReportMaker, config: TrainConfig, log: RecordLog, facts: RunFacts, step: int) -> Path:
    try:
        report = _report(maker, config, log, facts, step)
        if not report.global_.count:
            raise LossLoggingError(f"the log in {config.records_dir} begins after step {step}; give a later one")
        return maker.write(report)
    except duckdb.Error as error:
        if log.leave_out_damaged():  # then it was this, and the next attempt does without
            return _made(maker, config, log, facts, step)
        raise LossLoggingError(f"the log in {config.records_dir} cannot be read: {error}") from error


def _report(maker: ReportMaker, config: TrainConfig, log: RecordLog, facts: RunFacts, step: int) -> LossReport:
    run = opened_run(config.paths)  # None in a copy of the folder, where nothing tells how far each rank came
    missing = AwaitedRanks(log, run, facts.world_size, timeout=0.0).wait(step) if run is not None else []
    earlier = [at for at in by_step(config.report_paths()) if at < step]
    window = max([(step - 1) // config.log_every * config.log_every, *earlier])
    means = maker.statistics.recent(window, step, config.log_every) if config.log_per_dataset else []
    return maker.report(step, means[-1][1] if means and means[-1][0] == step else {}, missing)


def find_log(given: str | Path, job: str | None = None) -> TrainConfig:
    """The job and the folder of the run that ``given`` names, for `make_report`. The log behind a URL is copied.

    Args:
        given: a ``save_root`` or its folder ``loss_logging``, either with a save step; or a JSON report in it.
        job: the job's name, for a folder with several jobs; the job that was written last when None.

    Raises:
        LossLoggingError: there is no such log; the message lists those that are there.
    """
    place = place_of(given)
    job = job or place.job
    if as_url(place.root) is not None:
        from loss_logging.runs.store.download import StoredRun

        run = StoredRun(place.root, job)
        return TrainConfig(job_name=run.job, save_root=run.fetch(reports=1))
    root = Path(place.root)
    if not root.is_dir():
        raise LossLoggingError(f"{root} is not there; give the save_root of a run")
    logs = logs_in(root)
    if not logs:
        raise LossLoggingError(f"{root} holds no records (loss_logging/records/JOB); give the save_root of a run")
    if job is not None and job not in logs:
        raise LossLoggingError(f"{root} holds no records of the job {job!r}; there are: {', '.join(logs)}")
    return TrainConfig(job_name=job or logs[0], save_root=save_root_of(root))


def find_or_make_report(given: str | Path, job: str | None = None) -> Path:
    """The JSON report that ``given`` names, see `find_report`. For a run without reports it is made from the log.

    Raises:
        LossLoggingError: there is neither a report nor a log, or the run is not over.
        OSError: the folder cannot be written.
    """
    place = place_of(given)
    if Path(given).is_file() or _has_report(place, job):
        return find_report(given, job)
    try:
        run = find_log(given, job)
    except LossLoggingError:
        return find_report(given, job)  # which says what there is
    return make_report(run, place.step, progress=True)


def make_missing_reports(folder: Path, job: str | None = None) -> None:
    """Make the last report of each job in ``folder`` that has none and is over; only of ``job`` where it is given."""
    for name in logs_in(folder):
        run = TrainConfig(job_name=name, save_root=save_root_of(folder))
        if job in (None, name) and not run.report_paths() and not is_locked(run.records_dir, rank=0):
            make_report(run, progress=True)


def _has_report(place: Place, job: str | None) -> bool:
    if as_url(place.root) is not None:
        from loss_logging.runs.store.download import StoredRun

        return bool(StoredRun(place.root, job or place.job).reports())
    folders = (Path(place.root), Path(place.root, "loss_logging"))
    return any(job in (None, job_of(path)) for folder in folders for path in report_files(folder))
