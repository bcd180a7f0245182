"""Changes one value in a JSON text and keeps every other character."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]

__all__ = ["with_value"]

_BLANK = re.compile(r"[ \t\r\n]*")
_decode = json.JSONDecoder().raw_decode


def with_value(text: str, place: Sequence[str | int], value: str) -> str:
    """The JSON text with another string at a place, which is a sequence of keys and list indices from the outside in.

    Characters beyond ASCII are escaped where the text escapes them.

    Raises:
        ValueError: the text is no JSON, or has no value at the place.

    Example:
        >>> with_value('{"a": 1.00, "b": ["x",  "y"]}', ["b", 1], "z")
        '{"a": 1.00, "b": ["x",  "z"]}'
    """
    start, end = _after_blank(text, 0), len(text)
    for step in place:
        found = [span for name, span in _children(text, start) if name == step]
        if not found:
            raise ValueError(f"there is no {step!r}")
        start, end = found[-1]  # of duplicate keys, the last one counts
    escaped = text.isascii() and "\\u" in text
    return text[:start] + json.dumps(value, ensure_ascii=escaped) + text[end:]


def _children(text: str, start: int) -> Iterator[tuple[str | int, tuple[int, int]]]:
    """The start and end of each value in an object or a list, by key or index."""
    is_object = text[start] == "{"
    place, number = _after_blank(text, start + 1), 0
    while text[place] not in "}]":
        name: str | int = number
        if is_object:
            name, place = scanstring(text, place + 1, False)
            place = _after_blank(text, _after_blank(text, place) + 1)
        _, end = _decode(text, place)
        yield name, (place, end)
        place = _after_blank(text, end)
        if text[place] == ",":
            place = _after_blank(text, place + 1)
        number += 1


def _after_blank(text: str, place: int) -> int:
    match = _BLANK.match(text, place)
    assert match is not None  # an empty one matches
    return match.end()
