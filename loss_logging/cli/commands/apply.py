"""``loss-logging apply``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from loss_logging.cli.console import JsonOption, hint, print_json

__all__ = ["apply"]


def apply(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of captioned images.")],
    out: Annotated[Path, typer.Option(help="A new folder, for the cleaned dataset.")],
    to: Annotated[
        Literal["kohya", "ai-toolkit", "musubi", "simpletuner", "imagefolder", "webdataset"],
        typer.Option(help="Who is to read it."),
    ],
    exclude: Annotated[Path | None, typer.Option(help="A file of more images to leave out, one a line.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the dataset that was decided on: without what is excluded, with captions corrected.

    The original stays as it is: images are links to it, captions files of their own.

    \b
    Examples:
      loss-logging apply photos --out cleaned --to kohya --dry-run
      loss-logging apply photos --out cleaned --to webdataset --exclude exclude.txt
    """
    from loss_logging.captions.folder.cleaned import clean
    from loss_logging.captions.folder.cleaned_files import check_out, write_cleaned

    check_out(folder, out)
    lines = [] if exclude is None else exclude.read_text("utf-8-sig").splitlines()
    dataset = clean(folder, [line.strip() for line in lines if line.strip() and not line.startswith("#")])
    config = None if dry_run else write_cleaned(dataset, out, to)
    for warning in dataset.warnings:
        hint(warning, "yellow")
    if as_json:
        print_json(
            {
                "kept": len(dataset.images),
                "excluded": dataset.excluded,
                "corrected": [
                    {"path": one.name, "before": one.before, "caption": one.caption} for one in dataset.corrected
                ],
                "companions": len(dataset.companions),
                "configuration": None if config is None else str(config),
                "written": not dry_run,
            }
        )
        return
    done = "would be in" if dry_run else "are in"
    hint(
        f"{len(dataset.images):,} images {done} {out}; {len(dataset.excluded):,} excluded, "
        f"{len(dataset.corrected):,} captions corrected, {len(dataset.companions):,} masks and control images"
    )
    for path in dataset.excluded if dry_run else ():
        hint(f"excluded: {path}")
    for image in dataset.corrected if dry_run else ():
        hint(f"corrected: {image.name}: {image.before!r} is {image.caption!r}")
    if config is not None:
        hint(f"the trainer's configuration: {config}")
