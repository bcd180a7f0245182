"""tags: tags that contradict one another or occur more than once."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from loss_logging.captions import caption as captions
from loss_logging.captions.caption import quote
from loss_logging.captions.reason import Reason, Severity

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["tags"]

_SEVERAL = frozenset({"2girls", "3girls", "4girls", "5girls", "6+girls", "multiple girls", "2boys", "3boys", "4boys",
                      "5boys", "6+boys", "multiple boys", "group", "duo", "trio", "couple", "everyone"})  # fmt: skip
_PEOPLE = frozenset({"1girl", "1boy", "1other", "solo", "solo focus", *_SEVERAL}) - {"group", "duo", "trio", "couple"}

# One of the left and one of the right cannot both be true ...
_CONTRADICTIONS: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (frozenset({"no humans"}), _PEOPLE - {"solo", "solo focus"}),
    (frozenset({"solo"}), _SEVERAL),
    (frozenset({"1girl"}), frozenset({"2girls", "3girls", "4girls", "5girls", "6+girls", "multiple girls"})),
    (frozenset({"1boy"}), frozenset({"2boys", "3boys", "4boys", "5boys", "6+boys", "multiple boys"})),
    (frozenset({"zero pictured"}), frozenset({"solo", "duo", "trio", "group"})),
    *((frozenset({f"rating:{one}"}), frozenset({f"rating:{other}"}))
      for one, other in (("safe", "explicit"), ("general", "explicit"), ("general", "questionable"),
                         ("safe", "questionable"), ("sensitive", "explicit"), ("questionable", "explicit"))),
    (frozenset({"sfw", "rating:safe", "rating:general"}), frozenset({"nsfw", "rating:explicit"})),
    (frozenset({"best quality", "masterpiece"}), frozenset({"worst quality", "low quality", "bad quality"})),
)  # fmt: skip

# ... and neither can these, of one person in one picture.
_OF_ONE: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (
        frozenset({"long hair", "very long hair", "absurdly long hair"}),
        frozenset({"short hair", "very short hair", "bald"}),
    ),
    (frozenset({"open mouth"}), frozenset({"closed mouth"})),
    (frozenset({"day"}), frozenset({"night"})),
    (frozenset({"standing"}), frozenset({"sitting", "lying", "kneeling"})),
    (frozenset({"from behind"}), frozenset({"from front"})),
    (frozenset({"full body"}), frozenset({"portrait", "close-up"})),
)
_ONE_PERSON = "solo"
_SEVERAL_VIEWS = frozenset({"multiple views", "reference sheet", "comic", "collage", "before and after", "split screen",
                            "turnaround", "character sheet", "variations", "expression chart", "4koma", "time paradox",
                            "dual persona", "reflection", "clone", "aged up"})  # fmt: skip
_DECISIVE = _SEVERAL_VIEWS.union(*(left | right for left, right in _CONTRADICTIONS + _OF_ONE))

_BRACKETS = "([{"
_BEFORE = _BRACKETS + " \t\r\n"
_AFTER = re.compile(r"(?::[0-9.]+)?[\s)\]}]*")
_DRESSED = re.compile(r"[(\[{_]")
_WEIGHT = re.compile(r"^[(\[{]+|(?::[0-9.]+)?(?<![)\]}])[)\]}]+$")
_KNOWN = 4_096  # tags, and sets of decisive ones, whose answer is kept: many captions share them


def tags(caption: Caption) -> Reason | None:
    """Tags that cannot both be true ("solo, 2girls"), or several repeated tags; a single repeat is an ``info``."""
    if caption.style != "tags":
        return None
    found = captions.tags(caption.text)
    if _DRESSED.search(caption.text):
        found = list(map(_plain, found))
    present = set(found)
    if (pair := _contradiction(_DECISIVE.intersection(found))) is not None:
        message = f"{quote(pair[0])} and {quote(pair[1])} cannot both be true: remove the wrong one."
        return Reason("tags", "warning", 0.5, message, _span(caption.text, pair[1]))
    if len(present) == len(found):
        return None
    again = {tag: n for tag, n in Counter(found).items() if n > 1}
    severity: Severity = "warning" if len(again) > 1 or max(again.values()) > 2 else "info"
    names = ", ".join(quote(tag) for tag in list(again)[:3]) + (", ..." if len(again) > 3 else "")
    message = f"Written more than once: {names}; remove the repeats."
    return Reason(
        "tags", severity, 0.3 if severity == "warning" else 0.1, message, _span(caption.text, next(iter(again)), -1)
    )


@lru_cache(_KNOWN)
def _plain(tag: str) -> str:
    """A tag as its dictionary writes it: with spaces, and without weights.

    >>> _plain("(long_hair:1.2)"), _plain("saber (fate)"), _plain("^_^")
    ('long hair', 'saber (fate)', '^_^')
    """
    if tag[0] in _BRACKETS and (bare := _WEIGHT.sub("", tag)):
        tag = bare
    return tag.replace("_", " ") if len(tag) > 5 else tag


@lru_cache(_KNOWN)
def _contradiction(present: frozenset[str]) -> tuple[str, str] | None:
    """The first two of the decisive tags that cannot both be true."""
    if not present.isdisjoint(_SEVERAL_VIEWS):
        return None
    pairs = _CONTRADICTIONS + _OF_ONE if _ONE_PERSON in present else _CONTRADICTIONS
    return next(
        ((min(one), min(other)) for left, right in pairs if (one := left & present) and (other := right & present)),
        None,
    )


def _span(text: str, tag: str, which: int = 0) -> tuple[int, int] | None:
    """Where a tag stands in a list, without its weight; the first place, or the last with ``which`` = -1."""
    wanted, places, start = tag.replace("_", " "), [], 0
    folded = text.casefold().replace("_", " ")
    for listed, written in zip(captions.listed(folded), captions.listed(text), strict=True):
        at = listed.find(wanted)
        if at >= 0 and not listed[:at].strip(_BEFORE) and _AFTER.fullmatch(listed, at + len(wanted)):
            places.append((start + _unfolded(written, at), start + _unfolded(written, at + len(wanted))))
        start += len(written) + 1
    return places[which] if places else None


def _unfolded(text: str, length: int) -> int:
    """How many characters of the text are so many without case: "ß" is "ss" then."""
    return next(end for end in range(len(text) + 1) if len(text[:end].casefold()) >= length)
