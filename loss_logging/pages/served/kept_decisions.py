"""KeptDecisions: the decisions about the items of a run or a folder, for the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from loss_logging.captions.decisions import Decisions, is_caption_in
from loss_logging.pages.served.editor import State

__all__ = ["KeptDecisions"]


class Items(Protocol):
    """The items of a run or a folder; see `loss_logging.pages.served.live.LiveRun`."""

    def folders(self) -> list[str]:
        """The folders in the items' paths."""

    def with_paths(self, paths: Iterable[str]) -> list[tuple[str, str]]:
        """Dataset and path of the items with one of these paths."""


def _as_on_disk(_dataset: str, _path: str) -> None:
    return None


class KeptDecisions:
    """Decisions by dataset and path.

    Args:
        decisions: the store of the decisions.
        items: the items of the run or the folder.
        changed: called after each new decision.
        trained: the caption of an item, by dataset and path, that the figures on the page are of; None if they are of
            what is on disk.
    """

    def __init__(
        self,
        decisions: Decisions,
        items: Items,
        changed: Callable[[], object] = bool,
        trained: Callable[[str, str], str | None] = _as_on_disk,
    ) -> None:
        self._trained = trained
        self._decisions = decisions
        self._changed = changed
        self._items = items
        self._all: dict[tuple[str, str], str] = {}
        self._of: dict[str, str] | None = None  # the source of `all`

    def of(self, _dataset: str, path: str) -> str:
        """The decision about an item; "" if there is none."""
        found = self._decisions.of(path)
        return "" if found is None else found.decision

    def keep(self, dataset: str, path: str, wanted: State, before: str | None) -> None:
        """Store a decision; ``before`` is the earlier caption."""
        former = None
        if wanted.caption != before:
            former = before or ""  # of an image without a caption, too: what is written later is no such correction
        elif wanted.decision == "caption":  # what came after the correction was undone
            former = self._decisions.before(path, wanted.caption)
        trained, caption = self._trained(dataset, path), wanted.caption
        if caption is None and wanted.decision in ("fine", "later"):
            caption = trained or ""  # not None, which would hold for any caption that somebody writes afterwards
        self._decisions.decide(
            path,
            wanted.decision or "undone",
            caption=caption,
            before=former,
            trained=self._another(trained, wanted),
        )
        self._changed()

    @staticmethod
    def _another(trained: str | None, wanted: State) -> str | None:
        """The trained caption, where a decision is about it, too, and its text alone does not tell.

        A correction takes place of whatever was trained. "fine" is about what is on disk: it counts for what a trainer
        has made of just this text.
        """
        if not trained or not wanted.caption or is_caption_in(trained, wanted.caption):
            return None
        lines = [line.strip() for line in wanted.caption.splitlines()]
        is_of_it = wanted.decision in ("fine", "later") and any(line and line in trained for line in lines)
        return trained if is_of_it or wanted.decision == "caption" else None

    def all(self) -> Mapping[tuple[str, str], str]:
        """All decisions, by dataset and path."""
        by_path: dict[str, str] = {
            path: found.decision for path, found in self._decisions.among(self._items.folders()).items()
        }
        if by_path != self._of:
            self._all = {key: by_path[key[1]] for key in self._items.with_paths(by_path)}
            self._of = by_path
        return self._all
