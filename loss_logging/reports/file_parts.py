"""The file of a report in parts: its text without the items, and those of each dataset, which nobody holds as a whole.

`write_report` makes an item a line, and a dataset's other figures the line before. Items can therefore be told from the
rest by a search for one name, in a fraction of the time that JSON takes, and become columns a piece at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

import msgspec

__all__ = ["FIGURES", "ItemText", "parts_of_file"]

_NAME = b'"item_stats":{'
"""In no text: a quote there follows a backslash."""
_SEPARATOR, _END = b"},\n", b"}}}\n"
"""What follows the items of a dataset, and those of the last one."""
_PIECE = 1 << 20
FIGURES = b'{"count":'
"""How the figures of each item begin. In no text, as `_NAME`."""


class ItemText:
    """The JSON object of a dataset's items, in an open file.

    Args:
        file: that can be sought in.
        start, end: of the object; where the file ends when ``end`` is None.

    >>> import io
    >>> text = ItemText(io.BytesIO(b'{"1.png":{"count":2}}'))
    >>> len(text), text.read(1, 8)
    (21, b'"1.png":')
    """

    def __init__(self, file: BinaryIO, start: int = 0, end: int | None = None) -> None:
        self._file = file
        self._start = start
        self._end = file.seek(0, os.SEEK_END) if end is None else end

    def __len__(self) -> int:
        return self._end - self._start

    def read(self, start: int, size: int) -> bytes:
        """So many bytes of the object, fewer at its end.

        Raises:
            OSError: the file cannot be read, or has become shorter.
        """
        size = min(size, len(self) - start)
        self._file.seek(self._start + start)
        found = self._file.read(size)
        if len(found) < size:
            raise OSError("the file was cut while it was read")
        return found

    @property
    def has_lines(self) -> bool:
        """Whether each item is a line, as `write_report` writes it."""
        if len(self) == len(b"{}"):
            return True
        if self.read(0, 3) != b'{\n"':  # by an earlier version, or formatted by somebody
            return False
        first, _, _ = bytes(next(self.lines())).partition(b",\n")
        try:
            items = list(msgspec.json.decode(b"{%b}" % first, type=dict[str, msgspec.Raw]).values())
        except msgspec.DecodeError:
            return False
        return len(items) == 1 and bytes(memoryview(items[0])[: len(FIGURES)]) == FIGURES

    def lines(self) -> Iterator[memoryview]:
        """The items of an object with a line for each, some at a time, without what separates the pieces.

        >>> import io
        >>> [bytes(piece) for piece in ItemText(io.BytesIO(b'{\\n"1.png":{},\\n"2.png":{}}')).lines()]
        [b'"1.png":{},\\n"2.png":{}']
        """
        start, last, size = len(b"{\n"), len(self) - len(b"}"), _PIECE
        while start < last:
            text = self.read(start, min(size, last - start))
            end = len(text) if start + len(text) == last else text.rfind(b",\n")
            if end < 0:  # one item has more text than that
                size *= 2
                continue
            yield memoryview(text)[:end]
            start, size = start + end + len(b",\n"), _PIECE


def parts_of_file(file: BinaryIO) -> tuple[bytes, list[ItemText]] | None:
    """The text of a report with ``{}`` in place of each dataset's items, and those; None of a file that `write_report`
    has not written so, such as one that somebody has formatted.

    >>> import io
    >>> text = b'{"datasets":{\\n"cats":{"item_stats":{\\n"1.png":{"count":2}}},\\n"dogs":{"item_stats":{}}}}\\n'
    >>> known, items = parts_of_file(io.BytesIO(text))
    >>> known
    b'{"datasets":{\\n"cats":{"item_stats":{}},\\n"dogs":{"item_stats":{}}}}\\n'
    >>> [one.read(0, 99) for one in items]
    [b'{\\n"1.png":{"count":2}}', b'{}']
    >>> parts_of_file(io.BytesIO(text.replace(b"\\n", b" "))) is None
    True
    """
    whole = ItemText(file)
    known: list[bytes] = []
    items: list[ItemText] = []
    at = 0
    for start, following in pairwise([*_starts(whole), len(whole)]):
        if (end := _end_of_items(whole, start, following)) is None:
            return None
        known += [whole.read(at, start - at), b"{}"]
        items.append(ItemText(file, start, end))
        at = end
    return b"".join([*known, whole.read(at, len(whole) - at)]), items


def _starts(text: ItemText) -> Iterator[int]:
    """Where the objects of items begin."""
    at = 0
    while at + len(_NAME) <= len(text):
        piece = text.read(at, _PIECE)
        place = piece.find(_NAME)
        while place >= 0:
            yield at + place + len(_NAME) - len(b"{")
            place = piece.find(_NAME, place + 1)
        at += len(piece) - len(_NAME) + 1


def _end_of_items(text: ItemText, start: int, following: int) -> int | None:
    """Where the items end that begin at ``start``; the next ones, or the end of the file, are at ``following``."""
    if (first := text.read(start, 2)) == b"{}":
        return start + 2
    is_last = following == len(text)
    line = following if is_last else _start_of_line(text, following, start)
    rest = _END if is_last else _SEPARATOR
    end = line - len(rest)
    is_ours = first == b"{\n" and end > start and text.read(end - 1, 1 + len(rest)) == b"}" + rest
    return end if is_ours else None


def _start_of_line(text: ItemText, at: int, least: int) -> int:
    """Where the line begins that ``at`` is in, but not before ``least``."""
    size = 1 << 14
    while True:
        start = max(least, at - size)
        if (place := text.read(start, at - start).rfind(b"\n")) >= 0 or start == least:
            return start + place + 1
        size *= 2
