"""The data of rules that compare captions: a `CaptionedItem` for each caption, and `Known` about their datasets."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from loss_logging.captions.caption import tags, words
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.names import Style
from loss_logging.captions.reason import Reason

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["CaptionedItem", "DatasetRule", "Found", "Known", "Rule", "same", "tokens"]


class CaptionedItem(msgspec.Struct, frozen=True):
    """One caption among others.

    Args:
        index: the number of the caption, from 0.
        path: the path of its image.
        dataset: the name of its dataset.
        caption: its text.
        style: the style of its dataset; None for a dataset with captions of several styles.
        key: equal for captions with the same content; None for a blank caption.
        tokens: its words without case and punctuation; for tags, the tags; for a script without spaces, the characters.
        content_hash: equal for images with the same bytes; None if unknown.
    """

    index: int
    path: str
    dataset: str
    caption: str
    content_hash: str | bytes | None
    style: Style | None
    key: int | None
    tokens: list[str]


class Known(msgspec.Struct, frozen=True):
    """Facts about all captions, for `DatasetRule.finish`.

    Args:
        captions: number of captions by dataset.
        styles: style by dataset; None for a dataset with captions of several styles.
        paths: path of each item, by its index.
        tokens: function from an item's index to its tokens.
        dataset_of: function from an item's index to its dataset.
        config: the user's settings.
        gone: indices of items whose caption has been replaced; they are not compared.
    """

    captions: Mapping[str, int]
    styles: Mapping[str, Style | None]
    paths: Sequence[str]
    tokens: Callable[[int], list[str]]
    dataset_of: Callable[[int], str]
    config: CaptionConfig
    gone: Collection[int] = frozenset()


Found = Iterator[tuple["int | str", Reason]]
"""Reasons, each with the index of an item, or with the name of a dataset if the reason is about the whole dataset."""


class DatasetRule(Protocol):
    """A rule that compares captions. `add` takes each caption once, `finish` gives the reasons. It stores hashes."""

    def add(self, item: CaptionedItem) -> None:
        """Look at a caption."""

    def finish(self, known: Known) -> Found:
        """The reasons found so far; more captions may follow."""


_READ = 4_000  # characters of a caption that are compared
_WITHOUT_SPACES = re.compile("[\u0e00-\U0010ffff]")  # the scripts of Asia, symbols and emoji


def tokens(caption: str, style: Style | None) -> list[str]:
    """The tokens of a caption, see `CaptionedItem`.

    >>> tokens("A cat, on a sofa.", "prose"), tokens("1girl, long_hair", "tags"), tokens("一只猫", "prose")
    (['a', 'cat', 'on', 'a', 'sofa'], ['1girl', 'long hair'], ['一', '只', '猫'])
    """
    text = caption[:_READ]
    if style == "tags":
        return [tag.replace("_", " ") for tag in tags(text)] if "_" in text else tags(text)
    found = words(text.casefold())
    if text.isascii() or not _WITHOUT_SPACES.search(text):
        return found
    parts: list[str] = []
    for word in found:
        parts.extend((word,) if word.isascii() else word)
    return parts


def same(caption: str, style: Style | None, tokens: list[str]) -> int | None:
    """A hash that ignores case, punctuation and the order of tags; None for a blank caption.

    >>> captions = ["a_cat, sofa", "Sofa,  a cat", " "]
    >>> one, other, blank = (same(caption, "tags", tokens(caption, "tags")) for caption in captions)
    >>> one == other, blank
    (True, None)
    """
    if not tokens:
        return None
    if len(caption) > _READ:
        return hash(caption)
    return hash(tuple(sorted(tokens) if style == "tags" else tokens))


Rule = Callable[["Caption"], "Reason | None"]
