"""Which run a folder means, for the commands that show one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loss_logging.errors import LossLoggingError
from loss_logging.reports.artifact import ReportError, read_without_items
from loss_logging.reports.names import report_files
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.locate import job_of
from loss_logging.support.object_store import as_url

__all__ = ["find_run", "runs_in"]


def runs_in(folder: Path) -> list[str]:
    """The jobs with reports or records in ``folder``, a ``save_root`` or its ``loss_logging``; last written, first."""
    out_dir = _save_root(folder) / "loss_logging"
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
    return _config(TrainConfig(job_name=job or runs[0], save_root=_save_root(path), loggers=[]))


def _fetched(url: str, job: str | None) -> tuple[Path, str]:
    from loss_logging.runs.store.download import RemoteRun

    run = RemoteRun(url, job)
    return run.fetch(reports=1), run.job


def _save_root(folder: Path) -> Path:
    folder = folder.absolute()
    inside = folder.name == "loss_logging" and not (folder / "loss_logging").is_dir()
    return folder.parent if inside else folder


def _config(config: TrainConfig) -> TrainConfig:
    """The configuration as the run's newest readable report has it, in the folder where the run is now."""
    given = next(filter(None, map(_given, reversed(config.report_paths()))), {})
    known = {name: value for name, value in given.items() if name in TrainConfig.__struct_fields__}
    return TrainConfig.from_dict(known | {"job_name": config.job_name, "save_root": config.save_root, "loggers": []})


def _given(report: Path) -> dict[str, Any] | None:
    try:
        return read_without_items(report).config
    except (ReportError, OSError):  # the page says so
        return None
