"""StyleGuess: whether the captions of a dataset are prose, tags or instance prompts."""

from __future__ import annotations

import operator
from array import array
from collections import Counter
from collections.abc import Mapping
from typing import get_args

import numpy as np
import numpy.typing as npt

from loss_logging.captions.caption import count_words, guess_style
from loss_logging.captions.names import Style

__all__ = ["STYLES", "StyleGuess", "common_style", "style_alone", "styles_alone"]

STYLES: tuple[Style, ...] = get_args(Style)

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


def styles_alone(text: npt.NDArray[np.uint8], ends: npt.NDArray[np.integer]) -> npt.NDArray[np.int8]:
    """`style_alone` of many captions, as places in `STYLES`, -1 for a blank caption: ten times as fast.

    Args:
        text: the captions in UTF-8, one after the other.
        ends: (n + 1,) where each begins, and where the last one ends.

    >>> text = np.frombuffer(b"sks dog1girl,solo,hat", np.uint8)
    >>> [STYLES[place] for place in styles_alone(text, np.array([0, 7, 21]))]
    ['instance', 'tags']
    """
    before, after = ends[:-1], ends[1:]
    starts = _word_starts(text, before)
    commas = np.flatnonzero(text == ord(","))
    words = _within(starts, ends) + _within(_bare(commas, text, starts, before), ends)
    phrases = _within(commas, ends) + 1
    prose_or_tags = np.where((phrases >= 3) & (words <= 3 * phrases), STYLES.index("tags"), STYLES.index("prose"))
    styles = np.where(words > 2, prose_or_tags, STYLES.index("instance"))
    styles[words == 0] = -1
    for place in np.flatnonzero((_within(np.flatnonzero(text & _NOT_ASCII), ends) > 0) | (after - before > _READ)):
        alone = style_alone(text[before[place] : after[place]].tobytes().decode())
        styles[place] = -1 if alone is None else STYLES.index(alone)
    return styles.astype(np.int8)


_NOT_ASCII = np.uint8(128)
_BYTES = [chr(code) for code in range(256)]
_BLANK = np.array([one.isspace() for one in _BYTES])
_DIGIT = np.array([one.isdigit() for one in _BYTES])


def _word_starts(text: npt.NDArray[np.uint8], before: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    written = ~_BLANK[text]
    starts = written.copy()
    starts[1:] &= ~written[:-1]
    first = before[before < len(text)]
    starts[first] = written[first]
    return np.flatnonzero(starts)


def _bare(
    commas: npt.NDArray[np.int64],
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    before: npt.NDArray[np.integer],
) -> npt.NDArray[np.int64]:
    """The commas that no blank follows and that are no part of a number, which `count_words` sees a blank after."""
    first = np.zeros(len(text) + 1, bool)
    first[before] = True
    commas = commas[commas < len(text) - 1]
    following = text[commas + 1]
    inside = ~first[commas + 1] & ~_BLANK[following]
    first[np.append(starts, len(text))[np.searchsorted(starts, before)]] = True
    after_a_number = first[commas] | _DIGIT[text[commas - 1]]
    bare: npt.NDArray[np.int64] = commas[inside & ~(after_a_number & _DIGIT[following])]
    return bare


def _within(places: npt.NDArray[np.int64], ends: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """How many of the ascending places are in each caption."""
    return np.diff(np.searchsorted(places, ends))


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
