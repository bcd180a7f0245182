"""Which report a person means by a path."""

from __future__ import annotations

from pathlib import Path

from loss_logging.errors import LossLoggingError
from loss_logging.reports.names import by_step, job_and_step, report_files
from loss_logging.support.object_store import as_url

__all__ = ["find_report", "job_of", "last_two", "latest_reports", "reports_in"]


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
    folder = folder.absolute()
    inside = folder.name == "loss_logging" and not (folder / "loss_logging").is_dir()
    out_dir = folder if inside else folder / "loss_logging"
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
    from loss_logging.runs.store.download import RemoteRun

    run = RemoteRun(url, job)
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
