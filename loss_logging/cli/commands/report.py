"""``loss-logging report``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loss_logging.cli.console import JobOption, JsonOption, print_json
from loss_logging.support.object_store import as_url

__all__ = ["report"]


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN_DIR", help="The save_root of a run, or RUN_DIR@STEP.", show_default=False)
    ],
    step: Annotated[
        int | None, typer.Option(min=0, help="Of everything up to this step; otherwise of all.", show_default=False)
    ] = None,
    job: JobOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the report of a run from its log, where training has ended without it.

    The log holds every record that training has logged, so that the report is the one that
    a save step would have made. Of a URL, the log is copied, and the report is made of the copy.

    \b
    Examples:
      loss-logging report runs/cats
      loss-logging report runs/cats --step 1200
    """
    from loss_logging.runs.locate import place_of
    from loss_logging.training.late_report import find_log, make_report

    asked = place_of(folder).step
    if step is not None and asked is not None and step != asked:
        raise typer.BadParameter(f"{folder} says step {asked}, and --step {step}", param_hint="--step")
    path = make_report(find_log(folder, job), asked if step is None else step, progress=True)
    if as_json:
        print_json({"report": str(path), "copied": as_url(folder) is not None})
    else:
        typer.echo(path)
