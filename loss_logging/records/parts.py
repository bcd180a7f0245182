"""Records in parts, as they lie in a log or in memory: each is read by itself, and the columns asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from loss_logging.records.log import RecordLog

__all__ = ["Part", "parts_of_log", "parts_of_table"]


class Part(Protocol):
    """Some records that follow one another."""

    @property
    def rows(self) -> int:
        """How many they are."""

    def read(self, columns: Sequence[str]) -> pa.Table:
        """The columns of these names, of `SCHEMA`; ``dataset`` may be a dictionary of texts."""


class _RowGroup(NamedTuple):
    path: Path
    footer: pq.FileMetaData
    place: int

    @property
    def rows(self) -> int:
        return int(self.footer.row_group(self.place).num_rows)

    def read(self, columns: Sequence[str]) -> pa.Table:
        # As a dictionary, a column of few texts takes a tenth of the time; one of many takes three times as long.
        with pq.ParquetFile(self.path, metadata=self.footer, read_dictionary=["dataset"]) as file:
            return file.read_row_group(self.place, columns=columns)


class _Batch(NamedTuple):
    batch: pa.RecordBatch

    @property
    def rows(self) -> int:
        return int(self.batch.num_rows)

    def read(self, columns: Sequence[str]) -> pa.Table:
        return pa.Table.from_batches([self.batch]).select(columns)


def parts_of_log(log: RecordLog) -> list[Part]:
    """The records of a log, a row group in each part; only the footers of the files are read here."""
    footers = [(path, pq.read_metadata(path)) for path in log.files()]
    return [_RowGroup(path, footer, place) for path, footer in footers for place in range(footer.num_row_groups)]


def parts_of_table(table: pa.Table) -> list[Part]:
    """The records of a table of `SCHEMA`.

    >>> from loss_logging.records.columns import SCHEMA
    >>> parts_of_table(SCHEMA.empty_table())
    []
    """
    return [_Batch(batch) for batch in table.to_batches()]
