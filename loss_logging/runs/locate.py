"""Finds the run or report that a path or URL names."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loss_logging.captions.decisions import Decisions
from loss_logging.errors import LossLoggingError
from loss_logging.reports.names import by_step, job_and_step, report_files
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.facts import read_facts
from loss_logging.runs.paths import FOLDER
from loss_logging.support.object_store import as_url

__all__ = [
    "Place",
    "config_of",
    "decisions_about",
    "find_report",
    "find_run",
    "is_run",
    "job_of",
    "last_two",
    "latest_reports",
    "logs_in",
    "no_report_of",
    "place_of",
    "runs_in",
    "save_root_of",
]


class Place(NamedTuple):
    """The meaning of a path or URL: the folder or URL of a run or its reports, and a job and save step if given."""

    root: str
    job: str | None
    step: int | None


def place_of(given: str | Path) -> Place:
    """The place that ``given`` names: a folder or URL, either with a save step, or a JSON report.

    >>> place_of("runs/cats@500")
    Place(root='runs/cats', job=None, step=500)
    >>> place_of("runs/loss_logging/cats_000000250.json")
    Place(root='runs/loss_logging', job='cats', step=250)
    """
    url = as_url(given)
    text = url or str(given)
    folder, at, step = text.rpartition("@")
    if at and folder and step.isdecimal() and (url is not None or not Path(text).exists()):
        return Place(folder, None, int(step))
    folder, _, name = text.rpartition("/")
    named = job_and_step(name)
    if named is not None and (url is not None or not Path(text).is_dir()):
        return Place(folder or ".", *named)
    return Place(text, None, None)


def find_report(given: str | Path, job: str | None = None) -> Path:
    """The JSON report that ``given`` means.

    Args:
        given: a JSON report; a ``save_root`` or its ``loss_logging``, for the newest report; or one of these two with
            a save step, ``runs/cats@500``. A report under a URL is copied to this machine.
        job: the job's name, if a folder holds several; the job that was written last when None.

    Raises:
        LossLoggingError: there is no such report; the message lists the existing ones.
    """
    if (url := as_url(given)) is not None:
        from loss_logging.runs.store.download import fetch_report

        return fetch_report(url, job)
    folder, _, step = str(given).rpartition("@")
    if not Path(given).exists() and folder and step.isdecimal():
        reports = reports_in(Path(folder), job)
        steps = by_step(reports)
        if int(step) not in steps:
            raise no_report_of(folder, int(step), list(steps))
        return steps[int(step)]
    if Path(given).is_dir():
        return reports_in(Path(given), job)[-1]
    return Path(given)


def latest_reports(folder: Path) -> dict[str, Path]:
    """The latest report of each job in a ``save_root`` or its ``loss_logging``.

    Raises:
        LossLoggingError: there is no report.
    """
    out_dir = save_root_of(folder) / FOLDER
    found = {job_of(path): path for path in report_files(out_dir)}
    if not found:
        raise LossLoggingError(f"{out_dir} holds no report (JOB_000000250.json)")
    return found


def last_two(given: str | Path, job: str | None = None) -> list[Path]:
    """The last two reports of one job in a folder or under a URL, by step; only one if there is no other.

    Raises:
        LossLoggingError: there is no report.
    """
    if (url := as_url(given)) is None:
        return reports_in(Path(given), job)[-2:]
    from loss_logging.runs.store.download import StoredRun

    run = StoredRun(url, job)
    return [run.fetch_report(step) for step in list(run.reports())[-2:]]


def reports_in(folder: Path, job: str | None = None) -> list[Path]:
    """The reports of one job in a ``save_root`` or its ``loss_logging``, by step.

    Raises:
        LossLoggingError: there is no report.
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
    """The name of a report's job.

    Raises:
        LossLoggingError: the file's name is not a report's name.
    """
    named = job_and_step(report)
    if named is None:
        raise LossLoggingError(f"{report} is no report: its name has no job and save step (JOB_000000250.json)")
    return named[0]


def runs_in(folder: Path) -> list[str]:
    """The jobs with reports or records in ``folder``, a ``save_root`` or its ``loss_logging``; last written first."""
    out_dir = save_root_of(folder) / FOLDER
    found = [(job_of(path), path) for path in report_files(out_dir)]
    found += [(path.parent.name, path) for path in out_dir.glob("records/*/rank*.parquet")]
    changed: dict[str, int] = {}
    for name, path in found:
        changed[name] = max(changed.get(name, 0), path.stat().st_mtime_ns)
    return sorted(changed, key=lambda name: -changed[name])


def logs_in(folder: Path) -> list[str]:
    """The jobs with records in ``folder``, a ``save_root`` or its ``loss_logging``; last written first."""
    changed: dict[str, int] = {}
    for path in (save_root_of(folder) / FOLDER).glob("records/*/rank*.parquet"):
        changed[path.parent.name] = max(changed.get(path.parent.name, 0), path.stat().st_mtime_ns)
    return sorted(changed, key=lambda name: -changed[name])


def is_run(path: Path) -> bool:
    """Whether a path or URL names a run or its reports, rather than a folder or table of captions.

    >>> is_run(Path("photos")), is_run(Path("runs/loss_logging/cats_000000250.json"))
    (True, True)
    """
    place = place_of(path)
    if as_url(path) is not None or place.job is not None or place.step is not None:
        return True
    return (save_root_of(path) / FOLDER).is_dir() or any(report_files(path)) or not path.exists()


def find_run(path: Path, job: str | None = None) -> TrainConfig:
    """The configuration of one run, from its last report; before the first report, from the start of the run.

    Args:
        path: a ``save_root`` or its ``loss_logging``, either with or without a save step, ``runs/cats@500``; or one of
            the JSON reports in it. From a URL, the last report, the report of the save step and the records are copied
            to this machine.
        job: the job's name; the job that was written last when None.

    Raises:
        LossLoggingError: there is no such run; the message lists the existing ones.
    """
    place = place_of(path)
    if as_url(place.root) is not None:
        path, job = _fetched(place, job)
    else:
        path, job = Path(place.root), job or place.job
    if not path.is_dir():
        raise LossLoggingError(f"{path} does not exist; give the save_root of a run")
    runs = runs_in(path)
    if not runs:
        raise LossLoggingError(
            f"{path} holds neither reports (loss_logging/JOB_000000250.json) nor records (loss_logging/records/JOB): "
            "give the save_root of a run"
        )
    if job is not None and job not in runs:
        raise LossLoggingError(f"{path} holds no run named {job!r}; there are: {', '.join(runs)}")
    run = TrainConfig(job_name=job or runs[0], save_root=save_root_of(path))
    facts = None if run.report_paths() else read_facts(run)
    return msgspec.structs.replace(config_of(run, None if facts is None else facts.config), loggers=[])


def decisions_about(report: Path) -> Decisions:
    """What was decided about the items of a report: beside their images, and in the file of its run."""
    try:
        return find_run(report).decisions
    except LossLoggingError:  # a report that somebody has taken out of its run
        return Decisions()


def _fetched(place: Place, job: str | None) -> tuple[Path, str]:
    from loss_logging.runs.store.download import StoredRun

    run = StoredRun(place.root, job or place.job)
    folder = run.fetch(reports=1)
    if place.step in run.reports():
        run.fetch_report(place.step)
    return folder, run.job


def save_root_of(folder: Path) -> Path:
    """The ``save_root`` of a folder, which is a ``save_root`` or its ``loss_logging``."""
    folder = folder.absolute()
    inside = folder.name == FOLDER and not (folder / FOLDER).is_dir()
    return folder.parent if inside else folder


def config_of(config: TrainConfig, given: Mapping[str, Any] | None = None) -> TrainConfig:
    """The configuration ``given``, else the one in the run's newest readable report, with the current folder of the
    run. Keys that only another version knows are left out."""
    if given is None:
        given = next(filter(None, map(_given, reversed(config.report_paths()))), {})
    given = TrainConfig.in_new_spelling(given, warn=False)
    known = {name: value for name, value in given.items() if name in TrainConfig.__struct_fields__}
    return TrainConfig.from_dict(known | {"job_name": config.job_name, "save_root": config.local_root})


def _given(report: Path) -> dict[str, Any] | None:
    from loss_logging.reports.artifact import ReportError, read_without_items  # --help does not need it

    try:
        return read_without_items(report).config
    except (ReportError, OSError):  # the reader of the report says so
        return None


def no_report_of(folder: str | Path, step: int, steps: list[int]) -> LossLoggingError:
    """The error that lists the existing reports, and gives the command that makes the missing one."""
    listed = ", ".join(map(str, sorted(steps)[-10:]))
    return LossLoggingError(
        f"{folder} holds no report of step {step}; the last ones are of: {listed}. To make it from the log: "
        f"{shlex.join(['loss-logging', 'report', str(folder), '--step', str(step)])}"
    )
