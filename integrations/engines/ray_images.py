"""Captioned images as a dataset of Ray's: rows of names, captions, and the image's place or bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa
import ray.data

from loss_logging.captions.folder.webdataset import read_shard
from loss_logging.errors import LossLoggingError
from loss_logging.evaluation.image_batches import ImageRow, image_row

__all__ = ["image_rows", "shard_rows"]

_BLOCK, _CHUNK = 1_024, 8
_FIELDS = [(name, pa.string()) for name in ("path", "dataset", "caption")]
_FILES = pa.schema([*_FIELDS, ("image", pa.string())])
_BYTES = pa.schema([*_FIELDS, ("image", pa.binary()), ("left_out", pa.string()), ("error", pa.string())])


def image_rows(rows: Iterable[ImageRow], warnings: list[str]) -> ray.data.Dataset:
    """Of image files, which every machine must find at the same place; with sentences for the report."""
    iterator = iter(rows)
    blocks = []
    while chunk := list(islice(iterator, _BLOCK)):
        blocks.append(pa.Table.from_pylist([row._asdict() for row in chunk], _FILES))
    dataset = ray.data.from_arrow(blocks)
    dataset.warnings = warnings
    return dataset


def shard_rows(
    shards: Sequence[Path], root: Path, rows: Iterable[ImageRow] = (), warnings: Sequence[str] = ()
) -> ray.data.Dataset:
    """Of a WebDataset, a task for each tar file; a file that cannot be read is a row with an error.

    ``rows`` are of image files beside them, whose bytes are read, as those in tar files are.
    """
    archives = ray.data.from_arrow([pa.table({"shard": [str(shard)]}) for shard in shards])
    dataset = archives.map_batches(partial(_read, root), batch_format="pyarrow", batch_size=1)
    if given := list(rows):
        files = image_rows(given, []).map_batches(_open, batch_format="pyarrow", batch_size=_CHUNK)
        dataset = files.union(dataset)
    dataset.warnings = list(warnings)
    return dataset


def _open(files: pa.Table) -> pa.Table:
    return pa.Table.from_pylist([row | _bytes(row["image"]) for row in files.to_pylist()], _BYTES)


def _bytes(path: str) -> dict[str, bytes | str | None]:
    try:
        return {"image": Path(path).read_bytes()}
    except OSError as error:
        return {"image": None, "left_out": error.strerror or str(error)}


def _read(root: Path, files: pa.Table) -> Iterator[pa.Table]:
    for shard in files["shard"].to_pylist():
        rows = (image_row(image, root)._asdict() for image in read_shard(Path(shard), root))
        try:
            while chunk := list(islice(rows, _CHUNK)):
                yield pa.Table.from_pylist(chunk, _BYTES)
        except LossLoggingError as error:
            yield pa.Table.from_pylist([{"path": shard, "dataset": "", "caption": "", "error": str(error)}], _BYTES)
