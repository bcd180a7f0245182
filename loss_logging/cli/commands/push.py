"""``loss-logging push``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loss_logging.cli.console import JsonOption, print_json
from loss_logging.errors import LossLoggingError

__all__ = ["push"]


def push(
    folder: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The save_root of one or more runs.")],
    to: Annotated[
        str,
        typer.Option(
            help="tensorboard, wandb, or the name of another logger.", autocompletion=lambda: ["tensorboard", "wandb"]
        ),
    ],
    job: Annotated[str | None, typer.Option(help="Only this job. Default: all jobs.")] = None,
    project: Annotated[str | None, typer.Option(help="W&B project. Default: the run's own.")] = None,
    entity: Annotated[str | None, typer.Option(help="W&B user or team.")] = None,
    mode: Annotated[str | None, typer.Option(help="W&B mode: online or offline.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Deliver missing reports and scalars of an ended run to a tracker, each once.

    Exit status 1 if a delivery failed; the same command
    tries the rest again.

    \b
    Examples:
      loss-logging push runs/cats --to tensorboard
      loss-logging push runs/cats --to wandb --project cats --mode offline
    """
    from rich.console import Console

    from loss_logging.runs.locate import latest_reports
    from loss_logging.support.object_store import as_url
    from loss_logging.trackers.push import push_job
    from loss_logging.training.late_report import make_missing_reports

    if (url := as_url(folder)) is not None:
        raise LossLoggingError(
            f"{url}: push keeps its notes in the run's local folder; give the folder that the run was written to "
            "(local_root of its configuration)"
        )
    make_missing_reports(folder, job)
    jobs = latest_reports(folder)
    if job is not None and job not in jobs:
        raise LossLoggingError(f"{folder} holds no report of the job {job!r}; there are: {', '.join(jobs)}")
    given = {"project": project, "entity": entity, "mode": mode}
    options = {name: value for name, value in given.items() if value is not None}
    console = Console()
    done = []
    for name in jobs if job is None else [job]:
        pushed = push_job(jobs[name], to, options)
        done.append(pushed)
        if as_json:
            continue
        console.print(str(pushed), markup=False, highlight=False)
        for sentence in pushed.failed:
            console.print(sentence, style="red", markup=False, highlight=False)
    if as_json:
        print_json(done)
    if any(pushed.failed for pushed in done):
        raise LossLoggingError("some deliveries failed; the same command tries them again")
