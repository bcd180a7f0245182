"""StyleGuess: what the captions of a dataset are."""

from __future__ import annotations

import operator
from array import array
from collections import Counter
from collections.abc import Mapping

import numpy as np

from loss_logging.captions.caption import count_words, guess_style
from loss_logging.captions.names import Style

__all__ = ["StyleGuess", "common_style", "style_alone"]

_SHARE = 0.8  # of the captions that must be of one kind
_ENOUGH = 3  # captions; fewer decide nothing
_READ = 2_000  # characters of a caption that tell what it is


class StyleGuess:
    """Counts what captions look like, each by itself; eight bytes of memory for each.

    Example:
        >>> guess = StyleGuess()
        >>> for caption in ["a cat on a sofa", "two dogs in the snow", "a horse"]:
        ...     guess.add(caption)
        >>> guess.style() is None, guess.count
        (True, 3)
    """

    def __init__(self) -> None:
        self._styles: Counter[Style] = Counter()
        self._captions = array("q")

    def add(self, caption: str) -> None:
        """Look at one caption. Blank ones say nothing."""
        if (style := style_alone(caption)) is not None:
            self._styles[style] += 1
            self._captions.append(hash(caption))

    @property
    def count(self) -> int:
        """How many were looked at, without the blank ones."""
        return len(self._captions)

    def style(self) -> Style | None:
        """What nearly all of them are, see `common_style`."""
        _, counts = np.unique(np.frombuffer(self._captions, np.int64), return_counts=True)
        return common_style(self._styles, counts.max(initial=0))


def style_alone(caption: str) -> Style | None:
    """What a caption looks like by itself; None for a blank one.

    >>> style_alone("sks dog"), style_alone(" ")
    ('instance', None)
    """
    text = caption[:_READ].strip()
    return guess_style(text, count_words(text)) if text else None


def common_style(styles: Mapping[Style, int], most_alike: int) -> Style | None:
    """What nearly all captions of a dataset are, or None.

    One caption for nearly every image is an instance prompt. ``styles`` counts what captions look like each by itself,
    ``most_alike`` how many are one and the same.

    >>> common_style({"prose": 9, "tags": 1}, 1), common_style({"prose": 9}, 9)
    ('prose', 'instance')
    """
    count = sum(styles.values())
    if count < _ENOUGH:
        return None
    if most_alike >= _SHARE * count:
        return "instance"
    style, most = max(styles.items(), key=operator.itemgetter(1))
    return style if most >= _SHARE * count else None
