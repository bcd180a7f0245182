"""duplicate: several images have one and the same caption."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from loss_logging.captions.caption import quote
from loss_logging.captions.reason import Reason, Severity

if TYPE_CHECKING:
    from loss_logging.captions.across import CaptionedItem, Found, Known

__all__ = ["Duplicate"]

_LONG = 8  # words; shorter captions may be equal by chance
_CLASS_SHARE = 0.5  # of the captions occur more than once; a larger share means captions that name classes
_FEW = 10  # captions; fewer are no evidence


class Duplicate:
    """The same caption for several images of a dataset. Case, white space and the order of tags do not count.

    Datasets of instance prompts are exempt. If at least half of the captions are repeats, the dataset gets one reason,
    as its captions may name classes.
    """

    def __init__(self) -> None:
        self._keys: defaultdict[str, array[int]] = defaultdict(lambda: array("q"))
        self._items: defaultdict[str, array[int]] = defaultdict(lambda: array("q"))
        self._long: defaultdict[str, array[int]] = defaultdict(lambda: array("b"))

    def add(self, item: CaptionedItem) -> None:
        """Look at a caption."""
        if item.key is None:
            return
        self._keys[item.dataset].append(item.key)
        self._items[item.dataset].append(item.index)
        self._long[item.dataset].append(len(item.tokens) >= _LONG)

    def finish(self, known: Known) -> Found:
        """A reason for each caption that another image also has."""
        for dataset in self._keys:
            if known.styles.get(dataset) == "instance":
                continue
            keys = [self._keys[dataset][place] for place in self._places(dataset, known)]
            distinct = len(set(keys))
            if len(keys) >= _FEW and distinct <= _CLASS_SHARE * len(keys):
                message = (
                    f"{len(keys)} captions, of which {distinct} are different: fine if they name classes; otherwise "
                    "write a caption for each image."
                )
                yield dataset, Reason("duplicate", "info", 0.2, message)
            else:
                yield from self._repeats(dataset, known)

    def _repeats(self, dataset: str, known: Known) -> Found:
        places: defaultdict[int, list[int]] = defaultdict(list)
        keys, those = self._keys[dataset], self._places(dataset, known)
        again = {key for key, n in Counter(keys[place] for place in those).items() if n > 1}
        for place in those:
            if keys[place] in again:
                places[keys[place]].append(place)
        items, long = self._items[dataset], self._long[dataset]
        for same in places.values():
            names = [known.paths[items[place]] for place in same]
            if len(distinct := set(names)) < 2:  # several captions of one image
                continue
            severity: Severity = "warning" if long[same[0]] else "info"
            for i, place in enumerate(same):
                twin = next(name for name in reversed(names[i + 1 :] + names[:i]) if name != names[i])
                more = f" and {len(distinct) - 2} more" if len(distinct) > 2 else ""
                message = f"The same caption as {quote(twin)}{more}: say what is different in this image."
                yield items[place], Reason("duplicate", severity, 0.4 if severity == "warning" else 0.1, message)

    def _places(self, dataset: str, known: Known) -> list[int]:
        """The indices of a dataset's captions, without replaced ones."""
        return [place for place, item in enumerate(self._items[dataset]) if item not in known.gone]
