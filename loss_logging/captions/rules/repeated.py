"""repeated: the same words again and again, as a captioning model writes them in a loop."""

from __future__ import annotations

import operator
import re
import zlib
from typing import TYPE_CHECKING

from loss_logging.captions.caption import count_words, quote, tags
from loss_logging.captions.reason import Reason, Severity

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["repeated"]

# The same word four times in a row ("very, very, very big" is fine), or the same letter twelve times.
_WORDS_MORE = 3
_WORD_RUN = re.compile(
    rf"(?<![^\s,.;:!?])([^\W_][^\s,.;:!?]*)(?:[,.;:!?]?\s+\1(?![^\s,.;:!?])){{{_WORDS_MORE},}}", re.IGNORECASE
)
_RUN = 12
_LETTER_RUN = re.compile(rf"([^\W\d_])\1{{{_RUN - 1},}}")
_MIN_DIFFERENT = 0.66
_LONG_WORD = 16

_SENTENCE = re.compile(r"[^.!?。！？\n]+")
_END = re.compile(r"[.!?。！？\n]")
_SENTENCE_WORDS = 4
_HALF_WORDS = 3  # "New York, New York" is a title

# A word, or one character of Chinese or Japanese, which have no spaces.
_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
    r"|[^\s,.;:!?()、-〟！-／\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_MIN_TOKENS = 6
_MAX_REPEATED_SHARE = 0.4  # of word trigrams, or of tags
_FEW_REPEATED = 0.15
_MIN_TAGS = 5

_MAX_COMPRESSION = 2.4  # of up to 300 characters; more of them compress better, up to ...
_MAX_COMPRESSION_OF_WINDOW = 3.0
_MIN_COMPRESSIBLE = 48
_WINDOW = 1_000
"""Characters at each end of the text for the two statistics. A loop runs to the end, and longer prose repeats itself
more (captions of 100 words and more: a compression of 1.9 at 1,000 characters, at most 2.5)."""

_ERROR_SHARE = 0.75


def repeated(caption: Caption) -> Reason | None:
    """A run of one word, a sentence that occurs twice, or text that is mostly repetition.

    Text is mostly repetition when fewer than 60% of its word trigrams are distinct or when zlib makes it 2.4 to 3 times
    smaller. In a tag list, whose tags share words by nature ("long hair, blue hair"), whole tags are compared.
    The score is the share of the caption that repeats something.
    """
    text, listed = caption.text, caption.style == "tags"
    words = caption.tokens
    alike = len(words) - len(caption.vocabulary)
    # Beyond ASCII words may be one in lower case and two without case: the Turkish İ.
    may_run = alike >= _WORDS_MORE or (alike and not text.isascii())
    if may_run and any(map(operator.eq, words, words[1:])) and (match := _WORD_RUN.search(text)):
        return _run(match, text)
    # "wryyyyyyyyyyyyy" is a tag.
    if (
        not listed
        and max(map(len, words), default=0) >= _RUN
        and _may_run(text)
        and (match := _LETTER_RUN.search(text))
    ):
        return _run(match, text)
    if listed:
        return _tags(text)
    # A text with many different words is no loop; a text with long words may be in a script without spaces.
    if len(caption.vocabulary) > _MIN_DIFFERENT * len(words) and len(text) < _LONG_WORD * len(words):
        return _twice(caption) if sum(map(text.count, ".!?。！？\n")) > 1 else None
    return _prose(caption)


def _may_run(text: str) -> bool:
    """Whether one letter may follow itself twelve times: then it does so at a place that 11 divides."""
    return any(map(operator.eq, text[:: _RUN - 1], text[1 :: _RUN - 1]))


def _run(match: re.Match[str], text: str) -> Reason | None:
    return _reason(len(match[0]) / len(text), f"{quote(match[1])} is written over and over", match.span())


def _tags(text: str) -> Reason | None:
    found = tags(text)
    share = 1 - len(set(found)) / len(found) if len(found) >= _MIN_TAGS else 0.0
    return _reason(share, f"{share:.0%} of its tags are repeats", None) if share > _MAX_REPEATED_SHARE else None


def _prose(caption: Caption) -> Reason | None:
    found = [reason for reason in (_twice(caption), _loop(caption)) if reason]
    return max(found, key=lambda reason: reason.score, default=None)


def _twice(caption: Caption) -> Reason | None:
    """Sentences that occur more than once, or a caption with two equal halves."""
    text = caption.text
    seen: set[str] = set()
    again: list[re.Match[str]] = []
    for match in _SENTENCE.finditer(text) if _END.search(text) else ():
        sentence = " ".join(match[0].casefold().split())
        if sentence in seen and count_words(sentence) >= _SENTENCE_WORDS:
            again.append(match)
        seen.add(sentence)
    if again:
        share = sum(len(match[0]) for match in again) / len(text)
        return _reason(share, f"{quote(again[0][0])} is written more than once", again[0].span())
    words = caption.folded.split()
    half = len(words) // 2
    if half >= _HALF_WORDS and words[:half] == words[half:]:
        return _reason(0.5, "the same words are written twice", None)
    return None


def _loop(caption: Caption) -> Reason | None:
    text = caption.text
    parts = [text]
    if "\n" in text:
        lines = [line for line in map(str.strip, text.splitlines()) if line]
        # Different lines are separate captions, and captions of one image resemble each other.
        if len(set(lines)) > _MIN_DIFFERENT * len(lines):
            parts = lines
    windows = {part for one in parts for part in (one[:_WINDOW], one[-_WINDOW:])}
    share = max(_repetition(part.casefold()) for part in windows)
    return _reason(share, f"{share:.0%} of it repeats itself", None) if share else None


def _repetition(text: str) -> float:
    """The share of repeated word trigrams, or of the text that zlib saves, if it is too high; else 0."""
    tokens = _TOKEN.findall(text)
    share = 0.0
    if len(tokens) >= _MIN_TOKENS:
        share = 1 - len(set(zip(tokens, tokens[1:], tokens[2:], strict=False))) / (len(tokens) - 2)
    if share > _MAX_REPEATED_SHARE:
        return max(share, _redundancy(text))
    return _redundancy(text) if share > _FEW_REPEATED or len(text) > _LONG_WORD * len(tokens) else 0.0


def _redundancy(text: str) -> float:
    """The share of the text that zlib saves, if it is too high; else 0."""
    if len(text) < _MIN_COMPRESSIBLE:
        return 0.0
    # Take the low byte of each character: in UTF-8 the lead bytes of Hindi or Thai would count as repetition.
    characters = text.encode("utf-16-le", "surrogatepass")[::2]
    compression = len(characters) / len(zlib.compress(characters))
    room = (_MAX_COMPRESSION_OF_WINDOW - _MAX_COMPRESSION) * min(1, max(0, len(text) - 300) / 500)
    return 1 - 1 / compression if compression > _MAX_COMPRESSION + room else 0.0


def _reason(share: float, what: str, span: tuple[int, int] | None) -> Reason:
    severity: Severity = "error" if share >= _ERROR_SHARE else "warning"
    message = f"Repetition: {what}; remove it or caption the image again."
    return Reason("repeated", severity, max(share, 0.1), message, span)
