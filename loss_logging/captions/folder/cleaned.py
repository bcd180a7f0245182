"""clean and clean_images: a folder or a run after what a person has decided; nothing is written."""

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
    """What a folder is after the decisions that lie in it; nothing is written.

    A correction counts where the caption is still the one that was corrected; a caption that was changed in another way
    since then stays as it is, with a warning. What leads outside of the folder is left out, with a warning.

    Args:
        folder: of captioned images; or a tar, where ``tars`` are wanted.
        exclude: more images to leave out, relative to the folder or absolute.
        tars: take over the tars in the folder, too.

    Raises:
        LossLoggingError: there is no such folder, or nothing of it stays.
        ConfigError: it is no folder, or a path in ``exclude`` has ``..``.
        OSError: the folder cannot be read.
    """
    is_tar = tars and folder.name.lower().endswith(SHARDS) and folder.is_file()
    if not folder.is_dir() and not is_tar:
        if not folder.exists():
            raise LossLoggingError(f"{folder} does not exist")
        raise ConfigError(f"FOLDER is {folder}; allowed: a folder of captioned images, or a tar with --to webdataset")
    given = Path(os.path.normpath(folder.absolute()))
    root = given.parent if is_tar else given
    cleaning = Cleaning(root, Decisions(root), exclude)
    if is_tar:
        cleaning.take_shard(given)
    else:
        os.scandir(root).close()  # says so where it cannot be read
        cleaning.read(root)
        cleaning.read_archives(tars)
        cleaning.tell_gone_decisions()
    return cleaning.finish(folder)


def clean_images(
    captions: Mapping[str, str | None], decisions: Decisions, exclude: Iterable[str] = (), *, tars: bool = False
) -> CleanedDataset:
    """What the images of a run are after the decisions; nothing is written.

    An image's caption is what its file says now; where there is none, what it was trained with.

    Args:
        captions: by the absolute path of each image, what it was trained with. An image in a tar has the path of the
            tar before its name.
        decisions: about them.
        exclude, tars: as for `clean`; relative paths are below the folder that holds all images.

    Raises:
        LossLoggingError: nothing of them is here or stays.
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
    cleaning = Cleaning(root, decisions, exclude)
    for folder in _tops({_table_above(folder, root) for folder in folders}):
        cleaning.read(folder, files)
    cleaning.take_logged(files)
    for tar in sorted(set(archives.values())) if tars else ():
        cleaning.take_shard(tar)
    if archives and not tars:
        cleaning.warn("images in tars, which are not taken over", list(archives), "--to webdataset takes them")
    if missing:
        cleaning.warn("images of the run that are not on this machine", missing, "left out")
    return cleaning.finish(root)


def _table_above(folder: Path, root: Path) -> Path:
    """The folder, or the one above it whose table has its captions."""
    candidates = [one for one in (folder, *folder.parents) if one.is_relative_to(root)]
    return next((one for one in candidates if any((one / table).is_file() for table in _TABLES)), folder)


def _tops(folders: set[Path]) -> list[Path]:
    """Those that are in no other one."""
    return sorted(folder for folder in folders if folders.isdisjoint(folder.parents))
