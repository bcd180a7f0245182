"""Which run a folder means, for the commands that show one."""

from __future__ import annotations

from pathlib import Path

from loss_logging.config import TrainConfig
from loss_logging.errors import LossLoggingError
from loss_logging.find_report import Place, config_of, job_of, place_of, report_files, save_root_of
from loss_logging.object_store import as_url
from loss_logging.run_facts import read_facts

__all__ = ["find_run", "runs_in"]


def runs_in(folder: Path) -> list[str]:
    """The jobs with reports or records in ``folder``, a ``save_root`` or its ``loss_logging``; last written, first."""
    out_dir = save_root_of(folder) / "loss_logging"
    found = [(job_of(path), path) for path in report_files(out_dir)]
    found += [(path.parent.name, path) for path in out_dir.glob("records/*/rank*.parquet")]
    changed: dict[str, int] = {}
    for name, path in found:
        changed[name] = max(changed.get(name, 0), path.stat().st_mtime_ns)
    return sorted(changed, key=lambda name: -changed[name])


def find_run(path: Path, job: str | None = None) -> TrainConfig:
    """The configuration of one run: of its last report, or before the first what it began with.

    Args:
        path: a ``save_root`` or its ``loss_logging``, either with a save step, ``runs/cats@500``; or one of the JSON
            reports in it. Of a URL the last report, the one of the save step and the records are copied to this
            machine.
        job: the job's name; the one written last when None.

    Raises:
        LossLoggingError: there is no such run; says what there is.
    """
    place = place_of(path)
    if as_url(place.root) is not None:
        path, job = _fetched(place, job)
    else:
        path, job = Path(place.root), job or place.job
    if not path.is_dir():
        raise LossLoggingError(f"{path} is not there; give the save_root of a run")
    runs = runs_in(path)
    if not runs:
        raise LossLoggingError(
            f"{path} holds neither reports (loss_logging/JOB_000000250.json) nor records (loss_logging/records/JOB): "
            "give the save_root of a run"
        )
    if job is not None and job not in runs:
        raise LossLoggingError(f"{path} holds no run named {job!r}; there are: {', '.join(runs)}")
    run = TrainConfig(job_name=job or runs[0], save_root=save_root_of(path), loggers=[])
    facts = None if run.report_paths() else read_facts(run)
    return config_of(run, None if facts is None else facts.config)


def _fetched(place: Place, job: str | None) -> tuple[Path, str]:
    from loss_logging.remote_run import RemoteRun

    run = RemoteRun(place.root, job or place.job)
    folder = run.fetch(reports=1)
    if place.step in run.reports():
        run.fetch_report(place.step)
    return folder, run.job
