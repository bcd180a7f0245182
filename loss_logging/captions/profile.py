"""StyleGuess: what the captions of a dataset are, from a sample of them."""

from __future__ import annotations

from collections import Counter

from loss_logging.captions.caption import Style, count_words, guess_style

__all__ = ["StyleGuess"]

_SHARE = 0.8  # of the captions that must be of one kind
_ENOUGH = 3  # captions; fewer decide nothing
_READ = 2_000  # characters of a caption that tell what it is


class StyleGuess:
    """Counts what captions look like, each by itself.

    Example:
        >>> guess = StyleGuess()
        >>> for caption in ["a cat on a sofa", "two dogs in the snow", "a horse"]:
        ...     guess.add(caption)
        >>> guess.style() is None, guess.count
        (True, 3)
    """

    def __init__(self) -> None:
        self.count = 0
        self._styles: Counter[Style] = Counter()
        self._captions: Counter[int] = Counter()

    def add(self, caption: str) -> None:
        """Look at one caption. Blank ones say nothing."""
        text = caption[:_READ].strip()
        if not text:
            return
        self.count += 1
        self._styles[guess_style(text, count_words(text))] += 1
        self._captions[hash(text)] += 1

    def style(self) -> Style | None:
        """What nearly all of them are, or None. One caption for nearly every image is an instance prompt."""
        if self.count < _ENOUGH:
            return None
        if self._captions.most_common(1)[0][1] >= _SHARE * self.count:
            return "instance"
        style, most = self._styles.most_common(1)[0]
        return style if most >= _SHARE * self.count else None
