"""Which item, caption and dataset a row of an ai-toolkit batch is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, NamedTuple

__all__ = ["Items", "dataset_names", "items_of"]

SHORT_CAPTIONS = " (short captions)"
REFINER = " (refiner)"


class Items(NamedTuple):
    """B items, as ``LossLogger.log_batch`` takes them."""

    paths: list[str]
    datasets: list[str]
    captions: list[str]
    is_reg: list[bool]
    caption_dropped: list[bool]

    def __add__(self, other: Any) -> Items:
        return Items(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def dataset_names(folders: Iterable[str]) -> dict[str, str]:
    """A short name for each folder (or file): as many of its last parts as it takes to tell it from the others.

    >>> dataset_names(["/data/cats", "/data/dogs", "/old/dogs/"])
    {'/data/cats': 'cats', '/data/dogs': 'data/dogs', '/old/dogs/': 'old/dogs'}
    """
    parts = {folder: PurePath(folder).parts for folder in folders}
    others = set(parts.values())
    return {folder: _shortest(own, others - {own}) or folder for folder, own in parts.items()}


def _shortest(own: tuple[str, ...], others: set[tuple[str, ...]]) -> str | None:
    lengths = range(1, len(own) + 1)
    unlike = (n for n in lengths if all(other[-n:] != own[-n:] for other in others))
    return "/".join(own[-next(unlike, len(own)) :]) if own else None


def folder_of(dataset_config: Any) -> str:
    """Where a dataset comes from: ai-toolkit gives it no name."""
    return str(dataset_config.folder_path or dataset_config.dataset_path or "")


def items_of(batch: Any, rows: int, names: dict[str, str], *, has_refiner: bool) -> Items:
    """The items of the ``rows`` losses of a batch: one for each, or two where ai-toolkit doubles the batch.

    The second half of a doubled batch is a dataset of its own, so that short captions are not mixed up with long ones.

    Raises:
        LookupError: there are other numbers of rows than items.
    """
    items = batch.file_items
    once = Items(
        paths=[str(item.path) for item in items],  # also where a file that cannot be read was replaced by another
        datasets=[names.get(folder := folder_of(item.dataset_config), folder) for item in items],
        captions=["" if _is_dropped(item) else item.caption or "" for item in items],
        is_reg=[bool(item.is_reg) for item in items],
        caption_dropped=[_is_dropped(item) for item in items],
    )
    if rows == len(items):
        return once
    if rows != 2 * len(items):
        raise LookupError(f"{rows} losses for {len(items)} items")
    if has_refiner:
        return once + once._replace(datasets=[name + REFINER for name in once.datasets])
    return once + once._replace(
        datasets=[name + SHORT_CAPTIONS for name in once.datasets],
        captions=[item.caption_short or "" for item in items],
        caption_dropped=[False] * len(items),
    )


def _is_dropped(item: Any) -> bool:
    """Whether dropout took the caption; with cached text embeddings the item still has it."""
    return bool(getattr(item, "_caption_was_dropped", False) or (item.raw_caption and not item.caption))
