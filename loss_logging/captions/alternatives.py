"""Patterns that a text is searched for in less time: `Caseless` and, of several parts, `Alternatives`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial

from loss_logging.captions.caption import holds_any

__all__ = ["Alternatives", "Caseless"]

_CAPITAL = re.compile(r"(?<!\\)(?<!\(\?)[A-Z]")  # without \S and (?P<name>...)


class Caseless:
    """A pattern that ignores case. In ASCII text it is searched for in lower case, in half of the time or less.

    The matches are those of ``re.IGNORECASE``, by their positions: a match may be one of the folded text.

    Example:
        >>> text = "A Cat is a CAT"
        >>> [match.span() for match in Caseless("[A-Z]at").finditer(text, text.casefold())]
        [(2, 5), (11, 14)]
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def match(self, text: str, folded: str) -> re.Match[str] | None:
        """The match at the start of a text; ``folded`` is the text without case."""
        return self._lower.match(folded) if text.isascii() else self._any.match(text)

    def finditer(self, text: str, folded: str, start: int = 0) -> Iterator[re.Match[str]]:
        """The matches from the left to the right."""
        return self._lower.finditer(folded, start) if text.isascii() else self._any.finditer(text, start)

    @cached_property
    def _lower(self) -> re.Pattern[str]:
        return re.compile(_CAPITAL.sub(lambda capital: capital[0].lower(), self._pattern))

    @cached_property
    def _any(self) -> re.Pattern[str]:
        return re.compile(self._pattern, re.IGNORECASE)


class Alternatives:
    """Finds what the pattern ``(?P<name>...)|(?P<name>...)`` finds, in a small part of the time.

    Args:
        alternatives: by name, in their order: a pattern, and the parts of which each text that it matches holds one;
            or a function that is true of such a text.
        flags: those of `re`; with ``re.IGNORECASE`` alone the pattern is `Caseless`.

    Example:
        >>> found = Alternatives({"mail": (r"[\\w.]+@[\\w.]+", ("@",)), "tag": ("<[a-z]+>", ("<",))})
        >>> [match.lastgroup for match in found.finditer("<b>a.cat@example.com")]
        ['tag', 'mail']
    """

    def __init__(
        self, alternatives: Mapping[str, tuple[str, tuple[str, ...] | Callable[[str], object]]], flags: int = 0
    ) -> None:
        self._patterns = {name: f"(?P<{name}>{pattern})" for name, (pattern, _) in alternatives.items()}
        self._holds = [
            (name, needed if callable(needed) else partial(holds_any, parts=needed))
            for name, (_, needed) in alternatives.items()
        ]
        self._flags = flags
        self._compiled: dict[tuple[str, ...], re.Pattern[str] | Caseless] = {}

    def finditer(self, text: str, folded: str | None = None, start: int = 0) -> Iterator[re.Match[str]]:
        """The matches from the left to the right; ``lastgroup`` is the name of the alternative.

        Args:
            text: the text.
            folded: where the parts are looked for, if not in the text: the text without case.
            start: the first character of the text that is read.
        """
        searched = text if folded is None else folded
        names = tuple([name for name, holds in self._holds if holds(searched)])  # a generator takes longer
        if not names:
            return iter(())
        pattern = self._of(names)
        return (
            pattern.finditer(text, searched, start) if isinstance(pattern, Caseless) else pattern.finditer(text, start)
        )

    def all(self) -> re.Pattern[str]:
        """The pattern with all alternatives."""
        return re.compile("|".join(self._patterns.values()), self._flags)

    def _of(self, names: tuple[str, ...]) -> re.Pattern[str] | Caseless:
        if (pattern := self._compiled.get(names)) is None:
            either = "|".join(map(self._patterns.__getitem__, names))
            pattern = Caseless(either) if self._flags == re.IGNORECASE else re.compile(either, self._flags)
            self._compiled[names] = pattern
        return pattern
