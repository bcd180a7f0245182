"""Exclusions: which items a person has decided to leave out of a training, and how many were."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

from loss_logging.captions.decisions import DECISIONS_FILE, Decision, DecisionFile
from loss_logging.captions.exclude_list import read_exclude_list
from loss_logging.errors import ConfigError
from loss_logging.records.columns import as_text
from loss_logging.runs.config import TrainConfig
from loss_logging.support.warn import LOGGER

__all__ = ["Exclusions", "rows_of"]

_EXAMPLES = 3


class _Decided(NamedTuple):
    nearness: int
    """That of the file which says so: the nearest counts, and the run's own before all."""
    decision: Decision


class Exclusions:
    """Which items are left out of a training: those that a decision excludes, and those in the list ``exclude``.

    Decisions are those in ``.captions-decisions.jsonl`` beside an image or in a folder above it, and in the run's own
    file; the nearest counts, as in `loss-logging view`. Relative paths of items belong to the key ``images`` of the
    configuration, or to the working directory. A path in the list is meant as the log has it, or as a file:
    absolute, or relative as those of items are, or else to the list's folder. Links lead to what they link to.

    Each file is read once, when it is needed first: what is decided later counts from the next training on.

    Args:
        config: of the training.

    Raises:
        ConfigError: there is no such list, or it cannot be read.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "exclude.txt").write_text("2.png\\n")
        >>> exclusions = Exclusions(TrainConfig(job_name="a", save_root=folder, exclude=folder / "exclude.txt"))
        >>> exclusions.excludes("1.png"), exclusions.excludes("2.png")
        (False, True)
    """

    def __init__(self, config: TrainConfig) -> None:
        working = os.getcwd()  # noqa: PTH109, of texts
        self._base = working if config.images is None else os.path.join(working, config.images)  # noqa: PTH118
        self._list = None if config.exclude is None else Path(config.exclude)
        self._entries: set[str] = set()
        self._listed: dict[str, str] = {}  # from what an item may be called to the entry that names it
        self._met: set[str] = set()
        self._decided: dict[str, _Decided] = {}
        self._read_folders: set[str] = set()
        self._real_folders: dict[str, str] = {}
        self._left_out: dict[str, set[str]] = {}
        self._is_asked = self._has_streams = self._is_announced = False
        self._read(self._base, config.paths.decisions, sys.maxsize)
        if self._list is not None:
            self._take_list(self._list)

    # --- what is excluded -------------------------------------------------------------------------------------------

    def excludes(self, path: object) -> bool:
        """Whether an item is to be left out: a path, or what else ``LossLogger.log_batch`` takes for one."""
        text = as_text(path)
        name = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else text
        files = list(self._files(name)) if _is_file_name(name) else []
        entry = next((self._listed[one] for one in (text, name, *files) if one in self._listed), None)
        if entry is not None:
            self._met.add(entry)
            return True
        found: Decision | None = None
        for file in files:  # as it is named, and where that leads to
            farther = self._decision(file)
            found = farther if found is None else found.over(farther)
        return found is not None and found.decision == "exclude"

    def await_stream(self) -> None:
        """Items of a stream will come to `leave_out`: what has come of the exclusions is known at its end."""
        self._is_asked = self._has_streams = True

    def leave_out(self, path: object, dataset: str = "train") -> bool:
        """Whether to skip an item of a stream, of which nobody knows how many will come; it is counted, once."""
        self.await_stream()
        return self._note(path, dataset)

    def kept(self, paths: Sequence[object], datasets: Sequence[object] | str = "train") -> list[int]:
        """The places of the items that stay, ascending; the others are counted.

        Args:
            paths: of all items of one or several datasets.
            datasets: as many names, or one.

        Raises:
            ConfigError: of a dataset nothing stays.
        """
        self._is_asked = True
        names = repeat(datasets) if isinstance(datasets, str) else datasets
        sizes: dict[str, int] = {}
        kept: list[int] = []
        for place, (path, name) in enumerate(zip(paths, names, strict=not isinstance(datasets, str))):
            dataset = as_text(name) or "unknown"
            stays = not self._note(path, dataset)
            sizes[dataset] = sizes.get(dataset, 0) + stays
            if stays:
                kept.append(place)
        for dataset, size in sizes.items():
            if not size:
                raise ConfigError(self._nothing_stays(dataset))
        return kept

    def subset(self, dataset: Any, paths: Sequence[object], datasets: Sequence[object] | str = "train") -> Any:
        """A dataset without the items that are left out, for a DataLoader; itself where all stay.

        Args:
            dataset: one of ``datasets``, which selects rows, or anything else with a length and items by number, of
                which a ``torch.utils.data.Subset`` is made.
            paths: the path of each of its items, in its order, as it is logged: no item is loaded.
            datasets: the name of each item's dataset, or one name.

        Raises:
            ValueError: there are other numbers of paths than items.
            ConfigError: nothing stays.

        Example:
            >>> import tempfile
            >>> folder = Path(tempfile.mkdtemp())
            >>> _ = (folder / "exclude.txt").write_text("2.png\\n")
            >>> exclusions = Exclusions(TrainConfig(job_name="a", save_root=folder, exclude=folder / "exclude.txt"))
            >>> list(exclusions.subset(["first", "second", "third"], ["1.png", "2.png", "3.png"]))
            ['first', 'third']
        """
        if len(paths) != len(dataset):
            raise ValueError(f"there are {len(paths)} paths of {len(dataset)} items; expected one for each")
        return rows_of(dataset, self.kept(paths, datasets))

    def rename(self, dataset: str, names: Iterable[str]) -> None:
        """What was counted of a folder is that of each dataset which is made of it."""
        if (paths := self._left_out.pop(dataset, None)) is not None:
            self._left_out.update((name, paths) for name in names)

    # --- what has come of it ----------------------------------------------------------------------------------------

    @property
    def counts(self) -> dict[str, int]:
        """How many items of each dataset have been left out, each once; datasets without one are not in it."""
        return {name: len(paths) for name, paths in sorted(self._left_out.items())}

    @property
    def is_unheard(self) -> bool:
        """Whether there is a list, and nobody has asked what is in it."""
        return self._list is not None and not self._is_asked

    def announce(self, *, ended: bool = False) -> None:
        """Say once how many items are left out, and which paths of the list are those of none.

        Args:
            ended: the training has ended; before, that is not known of streams.
        """
        if self._is_announced or not self._is_asked or (self._has_streams and not ended):
            return
        self._is_announced = True
        if counts := self.counts:
            each = ", ".join(f"{name} {count:,}" for name, count in counts.items())
            LOGGER.warning("left out of the training, as was decided: %s (%s)", _items(sum(counts.values())), each)
        if unmet := sorted(self._entries - self._met):
            shown = ", ".join(unmet[:_EXAMPLES])
            LOGGER.warning(
                "exclude: %s of the %s paths in %s are those of no item of the training, such as %s. A path has to be "
                "as the log has it, or that of a file, from %s or from the list's folder",
                f"{len(unmet):,}",
                f"{len(self._entries):,}",
                self._list,
                as_text(shown),
                self._base,
            )

    # --- behind it --------------------------------------------------------------------------------------------------

    def _note(self, path: object, dataset: str) -> bool:
        is_excluded = self.excludes(path)
        if is_excluded:
            self._left_out.setdefault(dataset, set()).add(as_text(path))
        return is_excluded

    def _nothing_stays(self, dataset: str) -> str:
        where = f"decisions ({DECISIONS_FILE})" if self._list is None else f"{self._list} and decisions"
        return (
            f"exclude: all {_items(len(self._left_out[dataset]))} of the dataset {dataset!r} are excluded, by {where}; "
            "take some out of there, or leave the dataset out of the training"
        )

    def _take_list(self, file: Path) -> None:
        for entry in read_exclude_list(file):
            self._entries.add(entry)
            for text in dict.fromkeys((entry, entry.strip())):
                self._listed.setdefault(text, entry)
                for place in self._places(text, file.absolute().parent) if _is_file_name(text) else ():
                    for name in self._files(place):
                        self._listed.setdefault(name, entry)

    def _places(self, path: str, folder: Path) -> list[str]:
        """Where the file is: from the folder of relative paths, or else from the list's; both where it is in none."""
        places = [os.path.join(self._base, path), os.path.join(folder, path)]  # noqa: PTH118, of texts
        return next(([place] for place in places if os.path.lexists(place)), places)

    def _files(self, path: str) -> Iterator[str]:
        """An absolute path, in the one way to write it; and where it really leads, if that is elsewhere."""
        name = _normal(os.path.join(self._base, path))  # noqa: PTH118
        yield name
        folder, base = os.path.split(name)
        if folder not in self._real_folders:  # asked for every image
            self._real_folders[folder] = os.path.realpath(folder)
        real = os.path.realpath(name) if os.path.islink(name) else os.path.join(self._real_folders[folder], base)  # noqa: PTH114, PTH118
        if (real := _normal(real)) != name:
            yield real

    def _decision(self, file: str) -> Decision | None:
        folder = os.path.dirname(file)  # noqa: PTH120
        while folder not in self._read_folders:
            self._read_folders.add(folder)
            self._read(folder, Path(folder, DECISIONS_FILE), len(folder))
            folder = os.path.dirname(folder)  # noqa: PTH120
        found = self._decided.get(file)
        return None if found is None else found.decision

    def _read(self, folder: str, file: Path, nearness: int) -> None:
        for decision in DecisionFile(file).last():
            name = _normal(os.path.join(folder, decision.path))  # noqa: PTH118
            one, other = _Decided(nearness, decision), self._decided.get(name)
            if other is not None:
                nearer, farther = (one, other) if nearness > other.nearness else (other, one)
                one = nearer if nearer.decision.over(farther.decision) is nearer.decision else farther
            self._decided[name] = one


def rows_of(dataset: Any, kept: list[int]) -> Any:
    """A dataset with the items at ``kept`` alone; itself where those are all."""
    if len(kept) == len(dataset):
        return dataset
    if hasattr(dataset, "select") and hasattr(dataset, "column_names"):
        return dataset.select(kept)
    from torch.utils.data import Subset

    return Subset(dataset, kept)


def _is_file_name(name: str) -> bool:
    """Whether it may be the name of a file of this machine."""
    return bool(name) and "://" not in name and "\0" not in name


def _normal(path: str) -> str:
    return os.path.normcase(os.path.normpath(path))


def _items(count: int) -> str:
    return f"{count:,} item{'' if count == 1 else 's'}"
