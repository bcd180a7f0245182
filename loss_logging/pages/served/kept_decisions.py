"""KeptDecisions: what was decided about the items of a run or a folder, as the page asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from loss_logging.captions.decisions import Decisions
from loss_logging.pages.served.editor import State

__all__ = ["KeptDecisions"]


class Items(Protocol):
    """What is known of the items; see `loss_logging.pages.served.live.LiveRun`."""

    def folders(self) -> list[str]:
        """The folders that their paths name."""

    def with_paths(self, paths: Iterable[str]) -> list[tuple[str, str]]:
        """Dataset and path of those that have one of these paths."""


class KeptDecisions:
    """Decisions by dataset and path.

    Args:
        decisions: where they are kept.
        items: of the run or the folder.
    """

    def __init__(self, decisions: Decisions, items: Items) -> None:
        self._decisions = decisions
        self._items = items
        self._all: dict[tuple[str, str], str] = {}
        self._of: dict[str, str] | None = None  # what `all` was made of

    def of(self, _dataset: str, path: str) -> str:
        """What was decided about an item; "" for nothing."""
        found = self._decisions.of(path)
        return "" if found is None else found.decision

    def keep(self, _dataset: str, path: str, wanted: State, before: str | None) -> None:
        """Keep what is decided now; ``before`` is the caption that it had."""
        former = before if wanted.caption != before else None
        self._decisions.decide(path, wanted.decision or "undone", caption=wanted.caption, before=former)

    def all(self) -> Mapping[tuple[str, str], str]:
        """By dataset and path, everything that was decided."""
        by_path: dict[str, str] = {
            path: found.decision for path, found in self._decisions.among(self._items.folders()).items()
        }
        if by_path != self._of:
            self._all = {key: by_path[key[1]] for key in self._items.with_paths(by_path)}
            self._of = by_path
        return self._all
