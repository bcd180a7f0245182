"""Which report a person means by a path."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from loss_logging.config import TrainConfig
from loss_logging.errors import LossLoggingError
from loss_logging.object_store import as_url

__all__ = [
    "Place",
    "config_of",
    "find_report",
    "job_of",
    "last_two",
    "logs_in",
    "no_report_of",
    "place_of",
    "report_files",
    "reports_in",
    "save_root_of",
]

_REPORT = "*_" + "[0-9]" * 9 + "*.json"


class Place(NamedTuple):
    """What a path or URL names: the folder or URL of a run or of its reports, and a job and save step where it does."""

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
    job, _, step = name.removesuffix(".json").rpartition("_")
    if job and name.endswith(".json") and step.isdecimal() and (url is not None or not Path(text).is_dir()):
        return Place(folder or ".", job, int(step))
    return Place(text, None, None)


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
        from loss_logging.remote_run import fetch_report

        return fetch_report(url, job)
    folder, _, step = str(given).rpartition("@")
    if not Path(given).exists() and folder and step.isdecimal():
        reports = reports_in(Path(folder), job)
        steps = {_step(path): path for path in reports}
        if int(step) not in steps:
            raise no_report_of(folder, int(step), list(steps))
        return steps[int(step)]
    if Path(given).is_dir():
        return reports_in(Path(given), job)[-1]
    return Path(given)


def last_two(given: str | Path, job: str | None = None) -> list[Path]:
    """The last two reports of one job in a folder or under a URL, by step; fewer where there are no more.

    Raises:
        LossLoggingError: there is none.
    """
    if (url := as_url(given)) is None:
        return reports_in(Path(given), job)[-2:]
    from loss_logging.remote_run import RemoteRun

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
    return sorted((file for file in found if job_of(file) == chosen), key=_step)


def report_files(folder: Path) -> list[Path]:
    """The JSON reports that lie in a folder, of all jobs."""
    return [file for file in folder.glob(_REPORT) if file.stem.rpartition("_")[2].isdecimal()]


def no_report_of(folder: str | Path, step: int, steps: list[int]) -> LossLoggingError:
    """The error that says which reports there are, and how to get the one that was asked for."""
    listed = ", ".join(map(str, sorted(steps)[-10:]))
    return LossLoggingError(
        f"{folder} holds no report of step {step}; the last ones are of: {listed}. To make it from the log: "
        f"{shlex.join(['loss-logging', 'report', str(folder), '--step', str(step)])}"
    )


def logs_in(folder: Path) -> list[str]:
    """The jobs with records in ``folder``, a ``save_root`` or its ``loss_logging``; last written, first."""
    changed: dict[str, int] = {}
    for path in (save_root_of(folder) / "loss_logging").glob("records/*/rank*.parquet"):
        changed[path.parent.name] = max(changed.get(path.parent.name, 0), path.stat().st_mtime_ns)
    return sorted(changed, key=lambda name: -changed[name])


def save_root_of(folder: Path) -> Path:
    """The ``save_root`` that ``folder`` is, or is the ``loss_logging`` of."""
    folder = folder.absolute()
    inside = folder.name == "loss_logging" and not (folder / "loss_logging").is_dir()
    return folder.parent if inside else folder


def config_of(config: TrainConfig, given: Mapping[str, Any] | None = None) -> TrainConfig:
    """The configuration ``given``, or else as the run's newest readable report has it, in the folder where the run is
    now; without loggers, and without keys that only another version knows."""
    if given is None:
        given = next(filter(None, map(_given, reversed(config.report_paths()))), {})
    known = {name: value for name, value in given.items() if name in TrainConfig.__struct_fields__}
    return TrainConfig.from_dict(known | {"job_name": config.job_name, "save_root": config.local_root, "loggers": []})


def _given(report: Path) -> dict[str, Any] | None:
    from loss_logging.artifacts import ReportError  # with DuckDB, which a command's --help does without
    from loss_logging.missed import read_for_backends

    try:
        return read_for_backends(report).config
    except (ReportError, OSError):  # whoever shows the report says so
        return None


def job_of(report: Path) -> str:
    """The name of the job that a report is of, as its file's name has it."""
    return report.stem.rpartition("_")[0]


def _step(report: Path) -> int:
    return int(report.stem.rpartition("_")[2])
