"""Counts over the figures of all items."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loss_logging.captions.decisions import SETTLED
from loss_logging.reports.report import DECISIVE_PAIRS

__all__ = ["ERRORS", "LEAST_ODD", "ItemCounter", "ItemCounts", "count_items", "counted_columns"]

ERRORS = 2.0
"""The number of standard errors above zero from which a figure counts."""
LEAST_ODD = 1.0
"""The lowest number of standard deviations by which the loss of an odd image exceeds others of the same timestep."""
_OUTLIER = 3.5 * 1.4826
"""The limit in median absolute deviations above the median of the dataset: Iglewicz and Hoaglin (1993)."""
_COLUMNS = (
    "dataset",
    "count",
    "non_finite",
    "average_loss",
    "hard",
    "std_z",
    "caption_mismatch",
    "standard_error",
    "n_paired",
    "verdict",
    "decision",
)


class ItemCounts(msgspec.Struct, frozen=True):
    """Counts over the figures of all items.

    ``averages`` maps a dataset to number, mean and variance of its items' mean losses; ``floors`` to the lowest `hard`
    of an odd image. ``with_verdicts`` is True if the report's verdicts decide which captions are wrong, and False if
    two standard errors decide it.
    """

    items: int = 0
    records: int = 0
    non_finite: int = 0
    mean: float | None = None
    likely: int = 0
    look: int = 0
    odd: int = 0
    decided: int = 0
    with_verdicts: bool = False
    averages: dict[str, tuple[int, float, float]] = {}
    floors: dict[str, float] = {}


def counted_columns(names: Iterable[str]) -> list[str]:
    """The columns that `count_items` reads, among ``names``."""
    there = set(names)
    return [name for name in _COLUMNS if name in there]


class ItemCounter:
    """Counts items in batches that pass through."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []

    def through(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The same batches; the figures for the counts are stored."""
        for batch in batches:
            if batch.num_rows:
                self._parts.append(_slim(batch))
            yield batch

    def counts(self) -> ItemCounts:
        """What they say together."""
        return _counted(pa.concat_tables(self._parts, promote_options="permissive")) if self._parts else ItemCounts()


def count_items(batches: Iterable[pa.RecordBatch]) -> ItemCounts:
    """Count over all items; reads the existing columns of `ItemStats`, and ``verdict`` if the report has it."""
    counter = ItemCounter()
    for _ in counter.through(batches):
        pass
    return counter.counts()


def _counted(table: pa.Table) -> ItemCounts:
    values = {name: _numbers(table, name) for name in _COLUMNS if name not in ("dataset", "verdict", "decision")}
    finite = values["count"] - np.nan_to_num(values["non_finite"])
    codes, names = _codes(table["dataset"])
    likely, look, with_verdicts = _bins(table, values)
    open_ = ~_settled(table)
    floors = _floors(codes, values["hard"], len(names))
    with np.errstate(invalid="ignore", divide="ignore"):
        sure = values["hard"] - ERRORS * np.nan_to_num(values["std_z"]) / np.sqrt(finite)
        odd = (sure >= LEAST_ODD) & (values["hard"] > floors[codes])
    seen = ~np.isnan(values["average_loss"]) & (finite > 0)
    weight = finite[seen].sum()
    return ItemCounts(
        items=table.num_rows,
        records=int(values["count"].sum()),
        non_finite=int(np.nansum(values["non_finite"])),
        mean=float((values["average_loss"][seen] * finite[seen]).sum() / weight) if weight else None,
        likely=int((likely & open_).sum()),
        look=int((look & open_).sum()),
        odd=int(odd.sum()),
        decided=int(((np.nan_to_num(values["n_paired"]) >= DECISIVE_PAIRS) | _judged(table)).sum()),
        with_verdicts=with_verdicts,
        averages=_averages(codes[seen], values["average_loss"][seen], names),
        floors={name: float(floor) for name, floor in zip(names, floors, strict=True)},
    )


def _slim(batch: pa.RecordBatch) -> pa.Table:
    table = pa.Table.from_batches([batch.select(counted_columns(batch.schema.names))])
    place = table.schema.get_field_index("dataset")
    return table.set_column(place, "dataset", table["dataset"].dictionary_encode())


def _codes(datasets: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], list[str]]:
    array = datasets.unify_dictionaries().combine_chunks()
    array = array if isinstance(array, pa.DictionaryArray) else array.chunk(0)
    return array.indices.to_numpy(zero_copy_only=False).astype(np.int64), array.dictionary.to_pylist()


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    if name not in table.column_names:
        return np.full(table.num_rows, 0.0 if name == "non_finite" else np.nan)
    return np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64)


def _bins(table: pa.Table, values: dict[str, npt.NDArray[np.float64]]) -> tuple[Any, Any, bool]:
    """Masks of the items in the first and in the second bin, and whether they come from the report's verdicts."""
    if "verdict" in table.column_names and table["verdict"].null_count < table.num_rows:
        words = pc.fill_null(pc.replace_substring(pc.utf8_lower(table["verdict"].cast(pa.string())), "_", " "), "")
        likely = pc.match_substring(words, "likely").to_numpy()
        return likely, pc.starts_with(words, "look").to_numpy(), True
    with np.errstate(invalid="ignore"):
        look = (values["n_paired"] >= DECISIVE_PAIRS) & (values["caption_mismatch"] > 0)
        look &= values["caption_mismatch"] > ERRORS * values["standard_error"]
    return np.zeros_like(look), look, False


def _judged(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Which items have a verdict: pictures give it without a pair."""
    if "verdict" not in table.column_names:
        return np.zeros(table.num_rows, bool)
    return np.asarray(pc.is_valid(table["verdict"]).to_numpy(), bool)


def _settled(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Which items a person has settled, so that they are no longer shown as wrong."""
    if "decision" not in table.column_names:
        return np.zeros(table.num_rows, bool)
    decision = table["decision"].cast(pa.string())
    return np.asarray(pc.is_in(decision, pa.array(SETTLED, pa.string())).to_numpy(), bool)


def _floors(codes: npt.NDArray[np.int64], hard: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    """The lowest `hard` of an outlier in each dataset."""
    middle = _medians(codes, hard, n)
    return middle + _OUTLIER * _medians(codes, np.abs(hard - middle[codes]), n)


def _medians(codes: npt.NDArray[np.int64], values: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    finite = np.isfinite(values)
    codes, values = codes[finite], values[finite]
    order = np.argsort(codes, kind="stable")
    codes, values = codes[order], values[order]
    ends = np.searchsorted(codes, np.arange(n + 1))
    return np.array([np.median(values[a:b]) if b > a else np.nan for a, b in itertools.pairwise(ends)])


def _averages(
    codes: npt.NDArray[np.int64], averages: npt.NDArray[np.float64], names: list[str]
) -> dict[str, tuple[int, float, float]]:
    counts = np.bincount(codes, minlength=len(names))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        means = np.bincount(codes, averages, len(names)) / counts
        squares = np.bincount(codes, (averages - means[codes]) ** 2, len(names)) / np.maximum(counts - 1, 1)
    return {
        name: (int(n), float(mean), float(square))
        for name, n, mean, square in zip(names, counts, means, squares, strict=True)
        if n and np.isfinite(mean) and np.isfinite(square)
    }
