"""trigger: the trigger word is missing, misspelt, or after the token limit of the model."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TYPE_CHECKING

from loss_logging.captions.caption import quote
from loss_logging.captions.reason import Reason

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["trigger"]

_READ = 4_000  # characters that are searched for a misspelling
_WORD = re.compile(r"[^\W_]+")
_ALIKE = 0.8
_COMMA = re.compile("[,，、]")


def trigger(caption: Caption) -> Reason | None:
    """In datasets with a trigger word: it is missing, misspelt, or after the token limit of the text encoder.

    In tags, a trigger that is not the first tag gets an ``info``, as trainers that shuffle tags keep the first tag.
    """
    word = caption.config.trigger(caption.dataset)
    if word is None or (caption.config.resolves("trigger") and "[trigger]" in caption.text):
        return None
    exact, any_case = _patterns(word)
    if (match := exact.search(caption.text)) is None:
        return _other_case(caption, word, any_case.search(caption.text))
    if match.start() and (read := caption.encoder.read(caption.text)) is not None and match.end() > read[1]:
        limit = caption.encoder.limit
        message = f"The trigger {quote(word)} comes after the {limit} tokens that are read: move it to the front."
        return Reason("trigger", "warning", 0.6, message, match.span())
    if caption.style == "tags" and _COMMA.search(caption.text, 0, match.start()):
        message = f"The trigger {quote(word)} is not the first tag: move it there, as shuffling keeps the first tag."
        return Reason("trigger", "info", 0.1, message, match.span())
    return None


@lru_cache(256)
def _patterns(word: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns of the whole word: in its own case, and in any case. Scripts without spaces have no word boundaries."""
    left = r"(?<![^\W_])" if word[0].isascii() else ""
    right = r"(?![^\W_])" if word[-1].isascii() else ""
    pattern = left + r"\s+".join(map(re.escape, word.split())) + right
    return re.compile(pattern), re.compile(pattern, re.IGNORECASE)


def _other_case(caption: Caption, word: str, match: re.Match[str] | None) -> Reason | None:
    if match is not None:
        message = f"The trigger {quote(word)} is written {quote(match[0])}, and T5 is case-sensitive: write it one way."
        return Reason("trigger", "info", 0.2, message, match.span())
    if (span := _misspelt(caption.text[:_READ], word)) is not None:
        message = f"The trigger {quote(word)} is misspelt as {quote(caption.text[slice(*span)])}: correct it."
        return Reason("trigger", "warning", 0.8, message, span)
    return Reason("trigger", "warning", 0.7, f"The trigger {quote(word)} is missing: add it, best at the front.")


def _misspelt(text: str, word: str) -> tuple[int, int] | None:
    """The position of a phrase with nearly the letters of the trigger, and at most one word more or less."""
    wanted = "".join(_WORD.findall(word.casefold()))
    if len(wanted) < 4:
        return None
    number = len(_WORD.findall(word))
    matcher = SequenceMatcher(None, "", wanted, autojunk=False)
    found = list(_WORD.finditer(text))
    seen: set[str] = set()
    for count in {number, max(1, number - 1), number + 1}:
        for first, last in zip(found, found[count - 1 :], strict=False):
            letters = "".join(_WORD.findall(text[first.start() : last.end()].casefold()))
            if letters in seen or abs(len(letters) - len(wanted)) > 2:
                continue
            seen.add(letters)
            matcher.set_seq1(letters)
            if letters == wanted or (
                letters[0] == wanted[0] and matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE
            ):
                return first.start(), last.end()
    return None
