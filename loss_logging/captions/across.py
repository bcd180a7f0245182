"""What the rules that compare captions see: items one after the other, then what the datasets turned out to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from loss_logging.captions.caption import Style
from loss_logging.report import Reason

__all__ = ["DatasetRule", "Found", "Item", "Known"]


class Item(msgspec.Struct, frozen=True):
    """One caption among others.

    Args:
        index: its number, from 0.
        path: what its image is called.
        dataset: what it belongs to.
        caption: its text.
        content_hash: equal for images that are the same to the last byte; None where nobody knows.
    """

    index: int
    path: str
    dataset: str
    caption: str
    content_hash: str | bytes | None


class Known(msgspec.Struct, frozen=True):
    """What is known once all captions were seen: how many a dataset has and what they are, and every item's path."""

    captions: Mapping[str, int]
    styles: Mapping[str, Style | None]
    paths: Sequence[str]


Found = Iterator[tuple["int | str", Reason]]
"""Reasons, each with the index of an item, or with the name of a dataset where it is about the dataset as a whole."""


class DatasetRule(Protocol):
    """Looks at every caption once and speaks at the end. Keeps hashes and counts, never the captions."""

    def add(self, item: Item) -> None:
        """Look at a caption."""

    def finish(self, known: Known) -> Found:
        """What was found."""
