"""``loss-logging compare``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from loss_logging.cli.console import JobOption, JsonOption, print_json
from loss_logging.errors import LossLoggingError
from loss_logging.support.extras import require

__all__ = ["both_reports", "compare"]


def compare(
    before: Annotated[
        Path, typer.Argument(metavar="A", help="A JSON report, a run's folder, or FOLDER@STEP.", show_default=False)
    ],
    after: Annotated[
        Path | None,
        typer.Argument(metavar="B", help="The same; without it, the last two reports of A.", show_default=False),
    ] = None,
    by: Annotated[
        Literal["loss", "hard", "caption_mismatch"], typer.Option(help="Which figure of the items.")
    ] = "loss",
    rows: Annotated[int, typer.Option(min=1, help="Most items of each kind.")] = 10,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with pictures, captions and charts instead.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="For --html: folder of the images; nothing outside it is opened.")
    ] = None,
    job: JobOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what got better and what got worse from A to B: two save steps of a run, or two runs.

    Reports of one run are cumulative, so the losses up to A are compared with
    those between A and B. z is the change over its standard error; a change
    is called clear from 4 on.

    \b
    Examples:
      loss-logging compare runs/cats
      loss-logging compare runs/cats@250 runs/cats@1000 --rows 40
      loss-logging compare runs/before runs/after --by caption_mismatch
      loss-logging compare before.json after.json --json
      loss-logging compare runs/before runs/after --html compared.html
    """
    from rich.console import Console

    from loss_logging.reports.compare import compare_reports
    from loss_logging.runs.locate import decisions_about
    from loss_logging.support.pandas_free import leave_pandas_out

    leave_pandas_out()
    first, second = both_reports(before, after, job)
    if html is not None:
        require("view", "jinja2", "PIL")
        from loss_logging.pages.comparison import write_comparison_page

        write_comparison_page(first, second, html, images=images, progress=True)
        if as_json:
            print_json({"page": str(html), "bytes": html.stat().st_size})
        else:
            typer.echo(html)
        return
    comparison = compare_reports(first, second, by, rows, decisions=decisions_about(second), progress=True)
    if as_json:
        print_json(comparison)
    else:
        from loss_logging.cli.tables.comparison import print_comparison

        print_comparison(comparison, Console())


def both_reports(before: Path, after: Path | None, job: str | None) -> tuple[Path, Path]:
    """The two reports that are meant.

    Raises:
        LossLoggingError: one is not there, or there is only one.
    """
    from loss_logging.runs.locate import last_two
    from loss_logging.support.object_store import as_url
    from loss_logging.training.late_report import find_or_make_report

    first = find_or_make_report(before, job)
    if after is not None:
        return first, find_or_make_report(after, job)
    if not before.is_dir() and as_url(before) is None:
        raise LossLoggingError(f"what is {before} to be compared with? Give two reports, or the folder of a run")
    reports = last_two(before, job)
    if len(reports) < 2:
        raise LossLoggingError(f"{before} holds one report only, {reports[0].name}; give another one as well")
    return reports[-2], reports[-1]
