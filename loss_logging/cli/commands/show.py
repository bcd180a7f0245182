"""``loss-logging show``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loss_logging.cli.console import JobOption, JsonOption, print_json

__all__ = ["show"]


def show(
    path: Annotated[
        Path,
        typer.Argument(metavar="REPORT", help="A JSON report, a run's folder, or FOLDER@STEP.", show_default=False),
    ],
    rows: Annotated[int, typer.Option(min=1, help="Largest number of lines per table.")] = 10,
    job: JobOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a report as tables: the losses of each dataset, the worst items, the flagged captions.

    For a folder, it shows the newest report; without a report, it makes one
    from the log.
    --json prints the report without its items; loss-logging export writes the items.

    \b
    Examples:
      loss-logging show runs/cats
      loss-logging show runs/cats@500 --rows 40
      loss-logging show runs/cats --json | jq .flagged_summary
    """
    from rich.console import Console

    from loss_logging.cli.tables.report import print_report
    from loss_logging.reports.artifact import read_without_items
    from loss_logging.reports.decided import decided_report
    from loss_logging.runs.locate import decisions_about
    from loss_logging.training.late_report import find_or_make_report

    place = find_or_make_report(path, job)
    report = decided_report(read_without_items(place, progress=True), decisions_about(place))
    if as_json:
        print_json(report)
    else:
        print_report(report, Console(), rows)
