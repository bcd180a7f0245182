"""Which report a person means by a path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from loss_logging.errors import LossLoggingError
from loss_logging.reports.artifact import ReportError, read_without_items
from loss_logging.reports.names import by_step, job_and_step, report_files
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.paths import FOLDER
from loss_logging.support.object_store import as_url

__all__ = ["config_of", "find_report", "find_run", "job_of", "last_two", "latest_reports", "reports_in", "runs_in"]


def find_report(given: str | Path, job: str | None = None) -> Path:
    """The JSON report that ``given`` means.

    Args:
        given: a JSON report; a ``save_root`` or its ``loss_logging``, for the report that was written last; or either
            of the two with a save step, ``runs/cats@500``. Of a URL the report is copied to this machine.
        job: the job's name, where a folder holds several; the one that was written last when None.

    Raises:
        LossLoggingError: there is no such report; says what there is.
    """
    if (url := as_url(given)) is not None:
        from loss_logging.runs.store.download import fetch_report

        return fetch_report(url, job)
    folder, _, step = str(given).rpartition("@")
    if not Path(given).exists() and folder and step.isdecimal():
        reports = reports_in(Path(folder), job)
        steps = by_step(reports)
        if int(step) not in steps:
            listed = ", ".join(map(str, sorted(steps)[-10:]))
            raise LossLoggingError(f"{folder} holds no report of step {int(step)}; the last ones are of: {listed}")
        return steps[int(step)]
    if Path(given).is_dir():
        return reports_in(Path(given), job)[-1]
    return Path(given)


def latest_reports(folder: Path) -> dict[str, Path]:
    """The latest report of each job in a ``save_root`` or its ``loss_logging``.

    Raises:
        LossLoggingError: there is none.
    """
    out_dir = _save_root(folder) / FOLDER
    found = {job_of(path): path for path in report_files(out_dir)}
    if not found:
        raise LossLoggingError(f"{out_dir} holds no report (JOB_000000250.json)")
    return found


def last_two(given: str | Path, job: str | None = None) -> list[Path]:
    """The last two reports of one job in a folder or under a URL, by step; fewer where there are no more.

    Raises:
        LossLoggingError: there is none.
    """
    if (url := as_url(given)) is None:
        return reports_in(Path(given), job)[-2:]
    from loss_logging.runs.store.download import StoredRun

    run = StoredRun(url, job)
    return [run.fetch_report(step) for step in list(run.reports())[-2:]]


def reports_in(folder: Path, job: str | None = None) -> list[Path]:
    """The reports of one job in a ``save_root`` or its ``loss_logging``, by step.

    Raises:
        LossLoggingError: there is none.
    """
    found = [file for place in (folder, folder / "loss_logging") for file in report_files(place)]
    jobs = {job_of(file) for file in found}
    if not jobs:
        raise LossLoggingError(f"{folder} holds no report (JOB_000000250.json, or loss_logging/JOB_000000250.json)")
    if job is not None and job not in jobs:
        raise LossLoggingError(f"{folder} holds no report of the job {job!r}; there are: {', '.join(sorted(jobs))}")
    chosen = job or job_of(max(found, key=lambda file: file.stat().st_mtime_ns))
    return list(dict(sorted(by_step(file for file in found if job_of(file) == chosen).items())).values())


def job_of(report: Path) -> str:
    """The name of the job that a report is of.

    Raises:
        LossLoggingError: the file is not named as a report is.
    """
    named = job_and_step(report)
    if named is None:
        raise LossLoggingError(f"{report} is no report: its name has no job and save step (JOB_000000250.json)")
    return named[0]


def runs_in(folder: Path) -> list[str]:
    """The jobs with reports or records in ``folder``, a ``save_root`` or its ``loss_logging``; last written, first."""
    out_dir = _save_root(folder) / FOLDER
    found = [(job_of(path), path) for path in report_files(out_dir)]
    found += [(path.parent.name, path) for path in out_dir.glob("records/*/rank*.parquet")]
    changed: dict[str, int] = {}
    for name, path in found:
        changed[name] = max(changed.get(name, 0), path.stat().st_mtime_ns)
    return sorted(changed, key=lambda name: -changed[name])


def find_run(path: Path, job: str | None = None) -> TrainConfig:
    """The configuration of one run; the default one before its first report.

    Args:
        path: a ``save_root``, its ``loss_logging``, or one of the JSON reports in it. Of a URL the last report and
            the records are copied to this machine.
        job: the job's name; the one written last when None.

    Raises:
        LossLoggingError: there is no such run; says what there is.
    """
    if (url := as_url(path)) is not None:
        path, job = _fetched(url, job)
    if path.is_file():
        path, job = path.absolute().parent, job or job_of(path)
    elif not path.is_dir():
        raise LossLoggingError(f"{path} is not there; give the save_root of a run")
    runs = runs_in(path)
    if not runs:
        raise LossLoggingError(
            f"{path} holds neither reports (loss_logging/JOB_000000250.json) nor records (loss_logging/records/JOB): "
            "give the save_root of a run"
        )
    if job is not None and job not in runs:
        raise LossLoggingError(f"{path} holds no run named {job!r}; there are: {', '.join(runs)}")
    found = config_of(TrainConfig(job_name=job or runs[0], save_root=_save_root(path)))
    return msgspec.structs.replace(found, loggers=[])


def _fetched(url: str, job: str | None) -> tuple[Path, str]:
    from loss_logging.runs.store.download import StoredRun

    run = StoredRun(url, job)
    return run.fetch(reports=1), run.job


def _save_root(folder: Path) -> Path:
    folder = folder.absolute()
    inside = folder.name == FOLDER and not (folder / FOLDER).is_dir()
    return folder.parent if inside else folder


def config_of(config: TrainConfig) -> TrainConfig:
    """The configuration as the run's newest readable report has it, in the folder where the run is now.

    Keys that only another version knows are left out.
    """
    given = next(filter(None, map(_given, reversed(config.report_paths()))), {})
    known = {name: value for name, value in given.items() if name in TrainConfig.__struct_fields__}
    return TrainConfig.from_dict(known | {"job_name": config.job_name, "save_root": config.save_root})


def _given(report: Path) -> dict[str, Any] | None:
    try:
        return read_without_items(report).config
    except (ReportError, OSError):  # the page says so
        return None
