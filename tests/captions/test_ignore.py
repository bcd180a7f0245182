from __future__ import annotations

from pathlib import Path

import pytest

from loss_logging.captions.ignore import IgnoreList
from loss_logging.errors import ConfigError


def test_a_file_of_lines(tmp_path: Path) -> None:
    """Comments, blank lines, several rules, patterns, and paths with spaces and number signs."""
    path = tmp_path / ".captionignore"
    path.write_text("\ufeff# fine\n\nshort,long a b/#1.png\n*  logos/*\r\nempty [x].png\n", "utf-8")
    ignore = IgnoreList.from_file(path)
    assert ignore.ignores("short", "a b/#1.png")
    assert ignore.ignores("long", "a b/#1.png")
    assert not ignore.ignores("empty", "a b/#1.png")
    assert ignore.ignores("anything", "logos/deep/1.png")
    assert not ignore.ignores("anything", "photos/logos")
    assert ignore.unused() == ["empty [x].png"]


def test_a_line_without_a_path_is_named() -> None:
    """The error says which line of which file."""
    with pytest.raises(ConfigError, match="line 2 of mine is 'short'"):
        IgnoreList(["# x", "short"], "mine")
