"""``loss-logging html``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loss_logging.cli.console import JobOption, JsonOption, print_json
from loss_logging.support.extras import require
from loss_logging.support.object_store import as_url

__all__ = ["html"]


def html(
    folder: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The save_root of a run, or one of its reports.")],
    out: Annotated[Path | None, typer.Option(help="File to write; RUN_DIR/loss_logging/JOB.html otherwise.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images; nothing outside it is opened.")] = None,
    items: Annotated[int, typer.Option(min=1, help="Most items in the table, the worst ones.")] = 100_000,
    job: JobOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the report page of a run: one HTML file with charts, galleries and every item, that needs no network.

    \b
    Examples:
      loss-logging html runs/cats
      loss-logging html runs/cats --out cats.html --images photos
      loss-logging html runs/cats --json | jq -r .page
    """
    require("view", "jinja2", "PIL")
    from loss_logging.pages.build import PageBuilder
    from loss_logging.runs.locate import find_run

    config = find_run(folder, job)
    if as_url(folder) is not None:
        out = out or Path(config.page_path.name)
    page = PageBuilder(config, images=images, most_items=items, progress=True).write(out)
    if as_json:
        print_json({"job": config.job_name, "page": str(page), "bytes": page.stat().st_size})
    else:
        typer.echo(page)
