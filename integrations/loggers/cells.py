"""Makes text safe for a tracker, as captions and paths are unchecked data."""

from __future__ import annotations

import csv
import io
import re
import string
import zlib
from typing import Any
from urllib.parse import quote

from loss_logging.reports.report import Table

__all__ = ["MAX_CELL", "clean", "clean_name", "csv_table", "file_stem", "fit_name", "markdown_text", "shorten"]

MAX_CELL = 1000
"""Largest number of characters of a table cell. The JSON report holds the whole caption."""

# Lone surrogates cannot be encoded, and control characters cannot be shown.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def clean(text: str) -> str:
    r"""Replace characters that cannot be encoded or shown with U+FFFD.

    >>> clean("a\x00b")
    'a�b'
    """
    return _UNPRINTABLE.sub("\ufffd", text)


def clean_name(name: str) -> str:
    r"""The name, or its cleaned text with a checksum, so that two names never become one.

    >>> clean_name("loss/cats"), clean_name("loss/a\x00b")
    ('loss/cats', 'loss/a�b-bea4adea')
    """
    cleaned = clean(name)
    return name if cleaned == name else f"{cleaned}-{_checksum(name)}"


def shorten(text: str, limit: int = MAX_CELL) -> str:
    """The cleaned text with at most ``limit`` characters; if it is cut, the last one is an ellipsis.

    >>> shorten("a cat on a sofa", limit=6)
    'a cat…'
    """
    return clean(text if len(text) <= limit else f"{text[: limit - 1]}…")


_FORMULA = ("=", "+", "-", "@", "\t", "\r")

# A numeric entity is text in markdown and HTML, so no part of a caption can become a link, an image or a column.
_ENTITIES = {ord(character): f"&#{ord(character)};" for character in string.punctuation}


def markdown_text(text: str, limit: int = MAX_CELL) -> str:
    """One line of markdown that shows the text literally; a long text is cut.

    >>> markdown_text("a_b *c*")
    'a&#95;b &#42;c&#42;'
    """
    return shorten(" ".join(text.split()), limit).translate(_ENTITIES)


def csv_table(table: Table) -> str:
    r"""The table as CSV, for trackers that show CSV files.

    >>> csv_table(Table(["path", "score"], [["1.png", None], ["2, 3.png", 0.5]]))
    'path,score\r\n1.png,\r\n"2, 3.png",0.5\r\n'
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(table.columns)
    writer.writerows([_csv_cell(value) for value in row] for row in table.rows)
    return text.getvalue()


def _csv_cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # A spreadsheet would run a text that begins as a formula does.
    return f"'{shorten(value)}" if value.startswith(_FORMULA) else shorten(value)


def fit_name(name: str, refused: re.Pattern[str], limit: int) -> str:
    """The name if a tracker accepts it; otherwise an accepted name that is unique to it, with a checksum.

    >>> fit_name("loss/cats", re.compile("[|]"), 250), fit_name("loss/cats|dogs", re.compile("[|]"), 250)
    ('loss/cats', 'loss/cats_dogs-1031fd71')
    """
    fitting = refused.sub("_", name)
    if fitting == name and len(name) <= limit:
        return name
    return f"{fitting[: limit - 9]}-{_checksum(name)}"


def file_stem(kind: str, name: str | None) -> str:
    """The name of a file without its suffix, unique to a kind and any name.

    >>> file_stem("wandb", "my cats"), file_stem("wandb", "猫/犬"), len(file_stem("wandb", "猫" * 100))
    ('wandb-my cats', 'wandb-%E7%8C%AB%2F%E7%8A%AC', 206)
    """
    quoted = quote(name or "", safe=" ")
    return f"{kind}-{quoted if len(quoted) <= _MAX_STEM else f'{quoted[: _MAX_STEM - 9]}-{_checksum(quoted)}'}"


_MAX_STEM = 200


def _checksum(name: str) -> str:
    return f"{zlib.crc32(name.encode('utf-8', 'surrogatepass')):08x}"
