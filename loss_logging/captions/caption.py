"""Caption: a caption as the rules see it, with the figures that several rules need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from loss_logging.captions.names import Style

if TYPE_CHECKING:
    from loss_logging.captions.config import CaptionConfig
    from loss_logging.captions.encoder import TextEncoder

__all__ = [
    "READ_LIMIT",
    "Caption",
    "any_of",
    "by_signs",
    "count_words",
    "guess_style",
    "holds_any",
    "in_quotes",
    "listed",
    "quote",
    "tags",
    "words",
]


READ_LIMIT = 20_000
"""Rules read only the first `READ_LIMIT` characters, which bounds their time. A longer caption is always `long`."""

# Scripts written without spaces between words, with the number of characters of about one word. Korean has spaces, but
# one Korean word corresponds to two or three English words, so its syllables are counted instead.
_WITHOUT_SPACES = (
    (r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff", 2),
    (r"\u0e00-\u109f\u1780-\u17ff", 4),  # Thai, Lao, Tibetan, Burmese, Khmer
)
_NO_SPACES = re.compile(f"[{''.join(script for script, _ in _WITHOUT_SPACES)}]")
_RUNS = tuple((re.compile(f"[{script}]+"), characters_per_word) for script, characters_per_word in _WITHOUT_SPACES)

_COMMAS = ",，、"
_BARE_COMMA = re.compile(r",(?=[^\s\d])|(?<=\D),(?=\S)")  # that no blank follows, and that is no part of a number
_SIGN = re.compile(r"[<\[{#`@*%_/|:\\&]")
_NO_SIGNS: frozenset[str] = frozenset()

_SIGNS_BETWEEN = ',.;:!?()[]{}*"“”„«»—…。，、！？；：（）「」'
_PUNCTUATION = re.compile(f"[{re.escape(_SIGNS_BETWEEN)}]")
_ASCII_PUNCTUATION = bytes(ord(" ") if chr(code) in _SIGNS_BETWEEN else code for code in range(256))

_LATEST = 64  # captions whose figures are kept: more than those that are checked together


class Caption(msgspec.Struct, frozen=True, kw_only=True):
    r"""A caption and what the rules may know about it.

    Args:
        text: the caption, cut at `READ_LIMIT` characters.
        folded: ``text`` without case; its length may differ from that of ``text``.
        tokens: the `words` of ``folded``.
        vocabulary: the set of ``tokens``.
        signs: the characters of ``<[{#`@*%_/|:\&`` in the caption; an ordinary caption holds none of them.
        cut: whether ``text`` was cut.
        words: the number of words in ``text``, see `count_words`.
        style: prose, tags or instance prompt.
        style_is_guessed: True if ``style`` was guessed from this caption alone; False if it comes from the dataset or
            from the configuration.
        dataset: the name of its dataset.
        config: the user's settings.
        encoder: the text encoder, with its token limit.
    """

    text: str
    folded: str
    tokens: list[str]
    vocabulary: frozenset[str]
    signs: frozenset[str]
    cut: bool
    words: int
    style: Style
    style_is_guessed: bool
    dataset: str
    config: CaptionConfig
    encoder: TextEncoder

    @classmethod
    def read(
        cls, caption: str, dataset: str, config: CaptionConfig, encoder: TextEncoder, style: Style | None = None
    ) -> Caption:
        """The caption of a dataset, with its figures.

        ``style`` is the guessed style of the dataset; a profile in the configuration takes precedence.
        """
        text = caption[:READ_LIMIT]
        folded = text.casefold()
        tokens = words(folded)
        count = count_words(text)
        profile = config.profile(dataset)
        known = style if profile == "auto" else profile
        return cls(
            text=text,
            folded=folded,
            tokens=tokens,
            vocabulary=frozenset(tokens),
            signs=frozenset(signs) if (signs := _SIGN.findall(text)) else _NO_SIGNS,
            cut=len(caption) > READ_LIMIT,
            words=count,
            style=known or guess_style(text, count),
            style_is_guessed=known is None,
            dataset=dataset,
            config=config,
            encoder=encoder,
        )


@lru_cache(_LATEST)
def words(folded: str) -> list[str]:
    """The words of a text, split at white space and punctuation. The list is shared: it is not to be changed.

    >>> words("a cat, on a (red) sofa.")
    ['a', 'cat', 'on', 'a', 'red', 'sofa']
    """
    if folded.isascii():  # then twice as fast as a substitution; elsewhere `str.translate` takes ten times as long
        return folded.encode().translate(_ASCII_PUNCTUATION).decode().split()
    return _PUNCTUATION.sub(" ", folded).split()


@lru_cache(_LATEST)
def count_words(text: str) -> int:
    """The number of words; for a script without spaces, an estimate from the number of characters.

    >>> count_words("a cat on a sofa"), count_words("一只猫坐在沙发上"), count_words("แมวนั่งอยู่บนโซฟา")
    (5, 4, 5)
    >>> count_words("1girl,solo,long hair"), count_words("1,000 shells")
    (4, 2)
    """
    if text.count(",") != text.count(", "):
        text = _BARE_COMMA.sub(", ", text)
    words = 0
    if not text.isascii() and _NO_SPACES.search(text):
        for run, characters_per_word in _RUNS:
            others, runs = run.subn(" ", text)
            words += -(-(len(text) - len(others) + runs) // characters_per_word)
            text = others
    return words + len(text.split())


def guess_style(text: str, words: int) -> Style:
    """The style of a caption, from its text alone.

    One or two words may be an instance prompt ("sks dog"); three or more short phrases between commas are tags.

    >>> guess_style("sks dog", 2), guess_style("1girl,solo,long hair", 4), guess_style("a cat on a sofa", 5)
    ('instance', 'tags', 'prose')
    """
    if words <= 2:
        return "instance"
    phrases = sum(map(text.count, _COMMAS)) + 1
    return "tags" if phrases >= 3 and words <= 3 * phrases else "prose"


@lru_cache(_LATEST)
def tags(text: str) -> list[str]:
    """The tags of a comma-separated list, without case. The list is shared: it is not to be changed.

    >>> tags("1girl, Solo,")
    ['1girl', 'solo']
    """
    return list(filter(None, map(str.strip, listed(text.casefold()))))


def listed(text: str) -> list[str]:
    """The parts of a text between commas of any script.

    >>> listed("1girl, solo、hat")
    ['1girl', ' solo', 'hat']
    """
    if not text.isascii():
        for comma in _COMMAS[1:]:
            text = text.replace(comma, ",")
    return text.split(",")


def quote(text: str) -> str:
    """The text in quotes for a message: shortened, with lone surrogates and control characters escaped.

    >>> quote("loop " * 20)
    "'loop loop loop loop loop loop loop loop...'"
    """
    text = text.strip()
    return repr(text if len(text) <= 42 else text[:39].rstrip() + "...")


def any_of(parts: Iterable[str]) -> re.Pattern[str]:
    """A pattern that finds any of several parts: faster than `holds_any` where parts begin with rare characters.

    >>> any_of(("抱歉", "无法")).search("我无法描述") is not None
    True
    """
    return re.compile("|".join(map(re.escape, parts)))


def holds_any(text: str, parts: tuple[str, ...]) -> bool:
    """Whether a text holds one of several parts: faster than `any_of` where parts begin with frequent letters.

    >>> holds_any("a cat on a sofa", ("dog", "sofa"))
    True
    """
    for part in parts:  # noqa: SIM110 a generator takes twice as long
        if part in text:
            return True
    return False


def by_signs(parts: tuple[str, ...]) -> Callable[[frozenset[str]], tuple[str, ...]]:
    """A function from `Caption.signs` to those of some parts that such a caption may hold.

    >>> by_signs(("://", "@", "www."))(frozenset(":/"))
    ('://', 'www.')
    """

    @lru_cache(256)
    def held(signs: frozenset[str]) -> tuple[str, ...]:
        return tuple(part for part in parts if signs.issuperset(_SIGN.findall(part)))

    return held


def in_quotes(text: str, position: int) -> bool:
    """Whether a position is between double quotes, as the text on a sign is.

    >>> in_quotes('a sign that reads "sorry"', 20), in_quotes("a sorry dog", 2)
    (True, False)
    """
    before = text[:position]
    return (
        before.count('"') % 2 == 1 or before.count("“") > before.count("”") or before.count("「") > before.count("」")
    )
