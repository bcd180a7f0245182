"""aggregate_by_dataset: figures per dataset, of records in memory or in a log.

`RunStatistics` has the same figures from sums that it carries forward. Here everything is asked once, which needs no
database: of all records the dataset and the loss are read, of a few the path, and of those that are shown the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loss_logging.errors import ConfigError
from loss_logging.records.log import RecordLog
from loss_logging.records.parts import Part, parts_of_log, parts_of_records, parts_of_table
from loss_logging.records.record import RecordLike
from loss_logging.records.tables import table_of_records
from loss_logging.reports.report import Summary, TopRecord
from loss_logging.statistics.losses import Floats, Integers, empty_summary, grouped, summary_of

__all__ = ["Aggregates", "aggregate_by_dataset"]

_RECORDS_AN_ITEM = 32
"""How many of the highest losses of a dataset are looked at first for each item that is to be listed. More cost little:
whoever reads a path reads all that stand beside it."""


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
    parts = _parts(records)
    names, places, losses = _losses(parts)
    if not names:
        return Aggregates({}, empty_summary())
    counts = np.bincount(places, minlength=len(names)).tolist()
    is_finite = np.isfinite(losses)
    every, groups = grouped(places[is_finite], losses[is_finite], len(names))
    top = _top_k(parts, places, losses, groups, top_k)
    datasets = {
        name: summary_of(group, count, top[place])
        for place, (name, group, count) in enumerate(zip(names, groups, counts, strict=True))
    }
    highest = sorted((record for records in top.values() for record in records), key=lambda record: -record.loss)
    every.sort()  # and with it the groups, which are done with
    return Aggregates(datasets, summary_of(every, len(losses), highest[:top_k]))


def _parts(records: Iterable[RecordLike] | RecordLog | pa.Table) -> list[Part]:
    if isinstance(records, RecordLog):
        return parts_of_log(records)
    return parts_of_table(table_of_records(records)) if isinstance(records, pa.Table) else parts_of_records(records)


def _losses(parts: Sequence[Part]) -> tuple[list[str], Integers, Floats]:
    """The sorted names of the datasets; of each record the place of its dataset among them, and its loss, NaN if it is
    not finite."""
    numbers: dict[str, int] = {}
    datasets, losses = [np.empty(0, np.uint32)], [np.empty(0)]
    for part in parts:
        for batch in part.losses().to_batches():
            texts = batch["dataset"].dictionary_encode()
            number = [numbers.setdefault(name, len(numbers)) for name in texts.dictionary.to_pylist()]
            datasets.append(np.array(number, np.uint32)[texts.indices.to_numpy()])
            losses.append(batch["loss"].to_numpy())
    names = sorted(numbers)
    place = np.empty(len(names), np.uint16 if len(names) <= 2**16 else np.uint32)
    place[[numbers[name] for name in names]] = np.arange(len(names))
    loss = np.concatenate(losses)
    loss[~np.isfinite(loss)] = np.nan
    return names, place[np.concatenate(datasets)], loss


def _top_k(
    parts: Sequence[Part], places: Integers, losses: Floats, groups: Sequence[Floats], k: int
) -> dict[int, list[TopRecord]]:
    """By the place of a dataset, its items with the highest losses: from a few records, or from all if few items have
    them."""
    top: defaultdict[int, list[TopRecord]] = defaultdict(list)
    if k == 0 or not any(map(len, groups)):
        return top
    first = _RECORDS_AN_ITEM * k
    least = np.array([group[-first:][0] if len(group) else np.inf for group in groups])
    items = _highest_items(parts, places, losses, least, k)
    found = np.bincount(items["place"].to_numpy(), minlength=len(groups))
    short = [place for place, group in enumerate(groups) if found[place] < k and len(group) > first]
    if short:
        least[short] = -np.inf
        items = _highest_items(parts, places, losses, least, k)
    rest: dict[int, dict[str, Any]] = {}
    for part, start, rows in _with_rows(parts, np.sort(items["row"].to_numpy())):
        rows_of_part = part.take(["caption", "step", "timestep"], rows - start).to_pylist()
        rest |= dict(zip(rows.tolist(), rows_of_part, strict=True))
    for item in items.to_pylist():
        top[item["place"]].append(TopRecord(path=item["path"], loss=item["loss"], **rest[item["row"]]))
    return top


def _highest_items(parts: Sequence[Part], places: Integers, losses: Floats, least: Floats, k: int) -> pa.Table:
    """The ``k`` items of each dataset with the highest loss, by place, loss and path, of the records whose loss is not
    below the least one of their dataset; ``row`` is the number of the record."""
    found: list[pa.Table] = []
    for part, start, rows in _with_rows(parts, np.flatnonzero(losses >= least[places])):
        paths = part.take(["path"], rows - start)["path"]
        more = pa.table({"place": places[rows], "path": paths, "loss": losses[rows], "row": rows})
        found = [_first_items(pa.concat_tables([*found, _first_items(more, k)]), k)]
    return found[0]


def _first_items(records: pa.Table, k: int) -> pa.Table:
    """Each item once, with its highest loss, and at most ``k`` of a dataset."""
    paths = records["path"].combine_chunks().dictionary_encode()
    places, losses = records["place"].to_numpy(), records["loss"].to_numpy()
    pairs = pa.array(places.astype(np.int64) * len(paths.dictionary) + paths.indices.to_numpy()).dictionary_encode()
    item = pairs.indices.to_numpy()
    highest = np.full(len(pairs.dictionary), -np.inf)
    np.maximum.at(highest, item, losses)
    rows = np.flatnonzero(losses == highest[item])
    rows = rows[np.unique(item[rows], return_index=True)[1]]
    items = records.take(rows)
    items = items.set_column(1, "path", items["path"].cast(pa.string()))
    items = items.sort_by([("place", "ascending"), ("loss", "descending"), ("path", "ascending")])
    places = items["place"].to_numpy()
    return items.filter(np.arange(len(places)) - np.searchsorted(places, places) < k)


def _with_rows(parts: Sequence[Part], rows: npt.NDArray[np.int64]) -> Iterator[tuple[Part, int, npt.NDArray[np.int64]]]:
    """The parts that some of the ascending ``rows`` are in, the number of the first row of each, and its rows."""
    ends = np.cumsum([part.rows for part in parts])
    for part, end, inside in zip(parts, ends.tolist(), np.split(rows, np.searchsorted(rows, ends)[:-1]), strict=True):
        if len(inside):
            yield part, end - part.rows, inside
