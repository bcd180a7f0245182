"""``loss-logging export``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from loss_logging.cli.console import JobOption, JsonOption, hint, print_json

__all__ = ["export"]

Report: TypeAlias = Annotated[
    Path, typer.Argument(metavar="REPORT", help="A JSON report, a run's folder, or FOLDER@STEP.", show_default=False)
]
Format: TypeAlias = Annotated[
    Literal["csv", "parquet", "jsonl", "exclude-list"],
    typer.Option(
        metavar="FORMAT", help="csv, parquet, jsonl, or exclude-list: only paths, one per line.", show_default=False
    ),
]
Out: TypeAlias = Annotated[
    Path | None, typer.Option("--out", "-o", help="File to write. Default: standard output.", show_default=False)
]
Dataset: TypeAlias = Annotated[
    list[str] | None, typer.Option(help="Only items of this dataset; repeat it for several.", show_default=False)
]
Flagged: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="WHY",
        help="Only items with a flagged caption: any; at least info, warning or error; or a rule such as empty.",
        show_default=False,
    ),
]
MinMismatch: TypeAlias = Annotated[
    float | None, typer.Option(help="Only items with at least this caption_mismatch.", show_default=False)
]
LikelyWrong: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--likely-wrong",
        help="Only items with a very likely wrong caption, neither fine nor excluded; any of them exits with 1.",
    ),
]
Look: TypeAlias = Annotated[
    bool, typer.Option("--look", help="As --likely-wrong, with items that are worth a look, too.")
]
Worst: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FIGURE:N",
        help="Only the N worst of the remaining: hard:100, caption_mismatch:50, word_score:50 or average_loss:20.",
        show_default=False,
    ),
]
KeepFormulas: TypeAlias = Annotated[
    bool, typer.Option("--keep-formulas", help="Do not escape texts in CSV that a spreadsheet would run.")
]

_FIGURES = ("hard", "caption_mismatch", "word_score", "average_loss")


def _worst(given: str) -> tuple[str, int]:
    """Figure and number of --worst, such as hard:100."""
    figure, _, most = given.partition(":")
    if figure not in _FIGURES or not most.isdecimal() or int(most) < 1:
        raise typer.BadParameter(
            f"got {given!r}; allowed: FIGURE:N such as hard:100, with {', '.join(_FIGURES)}", param_hint="--worst"
        )
    return figure, int(most)


def export(
    path: Report,
    to: Format,
    out: Out = None,
    dataset: Dataset = None,
    flagged: Flagged = None,
    min_caption_mismatch: MinMismatch = None,
    likely_wrong: LikelyWrong = False,
    look: Look = False,
    worst: Worst = None,
    keep_formulas: KeepFormulas = False,
    job: JobOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the figures of items to a file, or a list of the items to exclude.

    All given filters apply together.

    Exit status 1 if --likely-wrong or --look has found a caption; the items are written in any case.

    \b
    Examples:
      loss-logging export runs/cats --to csv --out items.csv
      loss-logging export runs/cats@500 --to parquet --out items.parquet
      loss-logging export runs/cats --to jsonl --dataset anime | head
      loss-logging export runs/cats --to exclude-list --worst hard:100
      loss-logging export runs/cats --to exclude-list --flagged error
      loss-logging export runs/cats --to jsonl --likely-wrong
    """
    import msgspec

    from loss_logging.evidence.verdict import VERDICTS
    from loss_logging.reports.export import ItemFilter, export_items
    from loss_logging.runs.locate import decisions_about
    from loss_logging.support.pandas_free import leave_pandas_out
    from loss_logging.training.late_report import find_or_make_report

    leave_pandas_out()
    if to == "parquet" and out is None and sys.stdout.isatty():
        raise typer.BadParameter("parquet is a binary format; give a file with --out", param_hint="--to")
    if as_json and out is None:
        raise typer.BadParameter("standard output holds the items; give a file with --out", param_hint="--json")
    verdicts = VERDICTS[:2] if look else VERDICTS[:1] if likely_wrong else ()
    ranked = _worst(worst) if worst else None
    selection = ItemFilter(tuple(dataset or ()), flagged, min_caption_mismatch, ranked, verdicts)
    report = find_or_make_report(path, job)
    done = export_items(
        report,
        out or sys.stdout.buffer,
        to,
        selection,
        decisions=decisions_about(report),
        formulas=keep_formulas,
        progress=True,
    )
    for sentence in done.warnings:
        hint(f"warning: {sentence}", "yellow")
    if as_json:
        print_json({"out": str(out), **msgspec.structs.asdict(done)})
    elif out is not None:
        hint(f"{done.items:,} of {done.of:,} items written to {out}")
    if verdicts and done.items:
        raise typer.Exit(1)
