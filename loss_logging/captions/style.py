"""StyleGuess: whether the captions of a dataset are prose, tags or instance prompts."""

from __future__ import annotations

import operator
from array import array
from collections import Counter
from collections.abc import Mapping

import numpy as np

from loss_logging.captions.caption import count_words, guess_style
from loss_logging.captions.names import Style

__all__ = ["StyleGuess", "common_style", "style_alone"]

_SHARE = 0.8  # of the captions must have one style
_ENOUGH = 3  # captions; fewer do not give a style
_READ = 2_000  # characters of a caption that its style is guessed from


class StyleGuess:
    """The style of a dataset, guessed from the styles of its captions; takes eight bytes of memory per caption.

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
        """Count one caption; a blank caption does not count."""
        if (style := style_alone(caption)) is not None:
            self._styles[style] += 1
            self._captions.append(hash(caption))

    @property
    def count(self) -> int:
        """The number of captions, without blank ones."""
        return len(self._captions)

    def style(self) -> Style | None:
        """The style of the dataset, see `common_style`."""
        _, counts = np.unique(np.frombuffer(self._captions, np.int64), return_counts=True)
        return common_style(self._styles, counts.max(initial=0))


def style_alone(caption: str) -> Style | None:
    """The style of a caption by itself; None for a blank caption.

    >>> style_alone("sks dog"), style_alone(" ")
    ('instance', None)
    """
    text = caption[:_READ].strip()
    return guess_style(text, count_words(text)) if text else None


def common_style(styles: Mapping[Style, int], most_alike: int) -> Style | None:
    """The style of at least 80% of the captions of a dataset, or None.

    The style is "instance" if 80% of the images have the same caption. ``styles`` is the number of captions by style,
    ``most_alike`` is the number of captions with the most frequent text.

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
