"""Captions that were written to measure the rules: each says which rules should object at the severity of a warning."""

from __future__ import annotations

from typing import NamedTuple

from .bad import ALSO, BAD
from .good import GOOD

__all__ = ["CORPUS", "Case"]


class Case(NamedTuple):
    """A caption, its language (or ``tags``, ``title``, ``code``), and the rules that should object."""

    caption: str
    language: str
    rules: frozenset[str]


CORPUS = [
    *(Case(caption, language, frozenset()) for language, captions in GOOD.items() for caption in captions),
    *(
        Case(caption, language, frozenset({rule, *ALSO.get(caption, ())}))
        for rule, captions in BAD.items()
        for language, caption in captions
    ),
]
