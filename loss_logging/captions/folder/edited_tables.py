"""Writes another caption into one row of a table; other rows and columns keep their bytes. Memory is bounded."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import IO, Any, NamedTuple

from loss_logging.captions.folder.decoding import with_byte_order_mark
from loss_logging.captions.folder.edited_text import edited_bytes
from loss_logging.captions.folder.json_text import with_value
from loss_logging.captions.folder.kept_files import NotWrittenError, changed
from loss_logging.captions.folder.table_columns import Columns
from loss_logging.captions.folder.tables import declared_delimiter, decode_json, delimiter_of

__all__ = ["EDITORS", "Wanted"]

_CHUNK = 2**20
_MOST_LINES = 256  # of one CSV record, as in reading


class Wanted(NamedTuple):
    """The row, from 1, its image, the caption that was read, the caption to write, and the columns of the table."""

    line: int
    image: str
    seen: str | None
    new: str
    columns: Columns


def _json_lines(old: IO[Any], out: IO[Any], wanted: Wanted) -> None:
    _edit_from(old, out, wanted.line, lambda text: _json_line(text, wanted), lines=1)


def _json_line(text: str, wanted: Wanted) -> str | None:
    try:
        record = decode_json(text)
    except ValueError:
        return None
    if not isinstance(record, dict) or (change := _change(record, wanted)) is None:
        return None
    place, value = change
    return with_value(text, place, value)


def _json(old: IO[Any], out: IO[Any], wanted: Wanted) -> None:
    edited = edited_bytes(old.read(), lambda text: _json_text(text, wanted))
    if edited is None:
        raise changed()
    out.write(edited)


def _json_text(text: str, wanted: Wanted) -> str | None:
    """A list of objects, or an object that maps file names to captions or to objects."""
    try:
        content = decode_json(text)
    except ValueError:
        return None
    if isinstance(content, list):
        entries: Sequence[tuple[str | int, Any]] = list(enumerate(content))[wanted.line - 1 : wanted.line]
    else:
        entries = [(name, value) for name, value in content.items() if _is_of(name, wanted.image)]
    for name, value in entries:
        record = value if isinstance(value, dict) else {wanted.columns.caption or "caption": value}
        if (change := _change(record, wanted, named=isinstance(name, int))) is not None:
            place, edited = change
            return with_value(text, [name, *(place if isinstance(value, dict) else place[1:])], edited)
    return None


def _csv(old: IO[Any], out: IO[Any], wanted: Wanted) -> None:
    head = old.read(_CHUNK)
    old.seek(0)
    mark, encoding = with_byte_order_mark(head) or (b"", "utf-8")
    text = io.StringIO(head[len(mark) :].decode(encoding, "replace"), newline="")
    first, second = text.readline(), text.readline()
    declared = declared_delimiter(first)
    header = second if declared else first
    delimiter = declared or delimiter_of(header, wanted.columns)
    names = next(csv.reader([header], delimiter=delimiter), [])
    _edit_from(old, out, wanted.line, lambda text: _csv_record(text, names, delimiter, wanted), lines=_MOST_LINES)


def _csv_record(text: str, names: list[str], delimiter: str, wanted: Wanted) -> str | None:
    try:
        row = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration):
        return None
    if len(row) != len(names) or (change := _change(dict(zip(names, row, strict=True)), wanted)) is None:
        return None
    (name, *_), value = change
    start, end = _field(text, names.index(str(name)), delimiter)
    quoted = text[start:end].startswith('"') or any(sign in value for sign in f'"\r\n{delimiter}')
    doubled = value.replace('"', '""')
    return text[:start] + (f'"{doubled}"' if quoted else value) + text[end:]


def _field(text: str, number: int, delimiter: str) -> tuple[int, int]:
    """The start and end of a record's field, with its quotes; ``number`` counts from 0."""
    field = re.compile(rf'"(?:[^"]|"")*"|[^{re.escape(delimiter)}\r\n]*')
    start = 0
    while True:
        match = field.match(text, start)
        assert match is not None  # an empty field matches, too
        if number == 0:
            return match.span()
        number, start = number - 1, match.end() + 1


def _parquet(old: IO[Any], out: IO[Any], wanted: Wanted) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    found, first = False, 0
    with pq.ParquetFile(old) as file:
        codec = file.metadata.row_group(0).column(0).compression if file.num_row_groups else "SNAPPY"
        with pq.ParquetWriter(out, file.schema_arrow, compression=codec) as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                place = wanted.line - 1 - first
                if 0 <= place < table.num_rows:
                    found = True
                    table = _with_cell(table, place, wanted, pa)
                first += table.num_rows
                writer.write_table(table, row_group_size=max(1, table.num_rows))
    if not found:
        raise changed()


def _with_cell(table: Any, place: int, wanted: Wanted, pa: Any) -> Any:
    chosen = wanted.columns.choose(table.column_names)
    names = [name for name in (chosen.path, chosen.caption, chosen.fallback) if name is not None]
    record = {name: table[name][place].as_py() for name in names}
    nested = record.get(chosen.path or "")
    if isinstance(nested, dict):
        record[chosen.path or ""] = nested.get("path")
    if (change := _change(record, wanted)) is None:
        raise changed()
    (name, *inside), value = change
    number = table.column_names.index(name)
    cells: Any = [value if not inside else [*record[name][: inside[0]], value, *record[name][inside[0] + 1 :]]]
    kind = table.schema.field(number)
    column = table.column(number)
    edited = [*column.slice(0, place).chunks, pa.array(cells, kind.type), *column.slice(place + 1).chunks]
    return table.set_column(number, kind, pa.chunked_array(edited, kind.type))


def _change(record: Mapping[str, Any], wanted: Wanted, *, named: bool = True) -> tuple[list[Any], str] | None:
    """The place of the caption in a record, and its new value; None if the record has changed since it was read."""
    chosen = wanted.columns.choose(record)
    name = record.get(chosen.path) if chosen.path is not None and named else None
    if isinstance(name, str) and not _is_of(name, wanted.image):
        return None
    for column in (chosen.caption, chosen.fallback):
        if column is None or column not in record:
            continue
        value = record[column]
        if isinstance(value, list):
            if wanted.seen in value:
                return [column, value.index(wanted.seen)], wanted.new
        elif (value or "") == (wanted.seen or ""):
            return [column], wanted.new
        elif wanted.seen and wanted.seen in value.split("\n"):  # for a trainer that reads each line, or the first
            return [column], value.replace(wanted.seen, wanted.new, 1)
    return _with_tags(record, wanted, chosen.caption)


def _with_tags(record: Mapping[str, Any], wanted: Wanted, column: str | None) -> tuple[list[Any], str] | None:
    """The same for a caption that was read with kohya's tags at its end."""
    tags, caption = record.get("tags"), record.get(column or "")
    if tags and tags == wanted.seen:
        return ["tags"], wanted.new
    if not tags or f"{caption},{tags}" != wanted.seen:
        return None
    if wanted.new.endswith(f",{tags}"):
        return [column], wanted.new.removesuffix(f",{tags}")
    if wanted.new.startswith(f"{caption},"):
        return ["tags"], wanted.new.removeprefix(f"{caption},")
    raise NotWrittenError("holds caption and tags in two columns, which kohya joins: change only one of them at once")


def _is_of(name: str, image: str) -> bool:
    """Whether a name in a table is the name of an image; it may lack the suffix, or have another folder."""
    return PurePath(name).name in (PurePath(image).name, PurePath(image).stem)


def _edit_from(old: IO[Any], out: IO[Any], line: int, edit: Callable[[str], str | None], lines: int) -> None:
    """Copy a file and edit the record that begins at ``line`` and has at most ``lines`` lines."""
    start = old.read(4)
    old.seek(0)
    marked = with_byte_order_mark(start)
    if marked is not None and marked[1] != "utf-8":
        _edit_wide(old, out, line, edit, lines, marked)
        return
    if marked is not None:
        out.write(old.read(len(marked[0])))
    _copy_lines(old, out, line - 1)
    out.write(_edited_record([old.readline() for _ in range(lines)], lambda data: edited_bytes(data, edit)))
    shutil.copyfileobj(old, out, _CHUNK)


def _edit_wide(
    old: IO[Any], out: IO[Any], line: int, edit: Callable[[str], str | None], lines: int, marked: tuple[bytes, str]
) -> None:
    """The same for UTF-16 and UTF-32, whose line ends have several bytes."""
    mark, encoding = marked
    out.write(old.read(len(mark)))
    text = io.TextIOWrapper(old, encoding, newline="")
    try:
        for _ in range(line - 1):
            out.write(text.readline().encode(encoding))
        record = [text.readline().encode(encoding) for _ in range(lines)]
        out.write(_edited_record(record, lambda data: _edited_wide(data, encoding, edit)))
        while chunk := text.read(_CHUNK):
            out.write(chunk.encode(encoding))
    except UnicodeError as error:
        raise NotWrittenError(f"holds bytes that are not valid {encoding}: save it as UTF-8 first") from error
    finally:
        text.detach()


def _edited_wide(data: bytes, encoding: str, edit: Callable[[str], str | None]) -> bytes | None:
    edited = edit(data.decode(encoding))
    return None if edited is None else edited.encode(encoding)


def _edited_record(lines: list[bytes], edit: Callable[[bytes], bytes | None]) -> bytes:
    """The lines with the first record edited; the record may end in any of the lines."""
    lines = [line for line in lines if line]
    for end in range(1, 1 + len(lines)):
        if (edited := edit(b"".join(lines[:end]))) is not None:
            return edited + b"".join(lines[end:])
    raise changed()


def _copy_lines(old: IO[Any], out: IO[Any], n: int) -> None:
    while n > 0:
        chunk = old.read(_CHUNK)
        if not chunk:
            raise changed()
        found = chunk.count(b"\n")
        if found >= n:
            end = -1
            for _ in range(n):
                end = chunk.index(b"\n", end + 1)
            old.seek(end + 1 - len(chunk), io.SEEK_CUR)
            chunk = chunk[: end + 1]
        n -= found
        out.write(chunk)


EDITORS: dict[str, Callable[[IO[Any], IO[Any], Wanted], None]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
}
"""The editing function by suffix, as in `loss_logging.captions.folder.tables.TABLES`."""
