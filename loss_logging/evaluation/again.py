"""Again: what is computed anew where only a part is, and whose figures are kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from loss_logging.captions.decisions import Decisions
from loss_logging.captions.exclude_list import listed_paths
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.earlier import Earlier
from loss_logging.evaluation.selection import Item
from loss_logging.records.columns import as_text
from loss_logging.support.chance import hash_of

__all__ = ["Again", "Only", "check_only", "read_paths"]

Only: TypeAlias = Literal["changed", "excluded"] | Collection[str]
"""Which items to compute: those whose caption is another one than in the last report, those that a person has excluded,
or those with these paths."""

_NAMED = 5


def check_only(only: Only) -> Only:
    """The argument as it is used: a set of paths, or one of the two words.

    >>> sorted(check_only(["b.png", "a.png"]))
    ['a.png', 'b.png']
    """
    if isinstance(only, str):
        if only not in ("changed", "excluded"):
            raise ConfigError(f'only is {only!r}; allowed: "changed", "excluded", or a collection of paths')
        return only
    if not (paths := frozenset(map(str, only))):
        raise ConfigError("only is an empty collection of paths; give at least one, or leave it out for everything")
    return paths


def read_paths(file: Path) -> list[str]:
    """The recorded paths in a file, one a line, as ``loss-logging export --to exclude-list`` writes them.

    Raises:
        ConfigError: the file cannot be read, or holds none.
    """
    try:
        listed = listed_paths(file.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"only: {file} cannot be read ({error.strerror}); allowed: changed, excluded, or a file"
        ) from error
    # A folder stands before a path that would be a remark.
    paths = [as_text(path.removeprefix("./") if path.startswith("./#") else path) for path in listed]
    if not paths:
        raise ConfigError(f"only: {file} is empty; allowed: a file with the path of an item on each line")
    return paths


class Again:
    """Decides item by item what is computed, what is kept of the last evaluation, and what is neither.

    With ``"changed"`` an item is computed where it is new or has a caption that it had not; of several captions each
    counts by itself. Otherwise those that are named are computed, the others are kept as they are, and one that is
    neither named nor in the last report is left out.

    Args:
        only: which items, as `check_only` gives it.
        earlier: the last evaluation.
        decisions: what a person has decided.
    """

    def __init__(self, only: Only, earlier: Earlier, decisions: Decisions) -> None:
        self.only = only
        self._earlier = earlier
        self._decisions = decisions
        self._had: dict[Item, dict[str, int]] = defaultdict(dict)
        for item, caption, times in earlier.items():
            self._had[item][caption] = times
        self._datasets: dict[str, list[str | None]] = defaultdict(list)
        for item in self._had:
            self._datasets[item.path].append(item.dataset)
        self._kept: Counter[tuple[Item, str]] = Counter()
        self._kept_items: dict[Item, None] = {}
        self._computed: dict[Item, None] = {}
        self._left_out: dict[Item, None] = {}
        self._found: set[str] = set()

    @property
    def arguments(self) -> dict[str, Any]:
        """What an interrupted evaluation must have been asked for, to be continued."""
        only = self.only if isinstance(self.only, str) else hash_of(*sorted(self.only))
        return {"only": only, "since": self._earlier.created}

    def restarted(self) -> Again:
        """Before the first item; what it says and keeps is not this one's."""
        return Again(self.only, self._earlier, self._decisions)

    def computes(self, item: Item, caption: str | None) -> bool:
        """Whether an item is computed; each time that it comes with a caption is asked once.

        Raises:
            ConfigError: ``only`` is "changed", and nobody knows the item's caption.
        """
        if self.only != "changed":
            return self._computes_named(item)
        if caption is None:
            raise ConfigError(
                'only="changed" needs the caption of each item: a batch that is a mapping with captions (or caption)'
            )
        for one in self._items_of(item):
            if self._kept[one, caption] < self._had[one].get(caption, 0):
                self._kept[one, caption] += 1
                self._kept_items[one] = None
                return False
        return True

    def note_computed(self, item: Item) -> None:
        """An item, whose image opened, is computed."""
        self._computed[item] = None

    def _computes_named(self, item: Item) -> bool:
        wanted = self._decisions.excludes(item.path) if isinstance(self.only, str) else item.path in self.only
        if wanted:
            self._found.add(item.path)
            return True
        if items := self._items_of(item):
            for one in items:
                self._kept_items[one] = None
                self._kept.update(
                    {(one, caption): n for caption, n in self._had[one].items() if (one, caption) not in self._kept}
                )
        else:
            self._left_out[item] = None
        return False

    def _items_of(self, item: Item) -> list[Item]:
        """The item in the last report; of a batch that does not say its dataset, in any."""
        if item.dataset is not None:
            return [item] if item in self._had else []
        return [Item(dataset, item.path) for dataset in self._datasets.get(item.path, ())]

    def records(self) -> Iterator[pa.RecordBatch]:
        """What is kept."""
        return self._earlier.records((item, caption, n) for (item, caption), n in self._kept.items())

    def sentences(self) -> list[str]:
        """What a reader of the report must know: how many figures are older than it, and of which items there are none.

        Raises:
            LossLoggingError: none of the paths is in the dataset.
        """
        kept = [item for item in self._kept_items if item not in self._computed]
        said = [self._about_computed(len(kept) + len(self._computed), len(kept))]
        known = {item.path for item in self._computed if item.dataset is None}
        seen = {*self._kept_items, *self._computed}
        if gone := [item.path for item in self._had if item not in seen and item.path not in known]:
            said.append(f"left out, as no more in the dataset: {_counted(gone)} of the last report ({_named(gone)})")
        if self._left_out:
            new = [item.path for item in self._left_out]
            said.append(f"left out, as new and not among those to compute: {_counted(new)} ({_named(new)})")
        return said + self._about_paths()

    def _about_computed(self, of: int, kept: int) -> str:
        since = f"of {self._earlier.created}"
        if not self._computed:
            why = "no caption has changed" if self.only == "changed" else "none is excluded"
            return f"0 of {of:,} items were computed again, as {why}; {kept:,} have the figures {since}"
        n, names = len(self._computed), _named([item.path for item in self._computed])
        return f"{n:,} of {of:,} items were computed again ({names}); {kept:,} have the figures {since}"

    def _about_paths(self) -> list[str]:
        if isinstance(self.only, str):
            return []
        missing = sorted(set(self.only) - self._found)
        if not missing:
            return []
        sentence = (
            f"{len(missing):,} of the {len(self.only):,} paths to compute again are in no dataset: {_named(missing)}"
        )
        if not self._found:
            raise LossLoggingError(f"only: {sentence}; write them as the report does, and loss-logging export")
        return [sentence]


def _counted(paths: list[str]) -> str:
    return f"{len(paths):,} items" if len(paths) > 1 else "1 item"


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more
