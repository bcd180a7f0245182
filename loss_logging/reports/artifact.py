"""The files of a report: one JSON per save step, and CSV. Each is written completely or not at all."""

from __future__ import annotations

import csv
import inspect
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from loss_logging.captions.reason import DatasetCaptions
from loss_logging.errors import LossLoggingError
from loss_logging.reports.file_parts import ItemText, parts_of_file
from loss_logging.reports.report import (
    READABLE,
    SCHEMA_NAME,
    DatasetReport,
    ItemStats,
    LossReport,
    PairedItems,
    Summary,
    Verdicts,
)
from loss_logging.support.files import whole_file
from loss_logging.support.object_store import as_url, read_file
from loss_logging.support.progress_bar import announced

__all__ = [
    "ReportError",
    "opened_report",
    "read_report",
    "read_without_items",
    "report_schema",
    "spreadsheet_cell",
    "write_csv",
    "write_items",
    "write_report",
]

_LARGE = 20_000_000  # bytes of a file that takes a while
_ROW_GROUP = 32_768
_FEW_VALUES = ("dataset", "verdict", "evidence", "decision")
_ITEM_FIELDS = ItemStats.__struct_fields__
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_encode = msgspec.json.encode
_decode_items = msgspec.json.Decoder(dict[str, ItemStats]).decode


class ReportError(LossLoggingError, ValueError):
    """A file is no loss report, or a report of another version."""


def write_report(path: Path, report: LossReport, texts: Iterable[tuple[str, bytes]] = ()) -> None:
    """Write the JSON report: a reader sees the complete file or none, and memory does not grow with the items.

    Args:
        path: the target file; its folder exists.
        report: the report without the figures per item.
        texts: of the figures of its items, as `item_texts` makes them.

    Raises:
        OSError: the disk is full or the folder is not writable; a file that was at ``path`` before is unchanged.
    """
    head = msgspec.to_builtins(report)
    del head["datasets"], head["json_path"], head["pictures"]
    with whole_file(path) as file:
        file.write(_encode(head)[:-1] + b',"datasets":{')
        separator = b""
        streams = iter(texts)
        name, members = next(streams, (None, b""))
        for dataset, figures in report.datasets.items():
            known = _encode(msgspec.structs.replace(figures, item_stats={})).removesuffix(b"}}")
            file.write(b"%b\n%b:%b" % (separator, _encode(dataset), known))
            line_break = b"\n"  # each item is a line: readers cut the text there
            while name == dataset:
                file.write(line_break)
                file.write(members)
                line_break = b",\n"
                name, members = next(streams, (None, b""))
            file.write(b"}}")
            separator = b","
        file.write(b"}}\n")


def write_items(path: Path, items: Iterable[pa.RecordBatch]) -> None:
    """Write the figures of all items as Parquet, one row per item, if there are any; otherwise as `write_report`."""
    batches = iter(items)
    if (first := next(batches, None)) is None:
        return
    few = [name for name in _FEW_VALUES if name in first.schema.names]
    with (
        whole_file(path) as file,
        pq.ParquetWriter(file, first.schema, compression="zstd", use_dictionary=few) as writer,
    ):
        for group in _row_groups(itertools.chain([first], batches)):
            writer.write_table(group)


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in tables of a row group: many small ones take twice as long to write."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(b.num_rows for b in held) >= _ROW_GROUP:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def read_report(path: str | Path) -> LossReport:
    """Read a JSON report, including the figures of all items.

    Args:
        path: a ``{job_name}_{step:09d}.json``, or its URL.

    Returns:
        The report; its ``json_path`` is ``path``.

    Raises:
        ReportError: the file is no loss report, is damaged, or has a version that this release cannot read.
        OSError: the file cannot be read.
    """
    url = as_url(path)
    with Path(path).open("rb") if url is None else io.BytesIO(read_file(url)) as file:
        report, texts = _parts(path, file)
        try:
            datasets = {
                name: msgspec.structs.replace(dataset, item_stats=_item_stats(texts[name]))
                for name, dataset in report.datasets.items()
            }
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ReportError(f"{path} is no loss report: {error}") from error
    return msgspec.structs.replace(report, datasets=datasets)


def _item_stats(text: ItemText) -> dict[str, ItemStats]:
    """The items in the object; of one with a line for each from a piece at a time, so that the text is not held."""
    if not text.has_lines:
        return _decode_items(text.read(0, len(text)))
    found: dict[str, ItemStats] = {}
    for piece in text.lines():
        found.update(_decode_items(b"".join((b"{", piece, b"}"))))
    return found


def _check_schema(path: str | Path, name: str) -> None:
    if name not in READABLE:
        known = " and ".join(map(repr, READABLE))
        raise ReportError(f"{path} has schema {name!r}; this version of loss_logging reads {known}")


class _Head(msgspec.Struct, rename={"schema_": "schema"}):
    schema_: str


def report_schema() -> dict[str, Any]:
    """The JSON Schema of the report. The package also has it as the file ``loss_logging/report.schema.json``.

    >>> report_schema()["$id"]
    'loss_logging/report/2'
    """
    _, definitions = msgspec.json.schema_components([LossReport], ref_template="#/$defs/{name}")
    for name, definition in definitions.items():
        definition["description"] = inspect.cleandoc(definition["description"])
        if name != "ItemStats":  # in all other structs the writer omits no field
            definition["required"] = list(definition["properties"])
    report = definitions.pop("LossReport")
    for name in ("json_path", "pictures"):  # not part of the file
        del report["properties"][name]
        report["required"].remove(name)
    report["required"].remove("excluded")  # which files of before have not
    del definitions["Picture"]
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "$id": SCHEMA_NAME, **report, "$defs": definitions}


def write_csv(path: str | Path, datasets: Mapping[str, DatasetReport]) -> None:
    """Write one row per item: dataset, path and the fields of `ItemStats`.

    A text that a spreadsheet would run as a formula gets an apostrophe in front.

    Raises:
        OSError: the disk is full or the folder is not writable; a file that was at ``path`` before is unchanged.
    """
    with whole_file(Path(path), text=True) as file:
        writer = csv.writer(file)
        writer.writerow(["dataset", "path", *_ITEM_FIELDS])
        for name, dataset in datasets.items():
            for item, figures in dataset.item_stats.items():
                writer.writerow([spreadsheet_cell(value) for value in (name, item, *msgspec.structs.astuple(figures))])


def spreadsheet_cell(value: Any) -> Any:
    """The value, with an apostrophe in front of a text that a spreadsheet would run as a formula.

    >>> spreadsheet_cell("=1+1"), spreadsheet_cell(-1)
    ("'=1+1", -1)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


class _Dataset(msgspec.Struct, frozen=True):
    summary: Summary
    paired_items: PairedItems | None = None
    captions: DatasetCaptions | None = None
    verdicts: Verdicts | None = None
    item_stats: msgspec.Raw = msgspec.Raw(b"{}")


class _WithoutItems(LossReport, frozen=True, kw_only=True, rename={"schema_": "schema", "global_": "global"}):
    datasets: dict[str, _Dataset] = {}  # type: ignore[assignment]  # noqa: RUF012


def read_without_items(path: Path, *, progress: bool = False) -> LossReport:
    """Read a JSON report in the form for backends: without the figures of the items, which may be millions.

    Args:
        path: the path of the report.
        progress: show in a terminal that a large file is being read.

    Raises:
        ReportError: the file is no loss report, or has another version.
        OSError: the file cannot be read.
    """
    with opened_report(path, progress=progress) as (report, _):
        return report


@contextmanager
def opened_report(path: Path, *, progress: bool = False) -> Iterator[tuple[LossReport, dict[str, ItemText]]]:
    """The report of `read_without_items`, and the JSON object of each dataset's items, for `read_items`: it is not read
    before somebody asks for it, nor can it be read when the context has ended."""
    with path.open("rb") as file:
        with announced(f"reading {path.name}", shown=progress and path.stat().st_size > _LARGE):
            parts = _parts(path, file)
        yield parts


def _parts(path: str | Path, file: BinaryIO) -> tuple[LossReport, dict[str, ItemText]]:
    """The report without its items, and those."""
    try:
        found, texts = _parts_of_ours(path, file) or _parts_of_any(path, file)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReportError(f"{path} is no loss report: {error}") from error
    fields: dict[str, Any] = {name: getattr(found, name) for name in LossReport.__struct_fields__}
    fields["datasets"] = {
        name: DatasetReport(dataset.summary, dataset.paired_items, dataset.captions, dataset.verdicts)
        for name, dataset in found.datasets.items()
    }
    return LossReport(**fields | {"json_path": str(path)}), dict(zip(found.datasets, texts, strict=True))


def _parts_of_ours(path: str | Path, file: BinaryIO) -> tuple[_WithoutItems, list[ItemText]] | None:
    """Of a file that `write_report` has written; None of any other."""
    if (parts := parts_of_file(file)) is None:
        return None
    text, items = parts
    try:
        found = _decoded(path, text)
    except msgspec.DecodeError:
        return None
    return (found, items) if len(found.datasets) == len(items) else None


def _parts_of_any(path: str | Path, file: BinaryIO) -> tuple[_WithoutItems, list[ItemText]]:
    """Of a file of any form, which is held in memory."""
    file.seek(0)
    found = _decoded(path, file.read())
    return found, [ItemText(io.BytesIO(memoryview(dataset.item_stats))) for dataset in found.datasets.values()]


def _decoded(path: str | Path, text: bytes) -> _WithoutItems:
    try:
        found = msgspec.json.decode(text, type=_WithoutItems)
    except msgspec.ValidationError:
        _check_schema(path, msgspec.json.decode(text, type=_Head).schema_)  # of another version: that says more
        raise
    _check_schema(path, found.schema_)
    return found
