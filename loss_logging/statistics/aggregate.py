"""aggregate_by_dataset: figures per dataset, of records in memory or in a log.

`RunStatistics` computes the same figures with the same queries.
"""

from __future__ import annotations

import itertools
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loss_logging.errors import ConfigError
from loss_logging.records.columns import table_from_records
from loss_logging.records.log import FOREVER, RecordLog
from loss_logging.records.record import RecordLike
from loss_logging.records.tables import table_of_records
from loss_logging.reports.report import Summary, TopRecord
from loss_logging.statistics import bins
from loss_logging.statistics.queries import Queries, sql

__all__ = ["Aggregates", "aggregate_by_dataset", "empty_summary", "summaries_of"]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_NO_QUANTILES = (None,) * len(QUANTILES)
_EXACT_RECORDS = 2_000_000
"""Up to this number of finite losses, the quantiles of a dataset are exact; beyond it, they come from bins, at a
constant cost."""
_MAX_CANDIDATES = 999_999
"""The largest n of DuckDB's max(x, n)."""


_PEAKS = "SELECT dataset, path, caption, loss, step, timestep FROM records WHERE isfinite(loss)"


class Aggregates(msgspec.Struct, frozen=True):
    """The result of `aggregate_by_dataset`: a `Summary` for each dataset by name, and one for all records together."""

    datasets: dict[str, Summary]
    overall: Summary

    def to_dict(self) -> dict[str, Any]:
        """The summaries as plain data with the keys ``dataset_summary`` and ``global``."""
        return {"dataset_summary": msgspec.to_builtins(self.datasets), "global": msgspec.to_builtins(self.overall)}


def aggregate_by_dataset(records: Iterable[RecordLike] | RecordLog | pa.Table, top_k: int = 10) -> Aggregates:
    """Count, mean, median, min, max, std, quantiles and the highest losses, per dataset and over all.

    Args:
        records: SampleRecords, or mappings with at least path, dataset, caption, loss; or a table with at least those
            columns; or a `RecordLog`.
        top_k: the number of highest losses to list, each item once; 0 or more.

    Returns:
        `Aggregates`; ``count`` includes the ``non_finite`` losses (NaN and infinite), all other figures exclude them.
        ``std`` is the population standard deviation. Without records, ``overall`` has count 0 and None for all figures.

    Raises:
        ConfigError: ``top_k`` is not a whole number of 0 or more.
        ValueError: a record, or the table, lacks a required key, or a figure is not a number.
        TypeError: a record is neither a SampleRecord nor a mapping.

    Example:
        >>> result = aggregate_by_dataset([
        ...     {"path": "1.png", "dataset": "cats", "caption": "a cat", "loss": 0.25},
        ...     {"path": "2.png", "dataset": "cats", "caption": "a cat", "loss": 0.75},
        ...     {"path": "3.png", "dataset": "dogs", "caption": "a dog", "loss": float("nan")},
        ... ])
        >>> result.datasets["cats"].mean, result.datasets["cats"].top_k[0].path, result.overall.count
        (0.5, '2.png', 3)
        >>> result.datasets["dogs"].non_finite, result.datasets["dogs"].mean
        (1, None)
    """
    if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 0:
        raise ConfigError(f"top_k is {top_k!r}; allowed: a whole number, 0 or more")
    with Queries(threads=os.cpu_count() or 1) as queries:  # the caller waits for this alone
        if isinstance(records, RecordLog):
            queries.read(records.files())
        else:
            is_table = isinstance(records, pa.Table)
            queries.read(table_of_records(records) if is_table else table_from_records(records))
        queries.table("cells", sql("cells"), after=-1, through=FOREVER)
        queries.view("peaks", _PEAKS)
        summaries = summaries_of(queries, FOREVER, top_k, with_bins=False)
    overall = summaries.pop(None, empty_summary())
    return Aggregates({str(name): summary for name, summary in summaries.items()}, overall)


def summaries_of(queries: Queries, through: int, top_k: int, *, with_bins: bool) -> dict[str | None, Summary]:
    """The figures of every dataset, from the tables ``cells`` and ``peaks`` (and ``bins``)."""
    rows = queries.rows("summaries")
    fine = _fine_bins(queries) if with_bins else {}
    found = _quantiles(queries, through, rows, fine)
    top = _top_k(queries, top_k, rows)
    return {
        name: Summary(
            count=count,
            mean=_finite(mean),
            median=found[name][2] if n else None,
            min=lowest,
            max=highest,
            std=_finite(std),
            non_finite=count - n,
            quantiles=dict(zip(map(str, QUANTILES), found.get(name) or _NO_QUANTILES, strict=True)),
            quantile_method="binned" if name in fine and n > _EXACT_RECORDS else "exact",
            histogram=bins.histogram(*fine[name], lowest, highest) if name in fine else None,
            top_k=top.get(name, []),
        )
        for name, count, n, mean, lowest, highest, std in rows
    }


def _quantiles(
    queries: Queries, through: int, rows: list[tuple[Any, ...]], fine: Mapping[str | None, tuple[Any, Any]]
) -> Mapping[str | None, list[float]]:
    """Quantiles of the finite losses per dataset and over all; for many losses they come from the bins in ``fine``."""
    sizes: dict[str | None, int] = {name: n for name, _, n, *_ in rows}
    names = sorted(name for name in sizes if name is not None)
    if not fine or sizes[None] <= _EXACT_RECORDS:
        return _exact(queries, names, through, None)
    found = {
        name: bins.quantiles(*fine[name], QUANTILES, lowest, highest)
        for name, _, n, _, lowest, highest, _ in rows
        if n > _EXACT_RECORDS
    }
    waiting = {name: sizes[name] for name in names if 0 < sizes[name] <= _EXACT_RECORDS}
    while waiting:  # as many datasets at once as may be sorted
        together = itertools.accumulate(waiting.values())
        some = [name for name, total in zip(waiting, together, strict=True) if total <= _EXACT_RECORDS]
        found |= _exact(queries, names, through, some)
        waiting = {name: n for name, n in waiting.items() if name not in some}
    return found


def _exact(
    queries: Queries, names: list[str], through: int, datasets: list[str] | None
) -> dict[str | None, list[float]]:
    """Quantiles of the losses themselves, of some datasets; of each and under None of all where ``datasets`` is None.

    Sorted in NumPy, which takes half the time of two aggregates in SQL.

    Args:
        names: the sorted names of all datasets.
    """
    table = queries.arrow("finite_losses", through=through, datasets=datasets)
    places, losses = table["place"].to_numpy(), table["loss"].to_numpy()
    if not len(losses):
        return {}
    ends = np.cumsum(np.bincount(places, minlength=len(names)))
    few = places.astype(np.uint16 if len(names) <= np.iinfo(np.uint16).max else np.uint32)  # which sorts by radix
    losses = losses[np.argsort(few, kind="stable")]
    parts = zip(names, np.split(losses, ends[:-1]), strict=True)
    found: dict[str | None, list[float]] = {name: _quantiles_of(part) for name, part in parts if len(part)}
    return found if datasets is not None else found | {None: _quantiles_of(losses)}


def _quantiles_of(losses: npt.NDArray[np.float64]) -> list[float]:
    """Quantiles, linearly interpolated; sorts the losses in place."""
    losses.sort()
    at = np.asarray(QUANTILES) * (len(losses) - 1)
    low = np.floor(at).astype(np.int64)
    share = at - low
    found: list[float] = (losses[low] * (1 - share) + losses[np.ceil(at).astype(np.int64)] * share).tolist()
    return found


def empty_summary() -> Summary:
    """The figures without any records."""
    return Summary(0, None, None, None, None, None, 0, dict.fromkeys(map(str, QUANTILES)))


def _finite(value: float | None) -> float | None:
    """The figure, or None if it overflowed: losses near 1e308 are finite, but the sum of two is not."""
    return value if value is not None and math.isfinite(value) else None


def _top_k(queries: Queries, k: int, summaries: list[tuple[Any, ...]]) -> dict[str | None, list[TopRecord]]:
    """The items with the highest losses, from a few candidates; from all records if the candidates repeat items."""
    if k == 0 or not summaries:
        return {}
    candidates = min(2 * k, _MAX_CANDIDATES)
    top = _group_top(queries.rows("top_k", k=k, candidates=candidates))
    finite = {name: n for name, _, n, *_ in summaries}
    if any(len(top.get(name, [])) < k and n > candidates for name, n in finite.items() if name is not None):
        top = _group_top(queries.rows("top_k", k=k, candidates=None))
    everywhere = [(record.loss, name or "", record) for name, records in top.items() for record in records]
    everywhere.sort(key=lambda entry: (-entry[0], entry[1], entry[2].path))
    top[None] = [record for *_, record in everywhere[:k]]
    return top


def _group_top(rows: list[tuple[Any, ...]]) -> dict[str | None, list[TopRecord]]:
    top: defaultdict[str | None, list[TopRecord]] = defaultdict(list)
    for dataset, *record in rows:
        top[dataset].append(TopRecord(*record))
    return dict(top)


def _fine_bins(queries: Queries) -> dict[str | None, tuple[Any, Any]]:
    """Ascending fine bins and their counts, per dataset and over all."""
    grouped: defaultdict[str | None, list[tuple[int, int]]] = defaultdict(list)
    for dataset, place, n in queries.rows("bins_by_dataset"):
        grouped[dataset].append((place, n))
    return {name: tuple(np.array(pairs, np.int64).T) for name, pairs in grouped.items()}
