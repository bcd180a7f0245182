"""Records in parts, as they lie in a log or in memory: each is read by itself, and the columns asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from loss_logging.records.columns import SCHEMA, Chunk, chunks_of, text_array
from loss_logging.records.log import SHARD_ROWS, RecordLog
from loss_logging.records.record import RecordLike

__all__ = ["Part", "parts_of_log", "parts_of_records", "parts_of_table"]


_TEXTS = ("path", "dataset", "caption")
_COLUMNS = ("step", "path", "dataset", "caption", "loss", "timestep")
_FEW = 8
"""Bytes a record in a file, below which a column must be a dictionary of its texts and their numbers."""


class Part(Protocol):
    """Some records that follow one another. A column of texts may be a dictionary of them."""

    @property
    def rows(self) -> int:
        """How many they are."""

    def losses(self) -> pa.Table:
        """``dataset`` and ``loss`` of all records."""

    def take(self, columns: Sequence[str], rows: npt.NDArray[np.int64]) -> pa.Table:
        """Step, path, dataset, caption, loss or timestep of some records, by their numbers in this part."""


class _RowGroup(NamedTuple):
    path: Path
    footer: pq.FileMetaData
    place: int

    @property
    def rows(self) -> int:
        return int(self.footer.row_group(self.place).num_rows)

    def losses(self) -> pa.Table:
        return self._read(["dataset", "loss"])

    def take(self, columns: Sequence[str], rows: npt.NDArray[np.int64]) -> pa.Table:
        return self._read(columns).take(rows)

    def _read(self, columns: Sequence[str]) -> pa.Table:
        few = [name for name in columns if name in _TEXTS and self._is_of_few(name)]
        with pq.ParquetFile(self.path, metadata=self.footer, read_dictionary=few) as file:
            return file.read_row_group(self.place, columns=columns)

    def _is_of_few(self, name: str) -> bool:
        """Whether a column has few different texts: as a dictionary, it takes a tenth of the time, and one of many
        three times as much."""
        column = self.footer.row_group(self.place).column(SCHEMA.names.index(name))
        return int(column.total_uncompressed_size) < _FEW * self.rows


class _Slice(NamedTuple):
    table: pa.Table

    @property
    def rows(self) -> int:
        return int(self.table.num_rows)

    def losses(self) -> pa.Table:
        return self.table.select(["dataset", "loss"])

    def take(self, columns: Sequence[str], rows: npt.NDArray[np.int64]) -> pa.Table:
        return self.table.select(columns).take(rows)


class _Chunk(NamedTuple):
    """Records that are no table. Their texts stay what they are: columns of all would be a quarter of the cost."""

    rows: int
    arrays: dict[str, pa.Array]
    texts: dict[str, list[Any]]

    @classmethod
    def of(cls, chunk: Chunk) -> _Chunk:
        found = {name: chunk.values[name] for name in ("path", "caption")}
        texts = {name: values for name, values in found.items() if values and set(map(type, values)) == {str}}
        # Of all others columns are made, also where nobody asks for them, which says what is wrong in them.
        arrays = {name: chunk.column(name) for name in SCHEMA.names if name not in texts}
        return cls(chunk.rows, {name: array for name, array in arrays.items() if name in _COLUMNS}, texts)

    def losses(self) -> pa.Table:
        return pa.table({name: self.arrays[name] for name in ("dataset", "loss")})

    def take(self, columns: Sequence[str], rows: npt.NDArray[np.int64]) -> pa.Table:
        return pa.table({name: self._some(name, rows) for name in columns})

    def _some(self, name: str, rows: npt.NDArray[np.int64]) -> pa.Array:
        if name in self.texts:
            return text_array([self.texts[name][row] for row in rows.tolist()])
        return self.arrays[name].take(rows)


def parts_of_log(log: RecordLog) -> list[Part]:
    """The records of a log, a row group in each part; only the footers of the files are read here."""
    footers = [(path, pq.read_metadata(path)) for path in log.files()]
    parts = [_RowGroup(path, footer, place) for path, footer in footers for place in range(footer.num_row_groups)]
    return [part for part in parts if part.rows]  # a file may end with a row group of none


def parts_of_table(table: pa.Table) -> list[Part]:
    """The records of a table of `SCHEMA`, at most as many in each part as a row group holds.

    >>> from loss_logging.records.columns import SCHEMA
    >>> parts_of_table(SCHEMA.empty_table())
    []
    """
    return [_Slice(table.slice(first, SHARD_ROWS)) for first in range(0, table.num_rows, SHARD_ROWS)]


def parts_of_records(records: Iterable[RecordLike]) -> list[Part]:
    """Records or mappings, or the rows of a frame, as `table_from_records` takes them.

    Raises:
        ValueError, TypeError: as there.
    """
    return [_Chunk.of(chunk) for chunk in chunks_of(records)]
