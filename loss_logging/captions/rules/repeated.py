"""repeated: the same words again and again, as a captioning model writes them when it is caught in a loop."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from loss_logging.captions.caption import count_words, quote, tags
from loss_logging.report import Reason, Severity

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["repeated"]

# The same word four times in a row ("very, very, very big" is fine), or the same letter twelve times.
_WORD_RUN = re.compile(r"(?<![^\s,.;:!?])([^\W_][^\s,.;:!?]*)(?:[,.;:!?]?\s+\1(?![^\s,.;:!?])){3,}", re.IGNORECASE)
_LETTER_RUN = re.compile(r"([^\W\d_])\1{11,}")

_SENTENCE = re.compile(r"[^.!?。！？\n]+")
_SENTENCE_WORDS = 4
_HALF_WORDS = 3  # "New York, New York" is a title

# A word, or one character of Chinese or Japanese, which have no spaces.
_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
    r"|[^\s,.;:!?()、-〟！-／\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_MIN_TOKENS = 6
_MAX_REPEATED_SHARE = 0.4  # of word trigrams, or of tags
_MIN_TAGS = 5

_MAX_COMPRESSION = 2.4
_MIN_COMPRESSIBLE = 48
_WINDOW = 1_000
"""Characters that the two statistics look at, at either end of the text: a loop runs to the end, and prose repeats
itself more the longer it is (photo captions in English: compression of 1.9 at 1,000 characters, 2.3 at 4,000)."""

_ERROR_SHARE = 0.75


def repeated(caption: Caption) -> Reason | None:
    """A run of one word, a sentence that occurs twice, or text that is mostly repetition.

    Text is mostly repetition when fewer than 60% of its word trigrams are distinct or when zlib makes it more than 2.4
    times smaller. In a tag list, whose tags share words by nature ("long hair, blue hair"), whole tags are compared.
    The score is the share of the caption that repeats something.
    """
    return _run(caption.text) or (_tags(caption.text) if caption.style == "tags" else _prose(caption.text))


def _run(text: str) -> Reason | None:
    match = _WORD_RUN.search(text) or _LETTER_RUN.search(text)
    if match is None:
        return None
    share = len(match[0]) / len(text)
    return _reason(share, f"{quote(match[1])} is written over and over", match.span())


def _tags(text: str) -> Reason | None:
    found = tags(text)
    share = 1 - len(set(found)) / len(found) if len(found) >= _MIN_TAGS else 0.0
    return _reason(share, f"{share:.0%} of its tags are repeats", None) if share > _MAX_REPEATED_SHARE else None


def _prose(text: str) -> Reason | None:
    found = [reason for reason in (_twice(text), _loop(text)) if reason]
    return max(found, key=lambda reason: reason.score, default=None)


def _twice(text: str) -> Reason | None:
    """Sentences that occur again, or a caption that is the same half twice."""
    seen: set[str] = set()
    again: list[re.Match[str]] = []
    for match in _SENTENCE.finditer(text):
        sentence = " ".join(match[0].casefold().split())
        if sentence in seen and count_words(sentence) >= _SENTENCE_WORDS:
            again.append(match)
        seen.add(sentence)
    if again:
        share = sum(len(match[0]) for match in again) / len(text)
        return _reason(share, f"{quote(again[0][0])} is written more than once", again[0].span())
    words = text.casefold().split()
    half = len(words) // 2
    if half >= _HALF_WORDS and words[:half] == words[half:]:
        return _reason(0.5, "the same words are written twice", None)
    return None


def _loop(text: str) -> Reason | None:
    windows = {text[:_WINDOW].casefold(), text[-_WINDOW:].casefold()}
    share = max(max(_repeated_trigrams(window), _redundancy(window)) for window in windows)
    return _reason(share, f"{share:.0%} of it repeats itself", None) if share else None


def _repeated_trigrams(text: str) -> float:
    """The share of word trigrams that occurred before, where it is too high; else 0."""
    tokens = _TOKEN.findall(text)
    if len(tokens) < _MIN_TOKENS:
        return 0.0
    share = 1 - len(set(zip(tokens, tokens[1:], tokens[2:], strict=False))) / (len(tokens) - 2)
    return share if share > _MAX_REPEATED_SHARE else 0.0


def _redundancy(text: str) -> float:
    """The share of the text that zlib saves, where it is too high; else 0."""
    if len(text) < _MIN_COMPRESSIBLE:
        return 0.0
    # The low byte of each character: in UTF-8 the lead bytes of Hindi or Thai would count as repetition.
    characters = text.encode("utf-16-le", "surrogatepass")[::2]
    compression = len(characters) / len(zlib.compress(characters))
    return 1 - 1 / compression if compression > _MAX_COMPRESSION else 0.0


def _reason(share: float, what: str, span: tuple[int, int] | None) -> Reason:
    severity: Severity = "error" if share >= _ERROR_SHARE else "warning"
    message = f"Repetition: {what}; remove it or caption the image again."
    return Reason("repeated", severity, max(share, 0.1), message, span)
