"""near_duplicate: captions that differ in one or two words, so that a model learns little about the difference."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from loss_logging.captions.caption import quote
from loss_logging.captions.minhash import MinHash, most_alike
from loss_logging.captions.reason import Reason
from loss_logging.captions.text_store import ByteStore

if TYPE_CHECKING:
    from loss_logging.captions.across import CaptionedItem, Found, Known

__all__ = ["NearDuplicate"]

_MIN_TOKENS = 8  # shorter captions are nearly the same by chance
_LEAST_SHARED = 0.8  # of the pairs of words (Jaccard)
_BANDS, _ROWS = 10, 4  # two captions that share 80% meet in a band with a probability of 0.995
_LEAST_AGREEING = 25  # of all rows; of captions that share 80%, one pair in 130 has fewer
_BATCH = 128  # captions that are hashed together
_CACHED = 1_024  # captions whose pairs of words are cached during the comparison
_READ = 128  # tokens
_MANY = 0.5  # of a dataset; a larger share is intended


class NearDuplicate:
    """Captions of a dataset that share at least 80% of their pairs of words (or tags), by the Jaccard index.

    `MinHash` finds the candidates; all their pairs of words verify them. Memory: 180 bytes per caption, and four bytes
    per word, of which more than 32 MB are in a temporary file.
    """

    def __init__(self) -> None:
        import numpy as np

        self._minhash = MinHash(_BANDS * _ROWS)
        self._multipliers = np.random.default_rng(0).integers(1, 2**63, _ROWS, np.uint64) * np.uint64(2) + np.uint64(1)
        self._waiting: list[list[str]] = []
        self._items = array("q")
        self._datasets = array("q")
        self._pairs = ByteStore()
        self._bands: list[Any] = []
        self._signatures: list[Any] = []  # of 8 bits for each row
        self._sketches: list[Any] = []
        self._sizes = array("i")  # pairs of words
        self._twins: dict[int, tuple[int, float]] = {}
        self._compared = 0  # rows

    def add(self, item: CaptionedItem) -> None:
        """Look at a caption."""
        if len(item.tokens) < _MIN_TOKENS:
            return
        self._items.append(item.index)
        self._datasets.append(hash(item.dataset))
        self._waiting.append(item.tokens[:_READ])
        if len(self._waiting) >= _BATCH:
            self._hash()

    def finish(self, known: Known) -> Found:
        """A reason for each caption with a near duplicate, or one for a dataset where most captions have one."""
        import numpy as np

        self._hash()
        if not self._bands:
            return
        rows = np.array([row for row, item in enumerate(self._items) if item not in known.gone], np.int64)
        bands = np.concatenate(self._bands) ^ np.array(self._datasets, np.int64).view(np.uint64)[:, None]
        signatures = np.concatenate(self._signatures)
        sketches, sizes = np.concatenate(self._sketches), np.frombuffer(self._sizes, np.int32)
        pairs: set[tuple[int, int]] = set()
        for band in bands[rows].T:
            order = np.argsort(band, kind="stable")
            meet = np.flatnonzero(band[order][1:] == band[order][:-1])
            one, other = rows[order[meet]], rows[order[meet + 1]]
            new = np.maximum(one, other) >= self._compared
            new[new] = (signatures[one[new]] == signatures[other[new]]).sum(axis=1) >= _LEAST_AGREEING
            new[new] = most_alike(sketches[one[new]], sketches[other[new]], sizes[one[new]]) >= _LEAST_SHARED
            pairs.update(zip(one[new].tolist(), other[new].tolist(), strict=True))
        pairs_of = lru_cache(_CACHED)(lambda row: frozenset(memoryview(self._pairs.read(row)).cast("I")))
        for low, high in sorted(pairs):
            self._compare(low, high, known, pairs_of)
        self._compared = len(self._items)
        twins = {one: twin for one, twin in self._twins.items() if one not in known.gone and twin[0] not in known.gone}
        found = Counter(map(known.dataset_of, twins))
        crowded = {dataset for dataset, n in found.items() if n > _MANY * known.captions[dataset]}
        for dataset in sorted(crowded):
            message = "Most captions differ in one or two words: fine if they are made from a template."
            yield dataset, Reason("near_duplicate", "info", 0.2, message)
        for index, (twin, share) in twins.items():
            if known.dataset_of(index) not in crowded:
                message = f"{share:.0%} the same as the caption of {quote(known.paths[twin])}: say what is different."
                yield index, Reason("near_duplicate", "info", 0.15, message)

    def _hash(self) -> None:
        import numpy as np

        if self._waiting:
            pairs = self._minhash.pairs(self._waiting)
            self._waiting = []
            sizes = pairs.sizes()
            self._pairs.extend(pairs.hashes.tobytes(), (np.cumsum(sizes) * pairs.hashes.itemsize).tolist())
            rows = self._minhash.signatures(pairs).reshape(-1, _BANDS, _ROWS)
            self._bands.append(rows @ self._multipliers)
            self._signatures.append(rows.reshape(-1, _BANDS * _ROWS).astype(np.uint8))
            self._sketches.append(pairs.sketches())
            self._sizes.extend(sizes.tolist())

    def _compare(self, low: int, high: int, known: Known, pairs_of: Callable[[int], frozenset[int]]) -> None:
        """Compare the captions of two rows."""
        one, other = self._items[low], self._items[high]
        if one in self._twins and other in self._twins:
            return
        dataset = known.dataset_of(one)
        if dataset != known.dataset_of(other) or known.styles.get(dataset) == "instance":
            return
        first, second = pairs_of(low), pairs_of(high)
        shared = len(first & second)
        share = shared / (len(first) + len(second) - shared)
        if _LEAST_SHARED <= share < 1 and known.paths[one] != known.paths[other]:  # no two captions of one image
            self._twins.setdefault(one, (other, share))
            self._twins.setdefault(other, (one, share))
