"""KeptDecisions: the decisions about the items of a run or a folder, for the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from loss_logging.captions.decisions import Decisions
from loss_logging.pages.served.editor import State

__all__ = ["KeptDecisions"]


class Items(Protocol):
    """The items of a run or a folder; see `loss_logging.pages.served.live.LiveRun`."""

    def folders(self) -> list[str]:
        """The folders in the items' paths."""

    def with_paths(self, paths: Iterable[str]) -> list[tuple[str, str]]:
        """Dataset and path of the items with one of these paths."""


class KeptDecisions:
    """Decisions by dataset and path.

    Args:
        decisions: the store of the decisions.
        items: the items of the run or the folder.
        changed: called after each new decision.
    """

    def __init__(self, decisions: Decisions, items: Items, changed: Callable[[], object] = bool) -> None:
        self._decisions = decisions
        self._changed = changed
        self._items = items
        self._all: dict[tuple[str, str], str] = {}
        self._of: dict[str, str] | None = None  # the source of `all`

    def of(self, _dataset: str, path: str) -> str:
        """The decision about an item; "" if there is none."""
        found = self._decisions.of(path)
        return "" if found is None else found.decision

    def keep(self, _dataset: str, path: str, wanted: State, before: str | None) -> None:
        """Store a decision; ``before`` is the earlier caption."""
        former = None
        if wanted.caption != before:
            former = before or ""  # of an image without a caption, too: what is written later is no such correction
        elif wanted.decision == "caption":  # what came after the correction was undone
            former = self._decisions.before(path, wanted.caption)
        self._decisions.decide(path, wanted.decision or "undone", caption=wanted.caption, before=former)
        self._changed()

    def all(self) -> Mapping[tuple[str, str], str]:
        """All decisions, by dataset and path."""
        by_path: dict[str, str] = {
            path: found.decision for path, found in self._decisions.among(self._items.folders()).items()
        }
        if by_path != self._of:
            self._all = {key: by_path[key[1]] for key in self._items.with_paths(by_path)}
            self._of = by_path
        return self._all
