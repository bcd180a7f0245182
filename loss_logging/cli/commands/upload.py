"""``loss-logging upload``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loss_logging.cli.console import JsonOption, print_json
from loss_logging.errors import LossLoggingError

__all__ = ["upload"]

_SECONDS = 3_600.0


def upload(
    url: Annotated[str, typer.Argument(metavar="URL", help="The save_root of a run that was written on this machine.")],
    job: Annotated[str | None, typer.Option(help="Only this job. Default: all jobs.")] = None,
    spool: Annotated[Path | None, typer.Option(help="The spool in the run's configuration, if it has one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Upload the rest of a run from this machine to its object store, once the store can be reached again.

    \b
    Examples:
      loss-logging upload s3://bucket/runs/cats
      loss-logging upload s3://bucket/runs/cats --job cats
    """
    from loss_logging.runs.config import TrainConfig, spool_of
    from loss_logging.runs.paths import RunPaths
    from loss_logging.runs.store.upload import Uploader
    from loss_logging.support.object_store import as_url

    given, url = url, as_url(url) or ""
    if not url:
        raise typer.BadParameter(f"{given} is no URL such as s3://bucket/run", param_hint="URL")
    root = spool_of(url, spool)
    jobs = sorted(path.name for path in RunPaths(root, "").records.glob("*") if path.is_dir())
    if not jobs or (job is not None and job not in jobs):
        raise LossLoggingError(f"{root} holds no run{f' named {job}' if job else ''} to upload")
    uploaded = [job] if job is not None else jobs
    for name in uploaded:
        if trouble := Uploader(TrainConfig(job_name=name, save_root=url, spool=spool), None).close(_SECONDS):
            raise LossLoggingError(trouble[0])
        if not as_json:
            typer.echo(f"{name}: all files are in {url}")
    if as_json:
        print_json({"url": url, "jobs": uploaded})
