"""The commands of ``loss-logging``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loss_logging import __version__
from loss_logging.artifacts import read_report
from loss_logging.cli import require
from loss_logging.errors import LossLoggingError
from loss_logging.show import print_report

__all__ = ["app"]

app = typer.Typer(
    help="Shows which training samples and captions hurt your model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Shows which training samples and captions hurt your model."""


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="FILE_OR_RUN_DIR", help="A JSON report, or a folder with some.")],
    rows: Annotated[int, typer.Option(min=1, help="Most lines per table.")] = 10,
) -> None:
    """Print a report as tables: the losses of each dataset, the worst items, the flagged captions.

    Of a folder, the report that was written last is shown.
    """
    print_report(read_report(_latest_report(path)), Console(), rows)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("runs/demo"),
    loggers: Annotated[
        str, typer.Option(help="tensorboard, wandb (offline), or both: tensorboard,wandb.")
    ] = "tensorboard",
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 1200,
    seed: Annotated[int, typer.Option(min=0, help="Decides data, faults and training.")] = 0,
) -> None:
    """Train a small captioned model on digits with planted faults, and show which were found, in under a minute."""
    require("demo", "torch", "sklearn", "PIL")
    from loss_logging.demo.run import run

    run(out, [name.strip() for name in loggers.split(",") if name.strip()], steps, seed, Console())


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The save_root of a run, or of several.")],
    to: Annotated[str, typer.Option(help="tensorboard, wandb, or another logger by its name.")],
    job: Annotated[str | None, typer.Option(help="Only this job; all that are there otherwise.")] = None,
    project: Annotated[str | None, typer.Option(help="W&B project; the run's own otherwise.")] = None,
    entity: Annotated[str | None, typer.Option(help="W&B user or team.")] = None,
    mode: Annotated[str | None, typer.Option(help="W&B mode: online or offline.")] = None,
) -> None:
    """Deliver to a tracker what it has missed of a run that has ended: reports and scalars, each once."""
    from loss_logging.push import jobs_in, push_job

    jobs = jobs_in(folder)
    if job is not None and job not in jobs:
        raise LossLoggingError(f"{folder} holds no report of the job {job!r}; there are: {', '.join(jobs)}")
    given = {"project": project, "entity": entity, "mode": mode}
    options = {name: value for name, value in given.items() if value is not None}
    console = Console()
    failed = 0
    for name in jobs if job is None else [job]:
        pushed = push_job(jobs[name], to, options)
        console.print(str(pushed), markup=False, highlight=False)
        for sentence in pushed.failed:
            console.print(sentence, style="red", markup=False, highlight=False)
        failed += len(pushed.failed)
    if failed:
        raise LossLoggingError("not everything was delivered; the same command tries the rest again")


def _latest_report(path: Path) -> Path:
    if not path.is_dir():
        return path
    reports = [file for folder in (path, path / "loss_logging") for file in folder.glob("*_" + "[0-9]" * 9 + ".json")]
    if not reports:
        raise LossLoggingError(f"{path} holds no report (JOB_000000250.json, or loss_logging/JOB_000000250.json)")
    return max(reports, key=lambda file: file.stat().st_mtime_ns)
