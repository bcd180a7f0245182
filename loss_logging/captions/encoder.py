"""TextEncoder: the token limit of a model's text encoder, and the counting of a caption's tokens."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence, Sized
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from loss_logging.captions.token_limits import FAMILIES, caption_tokens
from loss_logging.errors import ConfigError
from loss_logging.support.extras import require
from loss_logging.support.names import load

if TYPE_CHECKING:
    from loss_logging.captions.config import CaptionConfig

__all__ = ["TextEncoder", "Tokenizer"]

Tokenizer = Callable[[str], "int | Sized"]
"""A function from a text to its tokens or their number, without start and end tokens."""

MODEL_TOKENS = {name: caption_tokens(name) for name in FAMILIES}
"""By family of models: the number of caption tokens that it reads, without the tokens that the text encoder adds."""

_LEAST = "sdxl"  # the family that is assumed if the configuration names none
_SPECIAL, _END = "<|endoftext|>", 49_407  # one token of CLIP's
_CACHED_WORDS = 16_384  # parts of Thai words are many
_WORD_LENGTH = 24  # characters; where a script has no spaces, a whole text is one word
_LETTERS_OR_NONE = re.compile(r"[^\W\d_]+|[\W\d_]+")
_OWN_TOKEN = re.compile("['|]")  # of "n't" and "<|endoftext|>", which are tokens of letters and signs
_WORD_OR_SIGN = re.compile(r"[^\W_]+|[^\w\s]|_")
_MOST_CHARACTERS = 40  # per token of the limit; a longer text is not counted in full
_CHARACTERS_PER_TOKEN = 16  # at most, in a script without spaces
_TOKENS_PER_WORD = 1.15  # of CLIP and T5 on English photo captions, signs counted as words


class TextEncoder(msgspec.Struct, frozen=True):
    """The token limit of a text encoder, and a function that counts tokens.

    Args:
        limit: the number of tokens that it reads.
        count: the number of tokens of a text.
        estimated: whether ``count`` is an estimate from words.
        assumed: True if the configuration names no model; then CLIP is assumed, as it reads the fewest tokens.
        name: the name of the text encoder.
    """

    limit: int
    count: Callable[[str], int]
    estimated: bool
    assumed: bool
    name: str = ""

    @classmethod
    def of(cls, config: CaptionConfig, tokenizer: Tokenizer | None = None) -> TextEncoder:
        """The encoder that a configuration describes; ``tokenizer`` replaces the configuration's tokenizer.

        Raises:
            ConfigError: the tokenizer that the configuration names does not exist.
            MissingExtraError: the tokenizer needs a package that is not installed.
        """
        family = config.model
        if tokenizer is None and config.reading.tokenizer is not None:
            tokenizer = _named(config.reading.tokenizer)
        count = _counter(tokenizer) if tokenizer is not None else None
        if tokenizer is None and FAMILIES[family or _LEAST].encoder == "CLIP":
            count = _clip_count()
        limit = config.reading.max_tokens or caption_tokens(family or _LEAST, config.trainer)
        return cls(
            limit=limit,
            count=count or _estimate,
            estimated=count is None,
            assumed=family is None and config.reading.max_tokens is None,
            name=FAMILIES[family].encoder if family else "",
        )

    def read(self, text: str) -> tuple[int, int] | None:
        """The number of tokens and the position where the encoder stops; None if it reads the whole text.

        In a very long text, only the tokens of the beginning are counted. The position is in characters, from 0.

        >>> TextEncoder(4, lambda text: len(text.split()), False, False).read("a cat on a sofa")
        (5, 10)
        """
        if len(text) <= self.limit and len(text.encode("utf-8", "replace")) <= self.limit:
            return None  # no encoder has more tokens than a text has bytes
        beginning = text[: self.limit * _MOST_CHARACTERS]
        if (tokens := self.count(beginning)) <= self.limit:
            if len(beginning) == len(text) or (tokens := self.count(text)) <= self.limit:
                return None
        else:
            text = beginning  # the rest is lost in any case
        words = [match.end() for match in re.finditer(r"\S+", text)]
        fits = self._most(text, words, self.limit / tokens)
        # A text in a script without spaces is one long word; the limit falls inside it.
        start = words[fits - 1] if fits else 0
        if fits == len(words) or text[start : words[fits]].isascii():
            return tokens, start
        ends = range(start + 1, min(words[fits], start + self.limit * _CHARACTERS_PER_TOKEN) + 1)
        return tokens, start + self._most(text, ends, self.limit / tokens)

    def _most(self, text: str, ends: Sequence[int], share: float) -> int:
        """How many of the ascending ``ends`` lie within the limit; ``share`` is a first guess of their share."""
        low, high = 0, len(ends) + 1  # `low` ends fit, `high` ends do not
        middle = round(share * len(ends))
        step = 1 + len(ends) // 32
        while high - low > 1:
            middle = min(max(middle, low + 1), high - 1)
            if self.count(text[: ends[middle - 1]]) <= self.limit:
                low, middle = middle, middle + step
            else:
                high, middle = middle, middle - step
            step *= 2
            if middle <= low or middle >= high:
                middle = (low + high) // 2
        return low


@cache
def clip_tokenizer() -> Tokenizer | None:
    """CLIP's own byte-pair encoding, without torch; None if the package for it is not installed."""
    if find_spec("instant_clip_tokenizer") is None:
        return None

    def tokens(text: str) -> list[int]:
        encode = _clip_encode()
        if not text.isascii():
            text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())  # as trainers' tokenizer does
        if _SPECIAL not in text:
            return encode(text)
        first, *others = map(encode, text.split(_SPECIAL))
        return sum(([_END, *part] for part in others), list(first))

    return tokens


@cache
def _clip_encode() -> Callable[[str], list[int]]:
    """Made when the first text needs it: its tables take as long to load as hundreds of captions to check."""
    from instant_clip_tokenizer import Tokenizer as ClipTokenizer

    encode: Callable[[str], list[int]] = ClipTokenizer().encode
    return encode


@cache
def _clip_count() -> Callable[[str], int] | None:
    """A count of CLIP's tokens, word by word, as no token crosses a space; counts of frequent words are cached."""
    if (tokenizer := clip_tokenizer()) is None:
        return None
    count = _counter(tokenizer)
    known = lru_cache(_CACHED_WORDS)(count)

    def count_words(text: str) -> int:
        words = text.split(" ")
        if not text.isascii() and max(map(len, words)) > _WORD_LENGTH:
            words = [part for word in words for part in ([word] if len(word) <= _WORD_LENGTH else _parts(word))]
        return sum(map(known, words))

    return count_words


def _parts(word: str) -> list[str]:
    """Parts of a long word that CLIP's tokens do not cross: where letters begin or end, as at the vowel signs of Thai.

    >>> _parts("สีน้ำเงิน"), _parts("don't")
    (['ส', 'ี', 'น', '้', 'ำเง', 'ิ', 'น'], ["don't"])
    """
    if word.isascii() or _OWN_TOKEN.search(word):
        return [word]
    return _LETTERS_OR_NONE.findall(unicodedata.normalize("NFC", word))


def _named(name: str) -> Tokenizer:
    """The tokenizer in a ``tokenizer.json``, or the function that ``"module:function"`` names."""
    if name.endswith(".json"):
        return _from_file(Path(name))
    allowed = (
        'the path of a tokenizer.json, or "module:function" of a function that takes a text and gives its tokens or '
        "their number"
    )
    return load(name, "$.reading.tokenizer", allowed)  # type: ignore[no-any-return]


def _from_file(path: Path) -> Tokenizer:
    require("captions", "tokenizers", subject="a tokenizer.json")
    from tokenizers import Tokenizer as JsonTokenizer

    place = f"$.reading.tokenizer: {str(path)!r} cannot be read"
    try:
        tokenizer = JsonTokenizer.from_str(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{place}: {(error.strerror or str(error)).lower()}") from error
    except Exception as error:
        raise ConfigError(f"{place}: it is no file of the package tokenizers: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return lambda text: tokenizer.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False).ids


def _counter(tokenizer: Tokenizer) -> Callable[[str], int]:
    def count(text: str) -> int:
        tokens: Any = tokenizer(text)
        return tokens if isinstance(tokens, int) else len(tokens)

    return count


def _estimate(text: str) -> int:
    """An estimate of the number of tokens, from words and signs, plus two tokens per character of non-Latin scripts."""
    if text.isascii():
        return round(len(_WORD_OR_SIGN.findall(text)) * _TOKENS_PER_WORD)
    text = unicodedata.normalize("NFC", text)
    foreign = sum(character > "\u024f" for character in text)
    return round(len(_WORD_OR_SIGN.findall(text)) * _TOKENS_PER_WORD) + 2 * foreign
