"""``loss-logging html``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loss_logging.cli.console import JobOption, JsonOption, print_json
from loss_logging.support.extras import require

__all__ = ["html"]


def html(
    folder: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A run's save_root, RUN_DIR@STEP, or a report.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write. Default: RUN_DIR/loss_logging/JOB.html, or JOB_STEP.html.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images; no file outside it is opened.")] = None,
    items: Annotated[int, typer.Option(min=1, help="Number of items in the table, worst first.")] = 100_000,
    job: JobOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the report page of a run: one HTML file with charts, galleries and every item; it needs no network.

    With a step or one of the run's reports, it is the page of that save step.

    \b
    Examples:
      loss-logging html runs/cats
      loss-logging html runs/cats@500
      loss-logging html runs/cats --out cats.html --images photos
      loss-logging html runs/cats --json | jq -r .page
    """
    from loss_logging.runs.locate import place_of
    from loss_logging.support.object_store import as_url
    from loss_logging.support.pandas_free import leave_pandas_out

    leave_pandas_out()
    require("view", "jinja2", "PIL")
    from loss_logging.pages.build import PageBuilder
    from loss_logging.runs.locate import find_run
    from loss_logging.runs.lock import is_locked
    from loss_logging.training.late_report import make_report

    config, step = find_run(folder, job), place_of(folder).step
    if not config.report_paths() and not is_locked(config.records_dir, rank=0):
        make_report(config, step, progress=True)
    builder = PageBuilder(config, step=step, images=images, most_items=items, progress=True)
    page = builder.write(out or (Path(builder.path.name) if as_url(folder) is not None else None))
    if as_json:
        print_json({"job": config.job_name, "page": str(page), "bytes": page.stat().st_size})
    else:
        typer.echo(page)
