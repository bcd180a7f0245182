"""Captions in tables: JSON lines, JSON, CSV and Parquet, with a column of file names and one of captions."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loss_logging.captions.folder.decoding import BinaryDataError, TextDecoder, with_byte_order_mark
from loss_logging.captions.folder.problems import FolderProblems

__all__ = ["TABLES", "Columns", "NoColumnsError", "Row", "decode_json", "read_table"]

_PATHS = (
    *("file_name", "filename", "file_path", "filepath", "image_path", "image_file", "image_name", "img_path", "path"),
    *("file", "image", "img", "video_path", "video", "key", "url"),
)
_CAPTIONS = ("caption", "text", "prompt", "captions", "caption_text", "description", "tags")

_LONGEST_LINE = 16 * 2**20  # characters
_MOST_LINES = 256  # of one quoted CSV field; more are a quote that was never closed
_ROWS_AT_A_TIME = 4_096


class NoColumnsError(ValueError):
    """A table without captions or file names; the message holds the names of the columns that there are."""


class Columns(msgspec.Struct, frozen=True):
    """The names of the columns with file names and captions; None where they are to be guessed.

    With ``needs_path``, a table without file names is none of captions.

    >>> Columns().choose(["id", "File_Name", "TEXT"])
    ('File_Name', 'TEXT')
    """

    path: str | None = None
    caption: str | None = None
    needs_path: bool = False

    def choose(self, names: Iterable[str]) -> tuple[str | None, str | None]:
        """The column of file names and that of captions among ``names``, None where there is none."""
        by_name = {name.strip().casefold(): name for name in reversed(list(names))}
        return _first(by_name, self.path, _PATHS), _first(by_name, self.caption, _CAPTIONS)

    def known(self, names: Iterable[str]) -> tuple[str | None, str]:
        """The same, for a table that must have captions.

        Raises:
            NoColumnsError: it has none, or not the ones that were named.
        """
        names = list(names)
        path, caption = self.choose(names)
        if caption is None or (path is None and (self.needs_path or self.path is not None)):
            raise NoColumnsError(", ".join(names) or "none")
        return path, caption


def _first(by_name: Mapping[str, str], named: str | None, usual: Iterable[str]) -> str | None:
    wanted = usual if named is None else [named.strip().casefold()]
    return next((by_name[name] for name in wanted if name in by_name), None)


class Row(NamedTuple):
    """A caption, what the table calls its image (None when it does not), its line or row, from 1, and whether the image
    itself is in the table, too."""

    name: str | None
    caption: str | None
    line: int
    image_inside: bool = False


def read_table(path: str, columns: Columns, problems: FolderProblems) -> Iterator[Row]:
    """The rows of the table at ``path``, whose kind its suffix tells; broken ones are noted in ``problems``.

    Raises:
        NoColumnsError: it has no captions.
        BinaryDataError: it is no table of this kind.
        OSError: it cannot be read.
    """
    return TABLES[Path(path).suffix.lower()](path, columns, problems)


def _read_json_lines(path: str, columns: Columns, problems: FolderProblems) -> Iterator[Row]:
    chosen: dict[tuple[str, ...], tuple[str | None, str | None]] = {}
    with Path(path).open("rb") as file:
        for number, line in enumerate(_lines(file, path, problems), 1):
            if not line.strip():
                continue
            try:
                record = decode_json(line)
            except ValueError as error:
                problems.add("broken_line", path, f"no JSON: {error}", number)
                continue
            if not isinstance(record, dict):
                problems.add("broken_line", path, f"a JSON {type(record).__name__} where an object belongs", number)
                continue
            keys = tuple(record)
            if keys not in chosen:
                chosen[keys] = columns.known(keys) if not chosen else columns.choose(keys)
            yield from _row(record, *chosen[keys], number, path, problems)


def _read_json(path: str, columns: Columns, problems: FolderProblems) -> Iterator[Row]:
    """A list of objects, or an object that maps file names to captions or, as kohya's do, to objects."""
    content = _json(path, problems)
    if isinstance(content, dict):
        entries: Iterable[Any] = (
            {"file_name": name} | (value if isinstance(value, dict) else {"caption": value})
            for name, value in content.items()
        )
    else:
        entries = content if isinstance(content, list) else ()
    found = False
    for number, record in enumerate(entries, 1):
        if isinstance(record, dict):
            chosen = columns.choose(record)
            found = found or chosen[1] is not None
            yield from _row(record, *chosen, number, path, problems)
        else:
            problems.add("broken_line", path, f"entry {number} is no object", number)
    if not found:
        raise NoColumnsError("none")


def _json(path: str, problems: FolderProblems) -> Any:
    decoded = TextDecoder().decode(Path(path).read_bytes())
    if not decoded.plain:
        problems.add("not_utf8", path, f"is {decoded.encoding}, not plain UTF-8")
    try:
        return decode_json(decoded.text)
    except ValueError as error:
        problems.add("broken_line", path, f"no JSON: {error}")
        return {}


def decode_json(text: str) -> Any:
    """The content of a JSON text, also of those that only Python takes for JSON: with NaN, or half a surrogate pair.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _read_csv(path: str, columns: Columns, problems: FolderProblems) -> Iterator[Row]:
    with Path(path).open("rb") as file:
        lines = _lines(file, path, problems)
        first = next(lines, "")
        delimiter = max("\t;|,", key=lambda candidate: (_fits(first, candidate, columns), first.count(candidate)))
        numbered = enumerate(itertools.chain([first], lines), 1)
        rows = _csv_rows(numbered, delimiter, path, problems)
        _, header = next(rows, (1, []))
        path_column, caption_column = columns.known(header)
        for number, row in rows:
            if not row:
                continue
            if len(row) != len(header):
                message = (
                    f"{len(row)} fields where the header names {len(header)}; put captions with {delimiter!r} in quotes"
                )
                problems.add("broken_line", path, message, number)
                continue
            yield from _row(dict(zip(header, row, strict=True)), path_column, caption_column, number, path, problems)


def _fits(header: str, delimiter: str, columns: Columns) -> bool:
    return None not in columns.choose(name.strip('"\r\n ') for name in header.split(delimiter))


def _csv_rows(
    lines: Iterator[tuple[int, str]], delimiter: str, path: str, problems: FolderProblems
) -> Iterator[tuple[int, list[str]]]:
    """The records and the lines at which they start. After a broken one, reading goes on at its second line."""
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
            problems.add("broken_line", path, f"no CSV: {error}", taken[0][0])
            continue
        if row is None:
            return
        yield taken[0][0], row


def _read_parquet(path: str, columns: Columns, problems: FolderProblems) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=False) as file:
            schema = file.schema_arrow
            path_column, caption_column = columns.known(schema.names)
            # Hugging Face's image column is {bytes, path}: read the path alone, never the images.
            nested = path_column is not None and pa.types.is_struct(schema.field(path_column).type)
            wanted = [caption_column] if path_column is None else [caption_column, path_column + ".path" * nested]
            numbers = itertools.count(1)
            for batch in file.iter_batches(_ROWS_AT_A_TIME, columns=wanted):
                for record in batch.to_pylist():
                    if nested:
                        record[path_column] = (record.get(path_column) or {}).get("path")
                    for row in _row(record, path_column, caption_column, next(numbers), path, problems):
                        yield row._replace(image_inside=nested)
    except pa.ArrowException as error:
        raise BinaryDataError(str(error)) from error


def _row(
    record: Mapping[str, Any],
    path_column: str | None,
    caption_column: str | None,
    number: int,
    path: str,
    problems: FolderProblems,
) -> Iterator[Row]:
    name = None if path_column is None else record[path_column]
    caption = None if caption_column is None else record[caption_column]
    for what, value in (("file name", name), ("caption", caption)):
        if value is not None and not isinstance(value, str):
            problems.add("broken_line", path, f"its {what} is {type(value).__name__}, not text", number)
            return
    yield Row(name, caption, number)


def _lines(file: io.BufferedReader, path: str, problems: FolderProblems) -> Iterator[str]:
    """The lines as text, each with its end. Lines that are not UTF-8 are decoded one by one.

    Raises:
        BinaryDataError: the start of the file is no text.
    """
    start = file.peek(4096)[:4096]
    TextDecoder().decode(start, cut=True)
    if (marked := with_byte_order_mark(start)) is not None:
        mark, encoding = marked
        problems.add("not_utf8", path, f"is {encoding} with a byte order mark, not plain UTF-8")
        file.read(len(mark))
        if encoding != "utf-8":  # a line's end is more than one byte
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
            problems.add("broken_line", path, f"longer than {_LONGEST_LINE:,} bytes", number)
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
