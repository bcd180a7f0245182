"""CleanedDataset: a folder as it is after what a person has decided: without what is excluded, captions corrected."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path, PurePosixPath

import msgspec

from loss_logging.captions.decisions import DECISIONS_FILE, Decision, DecisionFile, Decisions
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.cleaned_shards import CleanedShard, Correction, clean_shard, corrected
from loss_logging.captions.folder.folder_listing import companion_of, suffix
from loss_logging.captions.folder.image_suffixes import ARCHIVES, IMAGES
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.captions.folder.read import read_captioned_folder
from loss_logging.errors import ConfigError, LossLoggingError

__all__ = ["CleanedDataset", "CleanedImage", "Companion", "clean", "clean_images"]

_TARS = (".tar", ".tar.gz", ".tgz")
_TABLES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")


class CleanedImage(msgspec.Struct, frozen=True):
    """An image that stays.

    Args:
        source: the image.
        name: where it belongs in the cleaned dataset, relative, with ``/``.
        caption: what it is trained with from now on; None where it has none.
        before: what the caption was, where a person has corrected it; None elsewhere.
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
        shards: tars, less what is excluded.
        excluded: paths that are left out, relative to the folder.
        warnings: what its reader should know.
        decided: the number of images that something was decided about, be it that they are fine.
    """

    images: list[CleanedImage] = []
    companions: list[Companion] = []
    shards: list[CleanedShard] = []
    excluded: list[str] = []
    warnings: list[str] = []
    decided: int = 0

    @property
    def kept(self) -> int:
        """The number of images that stay."""
        return len(self.images) + sum(shard.kept for shard in self.shards)

    @property
    def corrected(self) -> list[Correction]:
        """The captions that are new, also where they are in the folder already."""
        found = [Correction(one.name, one.before, one.caption or "") for one in self.images if one.before is not None]
        return found + [one for shard in self.shards for one in shard.corrections]


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
    is_tar = tars and folder.name.lower().endswith(_TARS) and folder.is_file()
    if not folder.is_dir() and not is_tar:
        if not folder.exists():
            raise LossLoggingError(f"{folder} does not exist")
        raise ConfigError(f"FOLDER is {folder}; allowed: a folder of captioned images, or a tar with --to webdataset")
    given = Path(os.path.normpath(folder.absolute()))
    root = given.parent if is_tar else given
    cleaning = _Cleaning(root, Decisions(root), exclude)
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
    archives = {image: tar for image in captions if (tar := _tar_of(image)) is not None}
    files = {image: caption for image, caption in captions.items() if Path(image).is_file()}
    missing = [image for image in captions if image not in files and image not in archives]
    if len(missing) == len(captions):
        raise LossLoggingError(
            f"none of the {len(missing):,} images of the run is on this machine ({missing[0] if missing else 'none'}): "
            "give their folder with --images"
        )
    folders = {Path(image).parent for image in files} | {tar.parent for tar in archives.values()}
    root = Path(os.path.commonpath(folders))
    cleaning = _Cleaning(root, decisions, exclude)
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


def _tar_of(image: str) -> Path | None:
    """The tar that an image is in."""
    if not any(f"{ending}/" in image.lower() for ending in _TARS):
        return None
    return next((path for path in Path(image).parents if path.name.lower().endswith(_TARS) and path.is_file()), None)


def _table_above(folder: Path, root: Path) -> Path:
    """The folder, or the one above it whose table has its captions."""
    candidates = [one for one in (folder, *folder.parents) if one.is_relative_to(root)]
    return next((one for one in candidates if any((one / table).is_file() for table in _TABLES)), folder)


def _tops(folders: set[Path]) -> list[Path]:
    """Those that are in no other one."""
    return sorted(folder for folder in folders if folders.isdisjoint(folder.parents))


class _Cleaning:
    """Takes image by image."""

    def __init__(self, root: Path, decisions: Decisions, exclude: Iterable[str]) -> None:
        self._root, self._decisions = root, decisions
        self._within = root.resolve()
        self._result = CleanedDataset()
        self._wanted = set()
        for path in exclude:
            if ".." in PurePosixPath(path).parts:
                raise ConfigError(f"exclude: got {path!r}; allowed: a path in {root}, without '..'")
            self._wanted.add(os.path.normpath(root / path))
        self._taken: set[str] = set()  # names, without suffix
        self._met: set[str] = set()
        self._outside: list[str] = []
        self._from_log: list[str] = []

    def read(self, folder: Path, only: Mapping[str, str | None] | None = None) -> None:
        """Take the images below a folder, and what goes with them; those in ``only``, if that is given."""
        problems = FolderProblems()
        for path, found in groupby(read_captioned_folder(folder, problems=problems), key=attrgetter("path")):
            files, real = list(found), os.path.normpath(Path(path).absolute())
            if suffix(path) not in IMAGES or real in self._met:
                continue
            self._met.add(real)
            if only is None or (real in only and files[0].caption is not None):
                self._take(real, files)
            elif real in only:
                self._take_logged(real, only[real])
        self._add_companions(folder)
        unreadable = [one for one in problems.kept if one.kind == "unreadable"]
        self._result.warnings.extend(f"{one.path} is not taken over: {one.sentence}" for one in unreadable)

    def take_logged(self, captions: Mapping[str, str | None]) -> None:
        """Take the images that no folder has told of, with the captions they were trained with."""
        for image, caption in captions.items():
            if image not in self._met:
                self._met.add(image)
                self._take_logged(image, caption)

    def read_archives(self, tars: bool) -> None:
        """Take the tars below the root, or say that they are not taken."""
        for path in sorted(path for path in self._root.rglob("*") if path.name.lower().endswith(ARCHIVES)):
            if not path.is_file():
                continue
            if tars and path.name.lower().endswith(_TARS):
                self.take_shard(path)
            else:
                how = "--to webdataset writes a new one" if path.name.lower().endswith(_TARS) else "unpack it first"
                self._result.warnings.append(f"{path} is an archive, and is not taken over: {how}")

    def take_shard(self, path: Path) -> None:
        """Take a tar."""
        relative = path.relative_to(self._root).as_posix()
        if not path.resolve().is_relative_to(self._within):
            self._outside.append(relative)
            return
        prefix = f"{path}/"
        wanted = {one.removeprefix(prefix) for one in self._wanted if one.startswith(prefix)}
        shard = clean_shard(path, relative, lambda image: self._decisions.of(f"{prefix}{image}"), wanted)
        self._met.update(f"{prefix}{image}" for image in shard.excluded)
        self._result.shards.append(shard)
        self._result.decided += shard.decided
        self._result.excluded.extend(f"{relative}/{image}" for image in shard.excluded)
        for image in shard.stale:
            self._tell_stale(f"{relative}/{image}")
        if shard.unsafe:
            self.warn(f"files in {relative} that are links, or lead outside", shard.unsafe, "left out")

    def warn(self, what: str, of: Sequence[str], then: str) -> None:
        """Say something about one or many, and name the first."""
        self._result.warnings.append(f"{what}: {len(of):,}, such as {of[0]}; {then}")

    def tell_gone_decisions(self) -> None:
        """Name the images that something was decided about, and that are not there."""
        for file in sorted(self._root.rglob(DECISIONS_FILE)):
            for one in DecisionFile(file):
                path = file.parent / one.path
                if not path.exists() and _tar_of(str(path)) is None:
                    self._result.warnings.append(f"something was decided about {path}, which is not there")

    def finish(self, given: Path) -> CleanedDataset:
        """What has come of it.

        Raises:
            LossLoggingError: nothing stays.
        """
        result = self._result
        for path in sorted(self._wanted - self._met):
            result.warnings.append(f"{path} is to be excluded, and is not there")
        if self._outside:
            then = "left out: copy them into it, or give the folder that they lead to"
            self.warn(f"files that lead outside of {given}", self._outside, then)
        if self._from_log:
            self.warn("images without a caption on disk", self._from_log, "they have what they were trained with")
        if not result.kept:
            why = f"{len(result.excluded):,} images are excluded"
            raise LossLoggingError("; ".join([f"nothing of {given} stays: {why}", *result.warnings[-1:]]))
        return result

    def _take(self, real: str, files: list[CaptionedFile]) -> None:
        relative = Path(os.path.relpath(real, self._root)).as_posix()
        if not Path(real).is_file():
            self._result.warnings.append(f"{real} is no file here, and cannot be taken over")
            return
        if any(self._leads_outside(path) for path in (real, files[0].source) if path is not None):
            self._outside.append(relative)
            return
        found = self._decisions.of(real)
        self._result.decided += found is not None or real in self._wanted
        if real in self._wanted or (found is not None and found.decision == "exclude"):
            self._result.excluded.append(relative)
        else:
            self._result.images.append(self._cleaned(relative, files, found))

    def _take_logged(self, real: str, caption: str | None) -> None:
        self._take(real, [CaptionedFile(real, "", caption)])
        if caption is not None:
            self._from_log.append(real)

    def _leads_outside(self, path: str) -> bool:
        return not Path(path).resolve().is_relative_to(self._within)

    def _cleaned(self, relative: str, files: list[CaptionedFile], found: Decision | None) -> CleanedImage:
        first = files[0]
        if len({file.caption for file in files}) > 1:
            self._result.warnings.append(f"{relative} has {len(files)} captions; the first is taken")
        name, now = _place(relative, self._taken), first.caption
        caption, stale = corrected(found, now)
        if caption is not None:
            return CleanedImage(first.path, name, caption, now or "")
        if stale:
            self._tell_stale(relative)
        beside = f"{first.path.rpartition('.')[0]}.txt"
        on_disk = found is not None and found.decision == "caption" and found.caption == now
        before = found.before if found is not None and on_disk else None
        return CleanedImage(first.path, name, now, before, text=first.source if first.source == beside else None)

    def _tell_stale(self, relative: str) -> None:
        self._result.warnings.append(
            f"the caption of {relative} was changed after it was corrected; it stays as it is now"
        )

    def _add_companions(self, top: Path) -> None:
        """Masks and control images go with their image, and leave with it."""
        kept = {image.name.rpartition(".")[0] for image in self._result.images}
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(name for name in names if not name.startswith(".")):
                path = Path(folder, name)
                if suffix(name) not in IMAGES or os.path.normpath(path.absolute()) in self._met:
                    continue
                relative = path.relative_to(self._root).as_posix()
                of, kind = companion_of(relative)
                if of in kept and self._leads_outside(str(path)):
                    self._outside.append(relative)
                elif of in kept:
                    self._result.companions.append(Companion(str(path), relative, of, kind))


def _place(relative: str, taken: set[str]) -> str:
    """Where an image goes: where it is, unless its caption's place is that of another image."""
    path = PurePosixPath(relative)
    stem, number = path.stem, 1
    while str(path.with_suffix("")) in taken:
        number += 1
        path = path.with_name(f"{stem}-{number}{path.suffix}")
    taken.add(str(path.with_suffix("")))
    return str(path)
