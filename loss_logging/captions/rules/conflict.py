"""conflict: one image, two captions; at most one of them is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loss_logging.captions.caption import quote
from loss_logging.report import Reason

if TYPE_CHECKING:
    from loss_logging.captions.across import Found, Item, Known

__all__ = ["Conflict"]


class Conflict:
    """Images that are the same to the last byte, under two names and with different captions.

    Several captions for one name are a choice that some trainers offer, and are fine.
    """

    def __init__(self) -> None:
        self._first: dict[str | bytes, tuple[int, int]] = {}
        self._conflicts: list[tuple[int, int]] = []

    def add(self, item: Item) -> None:
        """Look at a caption."""
        if item.content_hash is None:
            return
        caption = hash(" ".join(item.caption.casefold().split()))
        first, other = self._first.setdefault(item.content_hash, (item.index, caption))
        if other != caption:
            self._conflicts.append((first, item.index))

    def finish(self, known: Known) -> Found:
        """Both captions of each pair."""
        told: set[int] = set()
        for pair in self._conflicts:
            if known.paths[pair[0]] == known.paths[pair[1]]:
                continue
            for one, other in (pair, pair[::-1]):
                if one not in told:
                    told.add(one)
                    message = f"The same image as {quote(known.paths[other])}, which has another caption: keep one."
                    yield one, Reason("conflict", "warning", 0.6, message)
