"""Cleaning: takes images and tars one by one, and applies a person's decisions to each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path, PurePosixPath

from loss_logging.captions.decisions import DECISIONS_FILE, Decision, DecisionFile, Decisions
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.cleaned_dataset import CleanedDataset, CleanedImage, Companion
from loss_logging.captions.folder.cleaned_shards import clean_shard, corrected
from loss_logging.captions.folder.folder_listing import companion_of, suffix
from loss_logging.captions.folder.formats import printable
from loss_logging.captions.folder.image_suffixes import ARCHIVES, IMAGES
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.captions.folder.read import read_captioned_folder
from loss_logging.captions.folder.webdataset import SHARDS
from loss_logging.errors import ConfigError, LossLoggingError

__all__ = ["Cleaning", "tar_of"]


def tar_of(image: str) -> Path | None:
    """The tar that holds an image; None for an image in no tar."""
    if not any(f"{ending}/" in image.lower() for ending in SHARDS):
        return None
    return next((path for path in Path(image).parents if path.name.lower().endswith(SHARDS) and path.is_file()), None)


class Cleaning:
    """Takes images one by one; `finish` returns the result.

    Args:
        root: the absolute folder that names are relative to; links that lead outside it are left out.
        decisions: the decisions about the images.
        exclude: more images to leave out, absolute or relative.
        bases: the folders that relative paths in ``exclude`` may start from. What exists counts, from the first.

    Raises:
        ConfigError: a path in ``exclude`` leads outside with ``..``.
    """

    def __init__(self, root: Path, decisions: Decisions, exclude: Iterable[str], bases: Sequence[Path]) -> None:
        self._root, self._decisions = root, decisions
        self._within = root.resolve()
        self._result = CleanedDataset()
        self._wanted: dict[str, str] = {}  # by the path that it may have here, a path in ``exclude``
        for path in exclude:
            place = _existing([os.path.normpath(base / path) for base in bases])
            if ".." in PurePosixPath(path).parts and not Path(place).is_relative_to(root):
                raise ConfigError(f"exclude: got {path!r}; allowed: a path in {root}, without '..'")
            self._wanted |= dict.fromkeys((place, _in_real_folder(place)), place)
        self._excluded: set[str] = set()
        self._taken: set[str] = set()  # names, without suffix
        self._met: set[str] = set()
        self._outside: list[str] = []
        self._leads: dict[str, bool] = {}  # by folder, whether it is outside
        self._from_log: list[str] = []

    def read(self, folder: Path, only: Mapping[str, str | None] | None = None) -> None:
        """Take the images below a folder with their companions; only the images in ``only``, if it is given."""
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
        self._result.warnings.extend(f"{one.path} was left out: {one.sentence}" for one in unreadable)

    def take_logged(self, captions: Mapping[str, str | None]) -> None:
        """Take images that `read` has not found, with the captions that they were trained with."""
        for image, caption in captions.items():
            if image not in self._met:
                self._met.add(image)
                self._take_logged(image, caption)

    def read_archives(self, tars: bool) -> None:
        """Take the tars below the root, or warn that they were left out."""
        for path in sorted(path for path in self._root.rglob("*") if path.name.lower().endswith(ARCHIVES)):
            if not path.is_file():
                continue
            if tars and path.name.lower().endswith(SHARDS):
                self.take_shard(path)
            else:
                how = "use --to webdataset" if path.name.lower().endswith(SHARDS) else "unpack it first"
                self._result.warnings.append(f"{path} is an archive, and was left out: {how}")

    def take_shard(self, path: Path) -> None:
        """Take a tar."""
        relative = path.relative_to(self._root).as_posix()
        if self._leads_outside(str(path)):
            self._outside.append(relative)
            return
        prefix = f"{path}/"
        tops = (prefix, f"{_in_real_folder(str(path))}/")
        listed = {one.removeprefix(top): of for one, of in self._wanted.items() for top in tops if one.startswith(top)}
        shard = clean_shard(path, relative, lambda image: self._decisions.of(f"{prefix}{image}"), set(listed))
        self._excluded.update(listed[image] for image in shard.excluded if image in listed)
        self._result.shards.append(shard)
        self._result.decided += shard.decided
        self._result.excluded.extend(f"{relative}/{image}" for image in shard.excluded)
        for image in shard.stale:
            self._tell_stale(f"{relative}/{image}")
        if shard.unsafe:
            self.warn(f"files in {relative} that are links, or lead outside it", shard.unsafe, "left out")

    def warn(self, what: str, of: Sequence[str], then: str) -> None:
        """Warn about one or more files, with their number and the first name."""
        self._result.warnings.append(f"{what}: {len(of):,}, such as {of[0]}; {then}")

    def tell_gone_decisions(self) -> None:
        """Warn about decisions whose image does not exist."""
        for file in sorted(self._root.rglob(DECISIONS_FILE)):
            for one in DecisionFile(file):
                path = file.parent / one.path
                if not path.exists() and tar_of(str(path)) is None:
                    self._result.warnings.append(f"there is a decision about {path}, which does not exist")

    def finish(self, given: Path) -> CleanedDataset:
        """The result.

        Raises:
            LossLoggingError: no image stays.
        """
        result = self._result
        for path in sorted({*self._wanted.values()} - self._excluded):
            why = "is none of the images" if os.path.lexists(path) else "does not exist"
            result.warnings.append(f"{path} is to be excluded, and {why}")
        if self._outside:
            then = "left out: copy them into the folder, or name the folder that holds them"
            self.warn(f"files that lead outside of {given}", self._outside, then)
        if self._from_log:
            self.warn("images without a caption on disk", self._from_log, "they get the caption they were trained with")
        if not result.kept:
            why = f"{len(result.excluded):,} images are excluded"
            raise LossLoggingError("; ".join([f"no image of {given} stays: {why}", *result.warnings[-1:]]))
        return result

    def _take(self, real: str, files: list[CaptionedFile]) -> None:
        relative = Path(os.path.relpath(real, self._root)).as_posix()
        if not Path(real).is_file():
            self._result.warnings.append(f"{real} is no file on this machine, and was left out")
            return
        if any(self._leads_outside(path) for path in (real, files[0].source) if path is not None):
            self._outside.append(relative)
            return
        found, listed = self._decisions.of(real), self._listed(real)
        self._result.decided += found is not None or listed is not None
        if listed is not None:
            self._excluded.add(listed)
        if listed is not None or (found is not None and found.decision == "exclude"):
            self._result.excluded.append(relative)
        else:
            self._result.images.append(self._cleaned(relative, files, found))

    def _listed(self, real: str) -> str | None:
        """The path in ``exclude`` that is this image's, though it may lead through a link to the folder."""
        return (self._wanted.get(real) or self._wanted.get(_in_real_folder(real))) if self._wanted else None

    def _take_logged(self, real: str, caption: str | None) -> None:
        self._take(real, [CaptionedFile(real, "", caption)])
        if caption is not None:
            self._from_log.append(real)

    def _leads_outside(self, path: str) -> bool:
        if Path(path).is_symlink():
            return not Path(path).resolve().is_relative_to(self._within)
        folder = path.rpartition("/")[0]
        if folder not in self._leads:  # cached, as every image asks
            self._leads[folder] = not Path(folder).resolve().is_relative_to(self._within)
        return self._leads[folder]

    def _cleaned(self, relative: str, files: list[CaptionedFile], found: Decision | None) -> CleanedImage:
        first = files[0]
        if len({file.caption for file in files}) > 1:
            self._result.warnings.append(f"{relative} has {len(files)} captions; the first one is used")
        name, now = _place(relative, self._taken), first.caption
        caption, stale = corrected(found, now)
        if caption is not None:
            return CleanedImage(first.path, name, caption, now or "")
        if stale:
            self._tell_stale(relative)
        beside = f"{first.path.rpartition('.')[0]}.txt"
        is_correction = found is not None and found.decision == "caption" and found.caption is not None
        before = found.before if found is not None and is_correction and not stale else None
        return CleanedImage(first.path, name, now, before, text=first.source if first.source == beside else None)

    def _tell_stale(self, relative: str) -> None:
        self._result.warnings.append(f"the caption of {relative} was changed after its correction; it stays as it is")

    def _add_companions(self, top: Path) -> None:
        """Masks and control images stay or are excluded together with their image."""
        kept = {image.name.rpartition(".")[0] for image in self._result.images}
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(name for name in names if not name.startswith(".")):
                path = Path(folder, name)
                if suffix(name) not in IMAGES or os.path.normpath(path.absolute()) in self._met:
                    continue
                relative = path.relative_to(self._root).as_posix()
                of, kind = companion_of(printable(relative))
                if of in kept and self._leads_outside(str(path)):
                    self._outside.append(relative)
                elif of in kept:
                    self._result.companions.append(Companion(str(path), printable(relative), of, kind))


def _existing(places: Sequence[str]) -> str:
    """The first path that is one of a file or of an image in a tar; the first of all if none is."""
    return next((one for one in places if os.path.lexists(one) or tar_of(one) is not None), places[0])


def _in_real_folder(path: str) -> str:
    """The path without links to folders. A link to an image is an item of its own."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)  # noqa: PTH118, may be no UTF-8


def _place(relative: str, taken: set[str]) -> str:
    """The path of an image in the cleaned dataset: its own, unless another image uses the same caption file."""
    path = PurePosixPath(printable(relative))  # a trainer's configuration is UTF-8
    stem, number = path.stem, 1
    while str(path.with_suffix("")) in taken:
        number += 1
        path = path.with_name(f"{stem}-{number}{path.suffix}")
    taken.add(str(path.with_suffix("")))
    return str(path)
