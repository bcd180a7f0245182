"""conflict: one image, two captions; at most one of them is right."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from loss_logging.captions.caption import quote
from loss_logging.captions.reason import Reason

if TYPE_CHECKING:
    from loss_logging.captions.across import CaptionedItem, Found, Known

__all__ = ["Conflict"]


_FEW = 10  # captions; fewer are no evidence
_MANY = 0.5  # of a dataset; a larger share is intended


class Conflict:
    """One image with different captions: one path in two datasets, or images with the same bytes.

    Several captions for one path of a dataset are fine, as some trainers draw one of them. If most images have several
    captions, the dataset gets one reason.
    """

    def __init__(self) -> None:
        self._first: dict[str | bytes, tuple[int, int]] = {}
        self._more: defaultdict[str | bytes, list[tuple[int, int]]] = defaultdict(list)

    def add(self, item: CaptionedItem) -> None:
        """Look at a caption."""
        if item.content_hash is None or item.key is None:
            return
        this = item.index, item.key
        if self._first.setdefault(item.content_hash, this) != this:
            self._more[item.content_hash].append(this)

    def finish(self, known: Known) -> Found:
        """Both captions of each pair."""
        others: dict[int, int] = {}
        for image, more in self._more.items():
            present = [(index, key) for index, key in (self._first[image], *more) if index not in known.gone]
            last = different = None  # the last caption, and the last caption that differs from it
            for this in present:
                if last is not None and last[1] != this[1]:
                    different = last
                last = this
                if different is not None and _is_conflict(different[0], this[0], known):
                    others.setdefault(different[0], this[0])
                    others.setdefault(this[0], different[0])
        found = Counter(map(known.dataset_of, others))
        for dataset, count in found.items():
            if _is_usual(count, dataset, known):
                message = "Most images of this dataset occur again with another caption: fine if that is intended."
                yield dataset, Reason("conflict", "info", 0.2, message)
        for one, other in others.items():
            if not _is_usual(found[dataset := known.dataset_of(one)], dataset, known):
                path, where = known.paths[other], known.dataset_of(other)
                twin = quote(where) if path == known.paths[one] else quote(path)
                message = f"The same image as {twin}, which has another caption: keep one."
                yield one, Reason("conflict", "warning", 0.6, message)


def _is_conflict(one: int, other: int, known: Known) -> bool:
    return known.paths[one] != known.paths[other] or known.dataset_of(one) != known.dataset_of(other)


def _is_usual(count: int, dataset: str, known: Known) -> bool:
    return known.captions[dataset] >= _FEW and count > _MANY * known.captions[dataset]
