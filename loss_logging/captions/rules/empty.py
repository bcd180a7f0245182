"""empty: the caption has no content."""

from __future__ import annotations

import re
import string
import unicodedata
from typing import TYPE_CHECKING

from loss_logging.captions.reason import Reason

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["empty", "missing"]

# fmt: off
_NULL_WORDS = frozenset({
    "none", "null", "nil", "nan", "na", "n/a", "undefined", "unknown", "not available", "not applicable",
    "todo", "tbd", "fixme", "test", "testing", "placeholder", "lorem ipsum",
    "untitled", "caption", "no caption", "no description", "no caption available", "no description available",
    "no caption provided", "no description provided",
})
# fmt: on
_VALUES = frozenset({"none", "null", "nil", "nan", "n/a", "undefined"})
"""Of several: one for each missing value."""
_PRINTED = frozenset({
    "NaT", "pd.NA", "\\N", "b''", 'b""', "[object Object]",
    "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!",
})  # fmt: skip
"""What a program prints for a missing value, in this case alone."""
_BETWEEN = re.compile(r"[\s,;|]+")
_LONGEST_NULL = 32  # characters, with quotes and brackets

# Beside letters and digits: pictographs, mathematical and currency signs, private use; broken text is `suspicious`.
_CONTENT_CATEGORIES = frozenset({"So", "Sm", "Sc", "Co", "Cs", "Cn"})


def empty(caption: Caption) -> Reason | None:
    """The whole caption is blank, punctuation only, or a word for a missing value.

    Only the whole caption counts: "banana" and "a test tube" are fine. Emoji and other pictographs count as content.
    """
    if caption.cut:
        return _first_line(caption) if caption.text.strip() else None
    text = caption.text.strip()
    if not text:
        return _reason("The caption is empty: write one, or take the image out of the dataset.", None)
    if len(text) > _LONGEST_NULL and text[0].isalnum():
        return _first_line(caption)
    span = (start := caption.text.index(text[0]), start + len(text))
    if len(text) <= _LONGEST_NULL and text.isascii():
        word = " ".join(text.casefold().strip(string.punctuation + string.whitespace).split())
        is_null = word in _NULL_WORDS or word.replace(".", "") in _NULL_WORDS or text in _PRINTED
        if is_null or _VALUES.issuperset(_BETWEEN.split(word)):
            return _reason(f"The caption is only {text!r}, which stands for a missing value: write a real one.", span)
    if not any(map(_is_content, text)):
        return _reason("The caption holds no letter, digit or pictograph: write a real one.", span)
    return _first_line(caption)


def missing(path: str) -> Reason:
    """The reason for an image without any caption file."""
    return _reason(f"There is no caption for {path!a}: write one, or take the image out of the dataset.", None)


def _first_line(caption: Caption) -> Reason | None:
    """A trainer that reads one line gets nothing from a blank first line; other trainers read the rest."""
    if "\n" not in caption.text or caption.text.partition("\n")[0].strip():
        return None
    message = "The first line is blank, and trainers that read one line get nothing: remove it."
    if caption.config.reading.first_line_only:
        return _reason(message, (0, caption.text.index("\n") + 1))
    return Reason("empty", "info", 0.2, message, (0, caption.text.index("\n") + 1))


def _is_content(character: str) -> bool:
    return character.isalnum() or (not character.isascii() and unicodedata.category(character) in _CONTENT_CATEGORIES)


def _reason(message: str, span: tuple[int, int] | None) -> Reason:
    return Reason("empty", "error", 1.0, message, span)
