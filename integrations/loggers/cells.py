"""Text that is fit for a tracker: captions and paths are data that nobody checked."""

from __future__ import annotations

import re

__all__ = ["MAX_CELL", "clean", "shorten"]

MAX_CELL = 1000
"""Most characters of a table cell. The JSON report holds the whole caption."""

# Lone surrogates cannot be encoded; control characters are nothing to show.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def clean(text: str) -> str:
    r"""Replace what cannot be encoded or shown with U+FFFD.

    >>> clean("a\x00b")
    'a�b'
    """
    return _UNPRINTABLE.sub("\ufffd", text)


def shorten(text: str, limit: int = MAX_CELL) -> str:
    """At most ``limit`` characters, the last an ellipsis where some are left out; cleaned.

    >>> shorten("a cat on a sofa", limit=6)
    'a cat…'
    """
    return clean(text if len(text) <= limit else f"{text[: limit - 1]}…")
