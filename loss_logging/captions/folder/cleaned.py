"""CleanedDataset: a folder as it is after what a person has decided: without what is excluded, captions corrected."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from pathlib import Path, PurePosixPath

import msgspec

from loss_logging.captions.decisions import DECISIONS_FILE, DecisionFile, Decisions
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.folder_listing import companion_of, suffix
from loss_logging.captions.folder.image_suffixes import ARCHIVES, IMAGES
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.captions.folder.read import read_captioned_folder
from loss_logging.errors import ConfigError, LossLoggingError

__all__ = ["CleanedDataset", "CleanedImage", "Companion", "clean"]


class CleanedImage(msgspec.Struct, frozen=True):
    """An image that stays.

    Args:
        source: the image.
        name: where it belongs in the cleaned dataset, relative, with ``/``.
        caption: what it is trained with from now on; None where it has none.
        before: what the caption was, where it is corrected; None elsewhere.
        text: the text file of an unchanged caption, which is copied byte by byte; None where it is written anew.
    """

    source: str
    name: str
    caption: str | None
    before: str | None = None
    text: str | None = None


class Companion(msgspec.Struct, frozen=True):
    """A mask or a control image that stays with its image.

    Args:
        source: the file.
        name: where it is, relative to the folder.
        of: the name of its image, without suffix.
        kind: such as ``"mask"``; from its name or its folder.
    """

    source: str
    name: str
    of: str
    kind: str


class CleanedDataset(msgspec.Struct):
    """What stays of a folder, and what does not.

    Args:
        images: what stays.
        companions: masks and control images of what stays.
        excluded: paths that are left out, relative to the folder.
        warnings: what its reader should know.
    """

    images: list[CleanedImage] = []
    companions: list[Companion] = []
    excluded: list[str] = []
    warnings: list[str] = []

    @property
    def corrected(self) -> list[CleanedImage]:
        """The images with a new caption."""
        return [image for image in self.images if image.before is not None]


def clean(folder: Path, exclude: Iterable[str] = ()) -> CleanedDataset:
    """What a folder is after the decisions that lie in it; nothing is written.

    A correction counts where the caption is still the one that was corrected; a caption that was changed in another way
    since then stays as it is, with a warning.

    Args:
        folder: of captioned images.
        exclude: more images to leave out, relative to the folder or absolute.

    Raises:
        LossLoggingError: there is no such folder, or nothing of it stays.
        ConfigError: it is no folder.
    """
    if not folder.is_dir():
        if not folder.exists():
            raise LossLoggingError(f"{folder} does not exist")
        raise ConfigError(f"FOLDER is {folder}; allowed: a folder of captioned images")
    root = Path(os.path.normpath(folder))
    result, decisions, problems = CleanedDataset(), Decisions(root), FolderProblems()
    wanted = {os.path.normpath(root.absolute() / path) for path in exclude}
    taken: set[str] = set()
    met: set[str] = set()
    for path, files in groupby(read_captioned_folder(root, problems=problems), key=attrgetter("path")):
        real = os.path.normpath(Path(path).absolute())
        if suffix(path) not in IMAGES or not Path(path).is_file() or real in met:
            if suffix(path) in IMAGES and real not in met:
                result.warnings.append(f"{path} is no file here, and cannot be taken over")
            continue
        met.add(real)
        relative = Path(os.path.relpath(real, root.absolute())).as_posix()
        if real in wanted or decisions.excludes(relative):
            result.excluded.append(relative)
        else:
            result.images.append(_cleaned(relative, list(files), decisions, taken, result.warnings))
    _add_companions(root, result, met)
    _tell_gone(root, result, wanted - met)
    archives = _archives(root)
    result.warnings.extend(f"{place} is an archive, and is not taken over: unpack it first" for place in archives)
    if not result.images:
        first = f"; {archives[0]} is an archive: unpack it first" if archives else ""
        raise LossLoggingError(f"nothing of {folder} stays: {len(result.excluded):,} images are excluded{first}")
    return result


def _cleaned(
    relative: str, files: list[CaptionedFile], decisions: Decisions, taken: set[str], warnings: list[str]
) -> CleanedImage:
    first = files[0]
    if len({file.caption for file in files}) > 1:
        warnings.append(f"{relative} has {len(files)} captions; the first is taken")
    name = _place(relative, taken)
    found, now = decisions.of(relative), first.caption
    if found is not None and found.decision == "caption" and found.caption not in (None, now):
        if found.before in (None, now):
            return CleanedImage(first.path, name, found.caption, now or "")
        warnings.append(f"the caption of {relative} was changed after it was corrected; it stays as it is now")
    beside = f"{first.path.rpartition('.')[0]}.txt"
    return CleanedImage(first.path, name, now, text=first.source if first.source == beside else None)


def _place(relative: str, taken: set[str]) -> str:
    """Where an image goes: where it is, unless that is outside, or its caption's place is that of another image."""
    path = PurePosixPath(relative)
    if ".." in path.parts:
        path = PurePosixPath("outside", path.name)
    stem, number = path.stem, 1
    while str(path.with_suffix("")) in taken:
        number += 1
        path = path.with_name(f"{stem}-{number}{path.suffix}")
    taken.add(str(path.with_suffix("")))
    return str(path)


def _add_companions(root: Path, result: CleanedDataset, met: set[str]) -> None:
    """Masks and control images go with their image, and leave with it."""
    kept = {image.name.rpartition(".")[0] for image in result.images}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(folder, name)
            if suffix(name) not in IMAGES or os.path.normpath(path.absolute()) in met:
                continue
            relative = path.relative_to(root).as_posix()
            of, kind = companion_of(relative)
            if of in kept:
                result.companions.append(Companion(str(path), relative, of, kind))


def _tell_gone(root: Path, result: CleanedDataset, missing: set[str]) -> None:
    for file in sorted(root.rglob(DECISIONS_FILE)):
        gone = [file.parent / one.path for one in DecisionFile(file) if not (file.parent / one.path).exists()]
        result.warnings.extend(f"something was decided about {path}, which is not there" for path in gone)
    result.warnings.extend(f"{path} is to be excluded, and is not there" for path in sorted(missing))


def _archives(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.name.lower().endswith(ARCHIVES) and path.is_file())
