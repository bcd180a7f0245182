"""``loss-logging report``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loss_logging.cli.console import JobOption, JsonOption, print_json

__all__ = ["report"]


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN_DIR", help="The save_root of a run, or RUN_DIR@STEP.", show_default=False)
    ],
    step: Annotated[
        int | None, typer.Option(min=0, help="Last step of the report. Default: the last step.", show_default=False)
    ] = None,
    job: JobOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the report of a run from its log, if training ended without one.

    The log holds every logged record, so the report is the same as at
    a save step. From a URL, the log is copied first.

    \b
    Examples:
      loss-logging report runs/cats
      loss-logging report runs/cats --step 1200
    """
    from loss_logging.runs.locate import place_of
    from loss_logging.support.object_store import as_url
    from loss_logging.support.pandas_free import leave_pandas_out
    from loss_logging.training.late_report import find_log, make_report

    leave_pandas_out()
    asked = place_of(folder).step
    if step is not None and asked is not None and step != asked:
        raise typer.BadParameter(f"{folder} names step {asked}, --step names {step}; give one", param_hint="--step")
    path = make_report(find_log(folder, job), asked if step is None else step, progress=True)
    if as_json:
        print_json({"report": str(path), "copied": as_url(folder) is not None})
    else:
        typer.echo(path)
