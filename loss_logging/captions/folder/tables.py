"""Captions in tables: JSON lines, JSON, CSV and Parquet, with a column of file names and one of captions."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

import msgspec

from loss_logging.captions.folder.decoding import BinaryDataError, TextDecoder, with_byte_order_mark
from loss_logging.captions.folder.image_suffixes import IMAGES
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.captions.folder.table_columns import ID, Chosen, Columns, NoColumnsError

__all__ = ["TABLES", "TableRow", "declared_delimiter", "decode_json", "delimiter_of", "read_table"]

_TRIED = 16  # rows; if they have ids, one id must name an image

_LONGEST_LINE = 16 * 2**20  # characters
_MOST_LINES = 256  # of one quoted CSV field; more mean that a quote was never closed
_ROWS_AT_A_TIME = 4_096
_TAGS = "tags"
_DELIMITER = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)


class TableRow(NamedTuple):
    """One row: the caption, the image's name in the table (None if it has none), the line or row from 1, whether the
    table holds the image itself, the names of masks and control images, kohya's tags, whether the name is an id, the
    column of the caption, and further columns with captions."""

    name: str | None
    caption: str | None
    line: int
    image_inside: bool = False
    companions: tuple[str, ...] = ()
    tags: str | None = None
    by_id: bool = False
    column: str = ""
    others: tuple[str, ...] = ()


IsImage = Callable[[str], bool]
"""A function that tells whether a name in a table is the name of an existing image."""


def read_table(path: str, columns: Columns, problems: FolderProblems, is_image: IsImage) -> Iterator[TableRow]:
    """The rows of the table at ``path``; its suffix decides the format. ``problems`` takes the broken rows.

    An image with several captions has one row per caption.

    Raises:
        NoColumnsError: the table has no captions.
        BinaryDataError: the file is no table of this format.
        OSError: the file cannot be read.
    """
    rows = TABLES[Path(path).suffix.lower()](path, columns, problems, is_image)
    head = list(itertools.islice(rows, _TRIED))
    if any(row.by_id for row in head) and not any(row.name is not None and is_image(row.name) for row in head):
        raise NoColumnsError("id, which names no existing image")
    yield from itertools.chain(head, rows)


def _read_json_lines(path: str, columns: Columns, problems: FolderProblems, _is_image: IsImage) -> Iterator[TableRow]:
    chosen: dict[tuple[str, ...], Chosen] = {}
    with Path(path).open("rb") as file:
        for number, line in enumerate(_lines(file, path, problems), 1):
            if not line.strip():
                continue
            try:
                record = decode_json(line)
            except ValueError as error:
                problems.add("broken_line", path, f"is not valid JSON: {error}", number)
                continue
            if not isinstance(record, dict):
                problems.add("broken_line", path, f"is a JSON {type(record).__name__}, not an object", number)
                continue
            keys = tuple(record)
            if keys not in chosen:
                chosen[keys] = columns.known(keys) if not chosen else columns.choose(keys)
            yield from _row(record, chosen[keys], number, path, problems)


def _read_json(path: str, columns: Columns, problems: FolderProblems, is_image: IsImage) -> Iterator[TableRow]:
    """A list of objects, or an object that maps file names to captions or, as kohya's do, to objects."""
    decoded = TextDecoder().decode(Path(path).read_bytes())
    try:
        content = decode_json(decoded.text)
    except ValueError as error:
        problems.add("broken_line", path, f"is not valid JSON: {error}")
        return
    if isinstance(content, dict):
        entries = [entry for entry in content.items() if _captions(*entry, columns, is_image)]
        records: list[Any] = [_named(*entry, columns) for entry in entries]
    else:
        records = content if isinstance(content, list) else []
    if not any(isinstance(record, dict) and _is_known(columns, record) for record in records):
        raise NoColumnsError(", ".join(map(str, content)) if isinstance(content, dict) else "none")
    if not decoded.plain:
        problems.add("not_utf8", path, f"is {decoded.encoding}, not plain UTF-8")
    for number, record in enumerate(records, 1):
        if isinstance(record, dict):
            chosen = columns.choose(record)
            tags = record.get(_TAGS) if isinstance(content, dict) and columns.caption is None else None
            for row in _row(record, chosen._replace(others=()) if tags else chosen, number, path, problems):
                yield row._replace(tags=tags if isinstance(tags, str) else None)
        else:
            problems.add("broken_line", path, f"entry {number} is not an object", number)


def _captions(name: str, value: Any, columns: Columns, is_image: IsImage) -> bool:
    """Whether an entry of a JSON object is the caption of an image."""
    if _suffix(name) in IMAGES or is_image(name):
        return isinstance(value, (str, list, dict, NoneType))
    if not isinstance(value, dict):
        return False
    own = [value.get(key) for key in (columns.caption, "caption", "tags") if key is not None]
    return any(isinstance(text, str) for text in own)  # names in kohya's files have no suffix


def _named(name: str, value: Any, columns: Columns) -> dict[str, Any]:
    """An entry of a JSON object as a record; kohya's entries have tags, which are no separate caption."""
    record = value if isinstance(value, dict) else {columns.caption or "caption": value}
    if columns.caption is None and _TAGS in record:
        record = {"caption": None} | record
    return record | {columns.path or "file_name": name}


def _is_known(columns: Columns, record: Mapping[str, Any]) -> bool:
    try:
        columns.known(record)
    except NoColumnsError:
        return False
    return True


def decode_json(text: str) -> Any:
    """The content of a JSON text. Python's extensions are allowed: NaN, and half a surrogate pair.

    Raises:
        ValueError: the text is no JSON, or is nested too deeply.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _read_csv(path: str, columns: Columns, problems: FolderProblems, _is_image: IsImage) -> Iterator[TableRow]:
    with Path(path).open("rb") as file:
        numbered = enumerate(_lines(file, path, problems), 1)
        first = next(numbered, (1, ""))
        if declared := declared_delimiter(first[1]):
            delimiter, first = declared, next(numbered, (2, ""))
        else:
            delimiter = delimiter_of(first[1], columns)
        rows = _csv_rows(itertools.chain([first], numbered), delimiter, path, problems)
        _, header = next(rows, (1, []))
        chosen = columns.known(header)
        for number, row in rows:
            if not row:
                continue
            if len(row) != len(header):
                message = f"{len(row)} fields, {len(header)} in the header; put captions with {delimiter!r} in quotes"
                problems.add("broken_line", path, message, number)
                continue
            yield from _row(dict(zip(header, row, strict=True)), chosen, number, path, problems)


def declared_delimiter(line: str) -> str | None:
    """The delimiter in a first line such as ``sep=;``, which Excel reads; None if the line is the header."""
    declared = _DELIMITER.fullmatch(line)
    return declared and declared[1]


def delimiter_of(header: str, columns: Columns) -> str:
    """The delimiter between the columns of a header."""
    fits = {candidate: _fits(header, candidate, columns) for candidate in "\t;|,"}
    return max(fits, key=lambda candidate: (fits[candidate], header.count(candidate)))


def _fits(header: str, delimiter: str, columns: Columns) -> bool:
    return None not in columns.choose(name.strip('"\r\n ') for name in header.split(delimiter))[:2]


def _csv_rows(
    lines: Iterator[tuple[int, str]], delimiter: str, path: str, problems: FolderProblems
) -> Iterator[tuple[int, list[str]]]:
    """The records with their first lines. After a broken record, reading continues at its second line."""
    ahead: deque[tuple[int, str]] = deque()
    while True:
        taken: list[tuple[int, str]] = []

        def feed(taken: list[tuple[int, str]] = taken) -> Iterator[str]:
            while len(taken) < _MOST_LINES and (line := ahead.popleft() if ahead else next(lines, None)) is not None:
                taken.append(line)
                yield line[1]

        try:
            row = next(csv.reader(feed(), delimiter=delimiter, strict=True), None)
        except csv.Error as error:
            ahead.extendleft(reversed(taken[1:]))
            problems.add("broken_line", path, f"is not valid CSV: {error}", taken[0][0])
            continue
        if row is None:
            return
        yield taken[0][0], row


def _read_parquet(path: str, columns: Columns, problems: FolderProblems, _is_image: IsImage) -> Iterator[TableRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=False) as file:
            schema = file.schema_arrow
            chosen = columns.known(schema.names)
            # Hugging Face's image column is {bytes, path}: read only the path, never the images.
            nested = chosen.path is not None and pa.types.is_struct(schema.field(chosen.path).type)
            chosen = chosen._replace(
                companions=tuple(name for name in chosen.companions if pa.types.is_string(schema.field(name).type))
            )
            wanted = [name for name in (chosen.caption, *chosen.companions, chosen.fallback) if name is not None]
            if chosen.path is not None:
                wanted.append(chosen.path + ".path" * nested)
            numbers = itertools.count(1)
            for batch in file.iter_batches(_ROWS_AT_A_TIME, columns=wanted):
                for record in batch.to_pylist():
                    if nested:
                        record[chosen.path] = (record.get(chosen.path) or {}).get("path")
                    for row in _row(record, chosen, next(numbers), path, problems):
                        yield row._replace(image_inside=nested)
    except pa.ArrowException as error:
        raise BinaryDataError(str(error)) from error


def _row(
    record: Mapping[str, Any], chosen: Chosen, number: int, path: str, problems: FolderProblems
) -> Iterator[TableRow]:
    name = None if chosen.path is None else record[chosen.path]
    by_id = chosen.path is not None and chosen.path.strip().casefold() == ID
    if by_id and isinstance(name, int):
        name = str(name)
    caption = None if chosen.caption is None else record[chosen.caption]
    if not caption and chosen.fallback is not None:
        caption = record.get(chosen.fallback)
    captions = caption or [None] if isinstance(caption, list) else [caption]  # trainers draw one, or use each
    for what, value in (("file name", name), *(("caption", one) for one in captions)):
        if value is not None and not isinstance(value, str):
            problems.add("broken_line", path, f"its {what} is {type(value).__name__}, not text", number)
            return
    values = (record.get(column) for column in chosen.companions)
    those = [one for value in values for one in (value if isinstance(value, list) else [value])]
    companions = tuple(one for one in those if isinstance(one, str) and one)
    for one in captions:
        yield TableRow(name, one, number, False, companions, None, by_id, chosen.caption or "", chosen.others)


def _suffix(name: str) -> str:
    return f".{name.rpartition('.')[2].lower()}"


def _lines(file: io.BufferedReader, path: str, problems: FolderProblems) -> Iterator[str]:
    """The lines as text, each with its line end. Lines that are not UTF-8 are decoded one by one.

    Raises:
        BinaryDataError: the start of the file is no text.
    """
    start = file.peek(4096)[:4096]
    TextDecoder().decode(start, cut=True)
    if (marked := with_byte_order_mark(start)) is not None:
        mark, encoding = marked
        problems.add("not_utf8", path, f"is {encoding} with a byte order mark, not plain UTF-8")
        file.read(len(mark))
        if encoding != "utf-8":  # a line end has more than one byte
            with io.TextIOWrapper(file, encoding, "replace", newline="") as text:
                yield from text
            return
    decoder = TextDecoder()
    noted = False
    for number in itertools.count(1):
        data = file.readline(_LONGEST_LINE)
        if not data:
            return
        if len(data) == _LONGEST_LINE and not data.endswith(b"\n"):
            problems.add("broken_line", path, f"is longer than {_LONGEST_LINE:,} bytes", number)
            while data and not data.endswith(b"\n"):
                data = file.readline(_LONGEST_LINE)
            yield "\n"
            continue
        try:
            decoded = decoder.decode(data)
        except BinaryDataError:
            problems.add("broken_line", path, "holds no text", number)
            yield "\n"
            continue
        if not decoded.plain:
            if decoded.damaged or not noted:
                kind = "undecodable" if decoded.damaged else "not_utf8"
                problems.add(kind, path, f"is {decoded.encoding}, not plain UTF-8", number)  # type: ignore[arg-type]
            noted = noted or not decoded.damaged
        yield decoded.text


TABLES = {
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
}
"""By suffix, what reads it."""
