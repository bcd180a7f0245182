"""Writes another caption into a caption file; its encoding, byte order mark and line ends stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from loss_logging.captions.folder.caption_files import CAPTION_KEYS
from loss_logging.captions.folder.decoding import CANDIDATES, BinaryDataError, TextDecoder, with_byte_order_mark
from loss_logging.captions.folder.json_text import with_value
from loss_logging.captions.folder.kept_files import NotWrittenError
from loss_logging.captions.folder.tables import decode_json

__all__ = ["edited_bytes", "with_caption", "with_caption_in_json"]

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")

Edit = Callable[[str], str | None]
"""A function from a text to its replacement; it returns None if the text has changed since it was read."""


def edited_bytes(data: bytes, edit: Edit) -> bytes | None:
    """Edit text in the encoding under which it holds the caption that was read; None if no encoding does.

    Raises:
        NotWrittenError: the encoding lacks characters of the new text.
    """
    marked = with_byte_order_mark(data)
    mark = b"" if marked is None else marked[0]
    encodings = ["utf-8", "utf-16-le", "utf-16-be", *CANDIDATES] if marked is None else [marked[1]]
    for encoding in encodings:
        try:
            text = data[len(mark) :].decode(encoding)
        except UnicodeDecodeError:
            continue
        if (edited := edit(text)) is not None:
            return mark + _encoded(edited, encoding)
    if (decoded := _damaged(data)) is not None and (edited := edit(decoded)) is not None and "\ufffd" not in edited:
        return mark + edited.encode(encodings[0])
    return None


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        missing = text[error.start : error.end]
        raise NotWrittenError(f"is {encoding}, which has no {missing!r}: save the file as UTF-8 first") from error


def _damaged(data: bytes) -> str | None:
    try:
        decoded = TextDecoder().decode(data)
    except BinaryDataError:
        return None
    return decoded.text if decoded.damaged else None


def with_caption(text: str, seen: str, new: str, line: int | None = None) -> str | None:
    r"""The text of a caption file with ``new`` in place of ``seen``; None if the text does not hold ``seen``.

    White space around the caption, the last line end and the kind of line ends stay.

    Args:
        text: the text of the file.
        seen: the caption that was read.
        new: the caption to write, with ``\n`` between lines.
        line: the first line of the caption, from 1; None if the caption is the whole file.

    Example:
        >>> with_caption("a cat\r\nN/A\r\n", "a cat", "a dog", 1)
        'a dog\r\nN/A\r\n'
        >>> with_caption("a bird\n", "a cat", "a dog") is None
        True
    """
    end = "\r\n" if "\r\n" in text else "\r" if "\r" in text and "\n" not in text else "\n"
    start = sum(map(len, _lines(text)[: line - 1])) if line else 0
    wanted = _plain(seen).strip()
    before = len(text) - len(text[start:].lstrip()) if wanted else start
    for stop in _ends(text, before, whole=line is None):
        if _plain(text[before:stop]).rstrip() == wanted:
            kept = before + len(text[before:stop].rstrip()) if wanted else before
            return text[:before] + _plain(new).replace("\n", end) + text[kept:]
    return None


def _ends(text: str, start: int, *, whole: bool) -> Iterator[int]:
    """Possible ends of a caption that begins at ``start``: the ends of lines, and the end of the text."""
    if not whole:
        place = start
        for each in _lines(text[start:]):
            place += len(each)
            yield place
    yield len(text)


def _lines(text: str) -> list[str]:
    """The lines with their ends. Other characters that Python's splitlines accepts do not end a line of captions."""
    return _LINE.findall(text)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def with_caption_in_json(text: str, seen: str, new: str) -> str | None:
    """The same for the JSON of one image, with the caption under one of the usual keys."""
    try:
        content = decode_json(text)
    except ValueError:
        return None
    for key in CAPTION_KEYS if isinstance(content, dict) else ():
        value = content.get(key)
        if value == seen:
            return with_value(text, [key], new)
        if isinstance(value, list) and seen in value:
            return with_value(text, [key, value.index(seen)], new)
    return None
