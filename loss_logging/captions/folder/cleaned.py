"""clean and clean_images: the content of a folder or a run after a person's decisions; nothing is written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from loss_logging.captions.decisions import Decisions
from loss_logging.captions.folder.cleaned_dataset import CleanedDataset
from loss_logging.captions.folder.cleaning import Cleaning, tar_of
from loss_logging.captions.folder.webdataset import SHARDS
from loss_logging.errors import ConfigError, LossLoggingError

__all__ = ["clean", "clean_images"]

_TABLES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")


def clean(folder: Path, exclude: Iterable[str] = (), *, tars: bool = False) -> CleanedDataset:
    """The content of a folder after the decisions in it; nothing is written.

    A correction counts while the old caption is still in place; a caption that was changed in another way since then
    stays as it is, with a warning. Links that lead outside the folder are left out, with a warning.

    Args:
        folder: a folder of captioned images, or a tar if ``tars`` is true.
        exclude: more images to leave out, absolute, or relative to the folder or else to the working directory.
        tars: whether to include the tars in the folder.

    Raises:
        LossLoggingError: the folder does not exist, or no image of it stays.
        ConfigError: ``folder`` is no folder, or a path in ``exclude`` has ``..``.
        OSError: the folder cannot be read.
    """
    is_tar = tars and folder.name.lower().endswith(SHARDS) and folder.is_file()
    if not folder.is_dir() and not is_tar:
        if not folder.exists():
            raise LossLoggingError(f"{folder} does not exist")
        raise ConfigError(f"FOLDER is {folder}; allowed: a folder of captioned images, or a tar with --to webdataset")
    given = Path(os.path.normpath(folder.absolute()))
    root = given.parent if is_tar else given
    cleaning = Cleaning(root, Decisions(root), exclude, [root, Path.cwd()])
    if is_tar:
        cleaning.take_shard(given)
    else:
        os.scandir(root).close()  # raises if it cannot be read
        cleaning.read(root)
        cleaning.read_archives(tars)
        cleaning.tell_gone_decisions()
    return cleaning.finish(folder)


def clean_images(
    captions: Mapping[str, str | None],
    decisions: Decisions,
    exclude: Iterable[str] = (),
    *,
    tars: bool = False,
    base: Path | None = None,
) -> CleanedDataset:
    """The images of a run after the decisions; nothing is written.

    The caption of an image is the one in its file; without such a file, the caption that it was trained with.

    Args:
        captions: by the absolute path of each image, the caption that it was trained with. The path of an image in a
            tar is the path of the tar, ``/`` and its name there.
        decisions: the decisions about these images.
        exclude: as for `clean`; relative paths start from ``base``, or else from the folder that holds all images.
        tars: as for `clean`.
        base: the folder that relative paths of the run start from; the working directory when None.

    Raises:
        LossLoggingError: none of the images is on this machine, or none stays.
        ConfigError: a path in ``exclude`` has ``..``.
    """
    archives = {image: tar for image in captions if (tar := tar_of(image)) is not None}
    files = {image: caption for image, caption in captions.items() if Path(image).is_file()}
    missing = [image for image in captions if image not in files and image not in archives]
    if len(missing) == len(captions):
        raise LossLoggingError(
            f"none of the {len(missing):,} images of the run is on this machine ({missing[0] if missing else 'none'}): "
            "give their folder with --images"
        )
    folders = {Path(image).parent for image in files} | {tar.parent for tar in archives.values()}
    root = Path(os.path.commonpath(folders))
    cleaning = Cleaning(root, decisions, exclude, [base or Path.cwd(), root])
    for folder in _tops({_table_above(folder, root) for folder in folders}):
        cleaning.read(folder, files)
    cleaning.take_logged(files)
    for tar in sorted(set(archives.values())) if tars else ():
        cleaning.take_shard(tar)
    if archives and not tars:
        cleaning.warn("images in tars were left out", list(archives), "include them with --to webdataset")
    if missing:
        cleaning.warn("images of the run that are not on this machine", missing, "left out")
    return cleaning.finish(root)


def _table_above(folder: Path, root: Path) -> Path:
    """The folder, or a folder above it with a table of its captions."""
    candidates = [one for one in (folder, *folder.parents) if one.is_relative_to(root)]
    return next((one for one in candidates if any((one / table).is_file() for table in _TABLES)), folder)


def _tops(folders: set[Path]) -> list[Path]:
    """The folders that are not inside another one of them."""
    return sorted(folder for folder in folders if folders.isdisjoint(folder.parents))
