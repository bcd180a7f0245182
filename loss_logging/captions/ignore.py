"""Accepted captions: ignore lists of patterns, and decisions about single images."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from loss_logging.errors import ConfigError

if TYPE_CHECKING:
    from loss_logging.captions.decisions import Decisions

__all__ = ["Accepted", "IgnoreList"]


class Accepted:
    """The ignore lists and the decisions together.

    Args:
        lists: the ignore lists.
        decisions: the decisions about single images.

    Example:
        >>> Accepted([IgnoreList(["short cats/*"])]).accepts("short", "cats/1.png", "a cat")
        True
    """

    def __init__(self, lists: Iterable[IgnoreList] = (), decisions: Decisions | None = None) -> None:
        self._lists = [one for one in lists if one]
        self._decisions = decisions

    def accepts(self, rule: str, path: str, caption: str | None = None) -> bool:
        """Whether the reason of a rule on the caption of an image is to be left out."""
        for one in self._lists:
            if one.ignores(rule, path):
                return True
        return self._decisions is not None and self._decisions.ignores(rule, path, caption)

    def about(self, folders: Iterable[str]) -> bool:
        """Whether any ignore list or decision may concern images in some folders."""
        return bool(self._lists) or (self._decisions is not None and self._decisions.are_about(folders))

    @property
    def warnings(self) -> list[str]:
        """One sentence for each line of the ignore lists that has had no effect; the line can be removed."""
        unused = [line for one in self._lists for line in one.unused()]
        return [f"the ignore list's line {line!r} leaves nothing out" for line in unused]


class IgnoreList:
    """Lines such as ``short,long cats/*.png``: reasons of these rules on these images are left out.

    A line starts with one rule, several rules with commas between them, or ``*`` for all rules. White space and a path
    follow, as the tables show it; ``*`` in it stands for any characters, and ``?`` for one. Blank lines and lines that
    begin with ``#`` are comments.

    Args:
        lines: the lines.
        source: their origin, for messages.

    Raises:
        ConfigError: a line has no path; names the line.

    Example:
        >>> ignore = IgnoreList(["# drawn on purpose", "repeated cats/0001.png", "* logos/*"])
        >>> ignore.ignores("repeated", "cats/0001.png"), ignore.ignores("empty", "cats/0001.png")
        (True, False)
        >>> ignore.unused()
        ['* logos/*']
    """

    def __init__(self, lines: Iterable[str] = (), source: str = "ignore") -> None:
        self._entries: list[tuple[str, frozenset[str], re.Pattern[str]]] = []
        self._used: set[str] = set()
        for number, line in enumerate(lines, 1):
            stripped = line.strip()
            if not stripped or stripped.startswith("#"):
                continue
            rules, _, pattern = stripped.partition(" ")
            if not pattern.strip():
                raise ConfigError(
                    f"line {number} of {source} is {stripped!r}; allowed: rules, a space and a path, "
                    "such as 'short,long cats/*.png'"
                )
            names = frozenset(rules.split(","))
            self._entries.append((stripped, names, re.compile(fnmatch.translate(pattern.strip()))))

    @classmethod
    def from_file(cls, path: str | Path) -> IgnoreList:
        """The lines of a UTF-8 file.

        Raises:
            ConfigError: a line has no path; names the file and the line.
            OSError: the file cannot be read.
        """
        return cls(Path(path).read_text("utf-8-sig").splitlines(), str(path))

    def __bool__(self) -> bool:
        return bool(self._entries)

    def ignores(self, rule: str, path: str) -> bool:
        """Whether the reason of a rule on the caption of an image is to be left out."""
        for line, rules, pattern in self._entries:
            if (rule in rules or "*" in rules) and pattern.match(path):
                self._used.add(line)
                return True
        return False

    def unused(self) -> list[str]:
        """The lines that have had no effect so far; they can be removed."""
        return [line for line, *_ in self._entries if line not in self._used]
