"""Invisible characters, and the ones among them that harm a caption."""

from __future__ import annotations

import re

__all__ = ["CONTROLS", "SPACES", "invisible"]

CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
"""Control characters, without tab, line feed, vertical tab, form feed and carriage return, which are white space."""

SPACES = re.compile(r"[\x0b\x0c\xa0\u1680\u2000-\u200a\u202f\u205f]")
"""Unusual white space: no ordinary space, no line break, and no ideographic space, which is correct in Chinese."""

# Emoji and the scripts of India and Iran need joiners, so joiners are damage only between ASCII characters.
_UNSEEN = r"\xad\u180e\u2060-\u2064\u206a-\u206f\u3164\ufeff\ufff9-\ufffb\u202d\u202e"
_ALWAYS = rf"[{_UNSEEN}]|(?<![^\x00-\x7f])[\u200c\u200d](?![^\x00-\x7f])"
_BREAKS = r"\u200b"  # where a line may be broken, in Thai, Lao, Burmese and Khmer, which have no spaces
_DIRECTIONS = r"\u061c\u200e\u200f\u202a-\u202c\u2066-\u2069"
_TAGS = r"\U000e0000-\U000e007f"  # the letters of a flag, as in 🏴󠁧󠁢󠁳󠁣󠁴󠁿

_ANY = re.compile(rf"[{_UNSEEN}{_BREAKS}{_DIRECTIONS}{_TAGS}\u200c\u200d]")
_BREAKING_SCRIPT = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")

_BY_CONTEXT = {
    (breaks, directions, flags): re.compile(
        _ALWAYS + f"|[{_BREAKS * breaks}{_DIRECTIONS * directions}{_TAGS * flags}]" * (breaks or directions or flags)
    )
    for breaks in (False, True)
    for directions in (False, True)
    for flags in (False, True)
}


def invisible(text: str) -> re.Pattern[str] | None:
    """A pattern of the invisible characters that this text does not need; None if it has none.

    >>> pattern = invisible("a\\u200b cat")
    >>> pattern.sub("", "a\\u200b cat")
    'a cat'
    >>> invisible("a family: 👩‍👧") is None
    True
    """
    if text.isascii() or not _ANY.search(text):
        return None
    pattern = _BY_CONTEXT[not _BREAKING_SCRIPT.search(text), not _RIGHT_TO_LEFT.search(text), "🏴" not in text]
    return pattern if pattern.search(text) else None
