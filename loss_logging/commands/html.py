"""``loss-logging html``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from loss_logging.cli import require

__all__ = ["html"]


def html(
    folder: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The save_root of a run, or one of its reports.")],
    job: Annotated[str | None, typer.Option(help="Job name; the one written last otherwise.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; RUN_DIR/loss_logging/JOB.html otherwise.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images; nothing outside it is opened.")] = None,
    items: Annotated[int, typer.Option(min=1, help="Most items in the table, the worst ones.")] = 100_000,
) -> None:
    """Write the report page of a run: one HTML file with charts, galleries and every item, that needs no network.

    \b
    Examples:
      loss-logging html runs/cats
      loss-logging html runs/cats --out cats.html --images photos
    """
    require("html", "jinja2", "PIL")
    from loss_logging.html import PageBuilder
    from loss_logging.html.runs import find_run

    config = find_run(folder, job)
    console = Console(stderr=True)
    with console.status(f"{escape(config.job_name)}: building the page"):
        page = PageBuilder(config, images=images, most_items=items).write(out)
    typer.echo(page)
