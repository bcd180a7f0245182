"""conflict: one image, two captions; at most one of them is right."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from loss_logging.captions.caption import quote
from loss_logging.report import Reason

if TYPE_CHECKING:
    from loss_logging.captions.across import Found, Item, Known

__all__ = ["Conflict"]


_FEW = 10  # captions; fewer cannot tell
_MANY = 0.5  # of a dataset; it is done on purpose


class Conflict:
    """One image with different captions: a path in two datasets, or images that are the same to the last byte.

    Several captions for one path of a dataset are a choice that some trainers offer, and are fine. Where it is so with
    most images, the dataset is told of once.
    """

    def __init__(self) -> None:
        self._latest: dict[str | bytes, tuple[int, int]] = {}
        self._conflicts: list[tuple[int, int]] = []

    def add(self, item: Item) -> None:
        """Look at a caption."""
        if item.content_hash is None or item.key is None:
            return
        before, other = self._latest.get(item.content_hash, (item.index, item.key))
        self._latest[item.content_hash] = item.index, item.key  # an earlier one may be nobody's any more
        if other != item.key:
            self._conflicts.append((before, item.index))

    def finish(self, known: Known) -> Found:
        """Both captions of each pair."""
        others = {one: other for pair in reversed(self._conflicts) for one, other in (pair, pair[::-1])}
        others = {one: other for one, other in others.items() if _is_conflict(one, other, known)}
        found = Counter(map(known.dataset_of, others))
        for dataset, count in found.items():
            if _is_usual(count, dataset, known):
                message = "Most of its images are there again with other captions: fine if that is what you want."
                yield dataset, Reason("conflict", "info", 0.2, message)
        for one, other in others.items():
            if not _is_usual(found[dataset := known.dataset_of(one)], dataset, known):
                path, where = known.paths[other], known.dataset_of(other)
                twin = quote(where) if path == known.paths[one] else quote(path)
                message = f"The same image as {twin}, which has another caption: keep one."
                yield one, Reason("conflict", "warning", 0.6, message)


def _is_conflict(one: int, other: int, known: Known) -> bool:
    if one in known.gone or other in known.gone:
        return False
    return known.paths[one] != known.paths[other] or known.dataset_of(one) != known.dataset_of(other)


def _is_usual(count: int, dataset: str, known: Known) -> bool:
    return known.captions[dataset] >= _FEW and count > _MANY * known.captions[dataset]
