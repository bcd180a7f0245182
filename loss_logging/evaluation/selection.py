"""Which items of a dataloader are evaluated, and batches without the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from loss_logging.errors import ConfigError
from loss_logging.records.columns import caption_array, dataset_array
from loss_logging.records.record import SampleRecord
from loss_logging.support.chance import uniform_of

__all__ = ["Item", "Part", "Selection", "check_records", "items_of", "part_of"]

_PATHS, _DATASETS, _CAPTIONS = ("paths", "path"), ("datasets", "dataset"), ("captions", "caption")


class Item(NamedTuple):
    """What identifies an example of a batch; ``dataset`` is None where the batch does not say."""

    dataset: str | None
    path: str


class Part(Protocol):
    """Which items are computed where the figures of the others are kept; see `loss_logging.evaluation.again.Again`."""

    def computes(self, item: Item, caption: str | None) -> bool:
        """Whether an item is computed that comes with a caption."""

    def note_computed(self, item: Item) -> None:
        """It is, and its image opened."""

    def restarted(self) -> Part:
        """Before the first item."""


class Selection:
    """Decides item by item what is evaluated.

    Args:
        fraction: the share of the items to take, in (0, 1]; which ones depends on the seed and their path alone.
        most: take at most so many, the first that come.
        seed: another seed takes other items.
        part: what of them is computed; None for all.

    Attributes:
        fraction, most, seed: as they were given.
        batches: how many batches were looked at.
        taken: how many of their examples were taken, of batches that do not say what theirs are each path once.
    """

    def __init__(self, fraction: float, most: int | None, seed: int, part: Part | None = None) -> None:
        self.fraction = fraction
        self.most = most
        self.seed = seed
        self._part = part
        self._paths: set[str] = set()
        self.batches = 0
        self.taken = 0

    def restarted(self) -> Selection:
        """Before the first batch."""
        return Selection(self.fraction, self.most, self.seed, self._part and self._part.restarted())

    def take_from(self, dataloader: Iterable[Any]) -> Iterator[Any]:
        """The batches, without the examples that are not wanted, until there are enough.

        Raises:
            ConfigError: a part is wanted, and a batch does not say which items it has.
        """
        if self._part is not None and hasattr(dataloader, "skips"):
            dataloader.skips = self._skips  # before it opens an image that is kept
        for batch in dataloader:
            self.batches += 1
            yield from self._wanted_of(batch)
            if self._is_full:  # not before the batch: a dataloader that passes over items has then asked for all of its
                return

    def _wanted_of(self, batch: Any) -> Iterator[Any]:
        """The batch without the examples that are not wanted; none without any."""
        items = items_of(batch)
        if items is None:
            if self._part is not None:
                raise ConfigError("only needs batches that are mappings with paths: nothing says what is in these")
            yield batch
            return
        captions = _captions_of(batch, len(items))
        wanted = [
            place
            for place, (item, caption) in enumerate(zip(items, captions, strict=True))
            if self._wants(item.path) and (self._part is None or self._part.computes(item, caption))
        ]
        if self._part is not None:
            for place in wanted:
                self._part.note_computed(items[place])
        self.taken += len(wanted)
        if wanted or not items:
            yield part_of(batch, wanted, len(items))

    def keep(self, batch: Any, records: list[SampleRecord]) -> list[SampleRecord]:
        """The records that are wanted; those of a batch with known items must be about just these.

        Raises:
            ValueError: they are not.
        """
        items = items_of(batch)
        if items is None:
            kept = [record for record in records if self._wants(str(record.path))]
            self.taken = max(self.taken, len(self._paths))
            return kept
        check_records(records, Counter(item.path for item in items))
        return records

    def _skips(self, item: Item, caption: str) -> bool:
        return self._wants(item.path) and self._part is not None and not self._part.computes(item, caption)

    @property
    def _is_full(self) -> bool:
        return self.most is not None and len(self._paths) >= self.most

    def _wants(self, path: str) -> bool:
        if path in self._paths:
            return True
        if self._is_full or (self.fraction < 1 and uniform_of("sample", self.seed, path) >= self.fraction):
            return False
        self._paths.add(path)
        return True


def check_records(records: list[SampleRecord], expected: Counter[str]) -> None:
    """Raise a ValueError unless there is a record for each expected item, however often it comes, and no other."""
    given = Counter(str(record.path) for record in records)
    if given != expected:
        missing, extra = list((expected - given).elements()), list((given - expected).elements())
        raise ValueError(
            f"compute_fn returned {given.total()} records for a batch of {expected.total()} items; expected one for "
            f"each. Missing: {missing[:5]}; not in the batch: {extra[:5]}"
        )


def items_of(batch: Any) -> list[Item] | None:
    """The items of a batch that is a mapping with ``paths`` (or ``path``); None for any other.

    >>> items_of({"path": ["1.png", "2.png"], "dataset": ["cats", None]})
    [Item(dataset='cats', path='1.png'), Item(dataset='unknown', path='2.png')]
    """
    paths = _names(batch, _PATHS)
    if paths is None:
        return None
    datasets = _names(batch, _DATASETS)
    if datasets is None or len(datasets) != len(paths):
        return [Item(None, str(path)) for path in paths]
    return [Item(*pair) for pair in zip(dataset_array(datasets).to_pylist(), map(str, paths), strict=True)]


def _captions_of(batch: Any, size: int) -> list[str] | list[None]:
    captions = _names(batch, _CAPTIONS)
    return [None] * size if captions is None or len(captions) != size else caption_array(captions).to_pylist()


def _names(batch: Any, keys: tuple[str, str]) -> list[Any] | None:
    if isinstance(batch, Mapping):
        for key in keys:
            if key in batch and not isinstance(batch[key], str):
                return list(batch[key])
    return None


def part_of(batch: Any, places: list[int], size: int) -> Any:
    """The examples at ``places`` of a batch of ``size``, which is a mapping; the batch itself where that is all.

    >>> part_of({"path": ["1.png", "2.png"], "width": 512}, [1], 2)
    {'path': ['2.png'], 'width': 512}
    """
    return batch if len(places) == size else {key: _take(value, places, size) for key, value in batch.items()}


def _take(value: Any, places: list[int], size: int) -> Any:
    """The given places of a per-example value; anything else belongs to the whole batch and stays."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return value[places] if len(shape) and shape[0] == size else value
    if isinstance(value, (list, tuple)) and len(value) == size:
        return [value[place] for place in places]
    return value
