"""Alternatives: a pattern of named alternatives, of which only those are tried that a text may hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from loss_logging.captions.caption import holds_any

__all__ = ["Alternatives"]


class Alternatives:
    """Finds what the pattern ``(?P<name>...)|(?P<name>...)`` finds, in a small part of the time.

    Args:
        alternatives: by name, in their order: a pattern, and the parts of which each text that it matches holds one;
            or a function that is true of such a text.
        flags: those of `re`.

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
        self._compiled: dict[tuple[str, ...], re.Pattern[str]] = {}

    def finditer(self, text: str, folded: str | None = None, start: int = 0) -> Iterator[re.Match[str]]:
        """The matches from the left to the right; ``lastgroup`` is the name of the alternative.

        Args:
            text: the text.
            folded: where the parts are looked for, if not in the text: the text without case.
            start: the first character of the text that is read.
        """
        names = tuple(name for name, holds in self._holds if holds(text if folded is None else folded))
        return self._of(names).finditer(text, start) if names else iter(())

    def all(self) -> re.Pattern[str]:
        """The pattern with all alternatives."""
        return self._of(tuple(self._patterns))

    def _of(self, names: tuple[str, ...]) -> re.Pattern[str]:
        if (pattern := self._compiled.get(names)) is None:
            pattern = re.compile("|".join(map(self._patterns.__getitem__, names)), self._flags)
            self._compiled[names] = pattern
        return pattern
