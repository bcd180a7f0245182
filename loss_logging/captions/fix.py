"""fixed: a caption after the repairs that are always safe."""

from __future__ import annotations

import html
import re
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from loss_logging.captions.characters import CONTROLS, SPACES, invisible

__all__ = ["ENTITY", "FIXABLE", "MOST_CHARACTERS", "fixed", "names_with_a_sign", "without_mojibake"]

MOST_CHARACTERS = 100_000
"""A longer text is no caption, and is not repaired."""

FIXABLE = "loss-logging check-captions --fix repairs it"

ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,30}|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});")

# Wrongly decoded letters begin with one of these capitals; the second class may follow it in Latin-1 and Windows-1252.
_PAIR = re.compile("[ÃÅÄÂ][\xa1-\xbf\u2122\u2022\u2020\u2021\u2030\u201c\u201d\u2018\u2019\u2013\u2014\u2026\u20ac]")
_WORD_WITH_PAIR = re.compile(rf"(?<!\w)[^\W\d_]*{_PAIR.pattern}(?:[^\W\d_]|{_PAIR.pattern})*(?!\w)")

_ROUNDS = 8  # an entity may have been escaped twice, or mojibake been made of mojibake
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}m")  # of a terminal
_BLANKS = re.compile(r"[ \t]{2,}|\t")
_LINE_END = re.compile(r"[ \t]*(?:\r\n|\r|\n)[ \t]*")
_C0 = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def fixed(caption: str) -> str:
    """The caption with repaired mojibake, HTML entities, invisible characters and white space; the rest is unchanged.

    Line breaks stay, and so do entities that stand for no character. Repairing twice gives the same result as
    repairing once. The repair of mojibake needs the package ftfy; without it, mojibake stays.

    Example:
        >>> fixed("a\\u200b red  cat &amp; a\\xa0dog ")
        'a red cat & a dog'
    """
    if len(caption) > MOST_CHARACTERS:
        return caption
    text = caption
    for _ in range(_ROUNDS):
        before, text = text, _round(text)
        if text == before:
            return text
    return caption  # repairs that never end mean another kind of damage


def _round(text: str) -> str:
    text = without_mojibake(text)
    if "&" in text:
        text = ENTITY.sub(_character, text)
    if CONTROLS.search(text):
        text = _C0.sub("", _COLOUR.sub("", text))
    if pattern := invisible(text):
        text = pattern.sub("", text)
    text = _LINE_END.sub("\n", SPACES.sub(" ", text))
    return _BLANKS.sub(" ", text).strip(" \n")


def _character(entity: re.Match[str]) -> str:
    character = html.unescape(entity[0])
    return entity[0] if len(character) != 1 or character == "\ufffd" or CONTROLS.match(character) else character


def without_mojibake(text: str) -> str:
    """The text with wrongly decoded characters repaired; unchanged if the package ftfy is not installed.

    >>> without_mojibake("plain"), without_mojibake("IRMÃ® wool")
    ('plain', 'IRMÃ® wool')
    """
    if text.isascii() or (ftfy := _ftfy()) is None:
        return text
    module, config = ftfy
    if not (names := names_with_a_sign(text)):
        return module.fix_text(text, config)  # type: ignore[no-any-return]
    ends = [0, *(end for name in names for end in name), len(text)]
    parts = [text[start:end] for start, end in pairwise(ends)]
    parts[::2] = [module.fix_text(part, config) if part else part for part in parts[::2]]
    return "".join(parts)


def names_with_a_sign(text: str) -> list[tuple[int, int]]:
    """The positions of names in capitals that end in a sign, which only looks like a wrongly decoded small letter.

    >>> names_with_a_sign("IRMÃ® wool"), names_with_a_sign("a cafÃ©"), names_with_a_sign("NÃ®MES")
    ([(0, 5)], [], [(0, 6)])
    """
    if not _PAIR.search(text):  # ten times as fast as the loop below
        return []
    return [match.span() for match in _WORD_WITH_PAIR.finditer(text) if _is_in_capitals(match[0])]


def _is_in_capitals(word: str) -> bool:
    """Whether a word is in capitals except for a pair of characters that would become one small letter."""
    letters = [letter for letter in _PAIR.sub("", word) if letter.isalpha()]
    return len(letters) >= 2 and all(map(str.isupper, letters)) and all(map(_is_small, _PAIR.findall(word)))


def _is_small(pair: str) -> bool:
    try:
        return pair.encode("cp1252").decode().islower()
    except UnicodeError:
        return False


@cache
def _ftfy() -> tuple[Any, Any] | None:
    if find_spec("ftfy") is None:
        return None
    import ftfy

    config = ftfy.TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=False,
        replace_lossy_sequences=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        remove_control_chars=False,
        normalization=None,
        explain=False,
    )
    return ftfy, config
