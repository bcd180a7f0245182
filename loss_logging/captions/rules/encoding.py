"""encoding: text that was decoded wrongly, and invisible characters."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from loss_logging.captions.caption import holds_any, quote
from loss_logging.captions.characters import CONTROLS, invisible
from loss_logging.captions.fix import FIXABLE, names_with_a_sign, without_mojibake
from loss_logging.captions.reason import Reason, Severity

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["encoding"]

_LOST = re.compile("[\ufffd\ud800-\udfff]")
_PRINTED = ("\u3164", "\ufffd")  # of lost, control and invisible characters, what Python takes for printable
_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\x[0-9a-fA-F]{2}")
# A line end as two characters: what is around it tells it from a path of Windows, a formula and an emoticon.
_LINE_END = re.compile(r"(?:\\r)?\\n(?=\\n|\\r|[A-Z]|\s|[\"'*\u201c-]|\Z)|(?<=[.,;!?])\\n(?=[a-z])")
_QUOTES = re.compile(r"""\\"[^"\\\n]{1,200}\\"|(?<=[A-Za-z])\\'(?=(?:s|t|d|m|re|ve|ll)\b)""")
_JSON = ("{", "[")
"""What begins so may be JSON, where a backslash before a letter or a quote is right."""

# What programs make of text for a URL or a mail: UTF-8 as two of a lead and a following byte, or a blank between words.
_PERCENT = re.compile(r"%[C-Fc-f][0-9A-Fa-f]%[89ABab][0-9A-Fa-f]|%u[0-9a-fA-F]{4}|(?<=[A-Za-z])%20(?=[A-Za-z])")
_EQUALS = re.compile(r"=[C-F][0-9A-F]=[89AB][0-9A-F]|=\?[\w-]{1,40}\?[BbQq]\?[^?\s]{1,80}\?=")
_PLUS = re.compile(r"\+(?:a|an|the|in|on|of|at|with|and|is|to)\+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_OF_PICTURES = ("/9j/", "iVBORw0KGgo", "UklGR", "R0lGOD")  # JPEG, PNG, WebP and GIF
_LONGEST_WORD = 80  # what is a picture in base64 is longer
_URL_SAFE = str.maketrans("-_", "+/")
_DATA = re.compile(r"data:[\w/+.-]{1,80};base64,")

# Wrongly decoded characters are pairs and triples of these; one of each pair is no letter of modern Russian or
# Ukrainian.
_ANY = "\x80-\u04ff\u2000-\u2fff"
_NOT_CYRILLIC = "\x80-\u0400\u0402-\u0403\u0405\u0408-\u040f\u0450\u0452-\u0453\u0455\u0458-\u04ff\u2000-\u2fff"
_SUSPECT = re.compile(f"[{_NOT_CYRILLIC}](?:(?<=[{_ANY}].)|(?=[{_ANY}])|(?<=Ã)(?= ))")

# UTF-8 that was read as Latin-1 or Windows-1252. The package ftfy finds it too, and may not be installed.
_MOJIBAKE = re.compile(
    "â€|ï¿½|ï»¿|ðŸ|(?<![A-ZÀ-ÞĐ])Ã(?= )"
    "|Ã[\x80-\xbf\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d"
    "\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178]|Â[\xa0-\xbf]"
)


def encoding(caption: Caption) -> Reason | None:
    """Lost characters, escapes, base64, URLs' and mails' text that was never decoded, mojibake, control and invisible
    characters.

    The reason names the first of these. Joiners in emoji, Persian and the scripts of India, line break hints in Thai
    and Khmer, and direction marks beside Arabic or Hebrew are fine. Without the package ftfy, the rule finds only the
    most common mojibake.
    """
    text = caption.text
    if "\\" in text and (match := _ESCAPE.search(text) or _escaped(text)):
        return _reason("error", 0.8, match, "an escape that was never decoded; read the source with its encoding")
    if ("%" in text or "=" in text or " " not in text) and (match := _encoded(text)):
        return _reason("error", 0.8, match, "text that was never decoded; decode it where captions are made")
    if text.isprintable() and not holds_any(text, _PRINTED):  # three times as fast as what follows
        return None if text.isascii() else _mojibake(text)
    if text.isascii():
        return _control(text)
    if match := _LOST.search(text):
        advice = "a character was lost when the text was decoded; read the source again with its encoding"
        return _reason("error", 0.9, match, advice)
    return _mojibake(text) or _control(text) or _invisible(text)


def _escaped(text: str) -> re.Match[str] | None:
    """A line end or a quote as JSON writes it."""
    return None if text.lstrip().startswith(_JSON) else _LINE_END.search(text) or _QUOTES.search(text)


def _encoded(text: str) -> re.Match[str] | None:
    """What is still encoded as for a URL or a mail."""
    if match := _PERCENT.search(text) or _EQUALS.search(text) or _DATA.search(text):
        return match
    if " " in text:
        return None
    if text.count("+") > 2 and (match := _PLUS.search(text)):
        return match
    match = _BASE64.fullmatch(text.strip()) if text.isascii() else None
    return match if match and _is_base64(match[0]) else None


def _is_base64(word: str) -> bool:
    """Whether a word is a picture in base64, or decodes to a text."""
    if len(word) > _LONGEST_WORD and word.startswith(_OF_PICTURES):
        return True
    if word.isalpha() and (word.islower() or word.isupper() or word.istitle()):
        return False
    usual = word.rstrip("=").translate(_URL_SAFE)
    try:
        text = base64.b64decode(usual + "=" * (-len(usual) % 4), validate=True).decode()
    except ValueError:
        return False
    return text.isprintable() and any(map(str.isalpha, text))


def _mojibake(text: str) -> Reason | None:
    if not _SUSPECT.search(text):
        return None
    for start, end in names_with_a_sign(text):
        text = text[:start] + "X" * (end - start) + text[end:]
    match = _MOJIBAKE.search(text)
    if match is None and not _is_bad()(text):
        return None
    start, end = match.span() if match else _first_bad(text)
    good = without_mojibake(text)
    shown = f", such as {quote(text[max(0, start - 10) : end + 10])}" if end > start else ""
    repair = f": {FIXABLE}" if good != text else ""
    message = f"Decoded with the wrong encoding{shown}{repair}; read the source as UTF-8."
    return Reason("encoding", "error", 0.8, message, (start, end) if end > start else None)


def _control(text: str) -> Reason | None:
    match = CONTROLS.search(text)
    return match and _reason("warning", 0.6, match, f"a control character; check the encoding of the source, {FIXABLE}")


def _invisible(text: str) -> Reason | None:
    pattern = invisible(text)
    match = pattern.search(text) if pattern else None
    if match is None:
        return None
    if match[0] == "\ufeff" and match.start() == 0:
        return _reason("warning", 0.4, match, f"a byte order mark; read the caption file as utf-8-sig, {FIXABLE}")
    return _reason("warning", 0.4, match, f"an invisible character that the text encoder reads; {FIXABLE}")


def _reason(severity: Severity, score: float, match: re.Match[str], advice: str) -> Reason:
    return Reason("encoding", severity, score, f"Contains {match[0]!a}: {advice}.", match.span())


@cache
def _is_bad() -> Callable[[str], bool]:
    """ftfy's heuristic for mojibake."""
    if find_spec("ftfy") is None:
        return lambda text: False
    from ftfy.badness import is_bad

    return is_bad


def _first_bad(text: str) -> tuple[int, int]:
    from ftfy.badness import BADNESS_RE

    match = BADNESS_RE.search(text)
    return match.span() if match else (0, 0)
