"""``loss-logging apply``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from loss_logging.cli.console import JobOption, JsonOption, hint, print_json
from loss_logging.errors import LossLoggingError

if TYPE_CHECKING:
    from loss_logging.captions.folder.cleaned_dataset import CleanedDataset

__all__ = ["apply"]

Target: TypeAlias = Literal["kohya", "ai-toolkit", "musubi", "simpletuner", "imagefolder", "webdataset"]

_LISTED = 20  # changes that a dry run lists; --json lists all


def apply(
    path: Annotated[
        Path, typer.Argument(metavar="RUN|FOLDER", help="A run's folder, or a folder of captioned images.")
    ],
    out: Annotated[Path, typer.Option(help="A new folder for the cleaned dataset.")],
    to: Annotated[Target, typer.Option(help="The trainer or library that will read it.")],
    exclude: Annotated[Path | None, typer.Option(help="A file of more images to leave out, one per line.")] = None,
    take_all: Annotated[bool, typer.Option("--all", help="Make it even without any decision.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes, and write nothing.")] = False,
    images: Annotated[
        Path | None,
        typer.Option(
            help="For a run: where its relative paths start. Default: the folder named by the run, or the current."
        ),
    ] = None,
    job: JobOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a dataset after your decisions: without excluded images, with corrected captions.

    The original stays unchanged: images are links to it, captions are new files.
    For a run, the dataset holds the images that it was trained on.

    \b
    Examples:
      loss-logging apply photos --out cleaned --to kohya --dry-run
      loss-logging apply runs/cats --out cleaned --to kohya
      loss-logging apply photos --out cleaned --to webdataset --exclude exclude.txt
    """
    from loss_logging.captions.folder.cleaned_files import check_out, write_cleaned

    if not _is_run(path):
        check_out(path, out)  # before anything is read
    dataset, folders = _cleaned(path, exclude, to, images, job)
    for folder in folders:
        check_out(folder, out)
    if not (take_all or dataset.decided or dataset.excluded):
        if exclude is not None:
            raise LossLoggingError(
                f"no path in {exclude} is that of an image of {path}, and there are no decisions about them: "
                f"{dataset.warnings[-1] if dataset.warnings else 'the list is empty'}; --all makes the folder without"
            )
        raise LossLoggingError(
            f"there are no decisions about the images of {path}: decide with loss-logging view {path} --edit, or name "
            "images in --exclude FILE; --all makes the folder without decisions"
        )
    config = None if dry_run else write_cleaned(dataset, out, to)
    for warning in dataset.warnings:
        hint(f"warning: {warning}", "yellow")
    if as_json:
        print_json(_as_json(dataset, config, written=not dry_run))
        return
    _tell(dataset, out, to, dry_run=dry_run)
    if config is not None:
        hint(f"the trainer's configuration: {config}")


def _cleaned(
    path: Path, exclude: Path | None, to: Target, images: Path | None, job: str | None
) -> tuple[CleanedDataset, list[Path]]:
    """The cleaned dataset, and the folders beside ``path`` that must not be changed."""
    from loss_logging.captions.decisions import Decisions
    from loss_logging.captions.exclude_list import read_exclude_list
    from loss_logging.captions.folder.cleaned import clean, clean_images
    from loss_logging.runs.locate import find_run

    left_out = [] if exclude is None else [line.strip() for line in read_exclude_list(exclude, "--exclude")]
    tars = to == "webdataset"
    if not _is_run(path):
        if images is not None or job is not None:
            option = "--images" if images is not None else "--job"
            raise typer.BadParameter(f"{path} is no run; this option is only for runs", param_hint=option)
        return clean(path, left_out, tars=tars), []
    from loss_logging.statistics.logged_captions import logged_captions

    config = find_run(path, job)
    base = Path(images or config.images or "").absolute()
    captions = logged_captions(config, base)
    dataset = clean_images(captions, Decisions(base, config.paths.decisions), left_out, tars=tars, base=base)
    sources = [*(one.source for one in dataset.images), *(one.source for one in dataset.shards)]
    return dataset, sorted({Path(source).parent for source in sources})


def _is_run(path: Path) -> bool:
    """Whether a path is a run, not a folder of images: it holds reports or records, or names a step or a store."""
    from loss_logging.runs.locate import place_of, runs_in
    from loss_logging.support.object_store import as_url

    if as_url(path) is not None:
        return True
    return bool(runs_in(path)) if path.is_dir() else place_of(path).step is not None


def _as_json(dataset: CleanedDataset, config: Path | None, *, written: bool) -> dict[str, object]:
    from loss_logging.captions.folder.formats import printable

    return {
        "kept": dataset.kept,
        "excluded": [printable(path) for path in dataset.excluded],
        "corrected": [{key: printable(value) for key, value in one._asdict().items()} for one in dataset.corrected],
        "companions": len(dataset.companions),
        "tars": len(dataset.shards),
        "warnings": [printable(warning) for warning in dataset.warnings],
        "configuration": None if config is None else printable(str(config)),
        "written": written,
    }


def _tell(dataset: CleanedDataset, out: Path, to: Target, *, dry_run: bool) -> None:
    """Print the changes that were made or would be made."""
    done = "would be in" if dry_run else "is in" if dataset.kept == 1 else "are in"
    excluded, corrected, how = dataset.excluded, dataset.corrected, "linked, with captions in .txt files"
    if to == "imagefolder":
        how = "linked, with captions in metadata.jsonl"
    elif to == "webdataset":
        how = "copied into tars"
    hint(f"{_many(dataset.kept, 'image')} {done} {out}, {how}")
    hint(
        f"{len(excluded):,} excluded, {_many(len(corrected), 'caption')} corrected, "
        f"{len(dataset.companions):,} masks and control images"
    )
    if not dry_run:
        return
    for path in excluded[:_LISTED]:
        hint(f"excluded: {path}")
    for one in corrected[:_LISTED]:
        hint(f"corrected: {one.path}: from {one.before!r} to {one.caption!r}")
    if len(excluded) > _LISTED or len(corrected) > _LISTED:
        hint("and more; --json lists all")


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
