"""flag_bad_captions: the bad captions among records, worst first."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

import msgspec

from loss_logging.captions.across import Rule
from loss_logging.captions.comparison import same_image
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.dataset_checker import DatasetChecker
from loss_logging.captions.reason import FlaggedCaption
from loss_logging.captions.verdict import flagged_order
from loss_logging.errors import ConfigError
from loss_logging.records.record import RecordLike

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FlaggedCaptions", "flag_bad_captions"]

_CHUNK = 8_192  # rows that are Python objects at a time


class FlaggedCaptions(msgspec.Struct, frozen=True):
    """The worst captions, and the number of items that each rule objects to.

    Args:
        flagged: at most ``top_n`` captions in `flagged_order`, one per item, with the highest loss of its last caption.
        summary: number of items by the rule that objects to their caption; most frequent first. An item counts for each
            rule that objects.
    """

    flagged: list[FlaggedCaption]
    summary: dict[str, int]


def flag_bad_captions(
    records: Iterable[RecordLike],
    config: CaptionConfig | Mapping[str, Any] | None = None,
    top_n: int = 20,
    *,
    rules: Iterable[Rule] = (),
) -> FlaggedCaptions:
    """Find empty, short, long, repetitive and damaged captions, refusals, unfilled templates and more.

    The flags are the same as in the reports of a training and in ``loss-logging check-captions``. The last caption of
    each item is judged by itself, by the style of its dataset, and in comparison with all others. The result is in
    `flagged_order`: among flags of one severity, items with unusual losses come first.

    Regularisation images (``is_reg``) and records with a dropped caption (``caption_dropped``) are left out. A missing
    caption counts as empty.

    Args:
        records: SampleRecords, or mappings with at least path, dataset, caption, loss. The last caption of an item is
            the caption in the last record of its highest step.
        config: the settings of the rules, as a `CaptionConfig` or a mapping of its fields; the defaults when None.
        top_n: the largest number of captions to list; 0 or more.
        rules: your own rules, in addition to the rules of the configuration.

    Raises:
        ConfigError: ``config`` or ``top_n`` is invalid.
        ValueError: a record lacks a required key, or a figure is not a number.
        TypeError: a record is neither a SampleRecord nor a mapping.

    Example:
        >>> result = flag_bad_captions([
        ...     {"path": "1.png", "dataset": "fruit", "caption": "a banana on a plate", "loss": 0.2},
        ...     {"path": "2.png", "dataset": "fruit", "caption": "nan", "loss": 0.9},
        ... ])
        >>> [(f.path, f.reasons, f.severity) for f in result.flagged], result.summary
        ([('2.png', ['empty'], 'error')], {'empty': 1})
    """
    top_n = _check_top_n(top_n)
    from loss_logging.records.columns import table_from_records  # imports Arrow, which a configuration must not load
    from loss_logging.statistics.items import suspects

    given = config if isinstance(config, CaptionConfig) else CaptionConfig.from_dict(config or {})
    checker = DatasetChecker(given, rules=rules)
    table = table_from_records(records)
    items = _items(table)
    for (dataset, path), item in sorted(items.items()):
        checker.add(path, dataset, item.caption, same_image(path))
    checked = checker.finish()
    suspect = suspects(table) if checked.flagged and top_n else set()

    def order(flagged: FlaggedCaption) -> tuple[Any, ...]:
        return flagged_order(flagged, (flagged.dataset, flagged.path) in suspect)

    flagged = (msgspec.structs.replace(one, loss=items[one.dataset, one.path].loss) for one in checked.flagged)
    return FlaggedCaptions(nsmallest(top_n, flagged, key=order), checked.summary)


class _Item(msgspec.Struct):
    """The last caption of an item, its step, and the highest finite loss with it."""

    caption: str
    step: int
    loss: float | None


def _items(table: pa.Table) -> dict[tuple[str, str], _Item]:
    """Items by dataset and path, without regularisation images and dropped captions."""
    columns = table.select(["path", "dataset", "caption", "loss", "step", "is_reg", "caption_dropped"])
    items: dict[tuple[str, str], _Item] = {}
    for batch in columns.to_batches(max_chunksize=_CHUNK):
        for *row, is_reg, dropped in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if is_reg or dropped:
                continue
            path, dataset, caption, loss, step = row
            loss = loss if loss is not None and math.isfinite(loss) else None
            item = items.get((dataset, path))
            if item is None or (step >= item.step and caption != item.caption):
                items[dataset, path] = _Item(caption, step, loss)
            elif caption == item.caption:
                item.step = max(step, item.step)
                item.loss = max((known for known in (loss, item.loss) if known is not None), default=None)
    return items


def _check_top_n(top_n: object) -> int:
    try:
        number = -1 if isinstance(top_n, bool) else operator.index(top_n)  # type: ignore[arg-type]
    except TypeError:
        number = -1
    if number < 0:
        raise ConfigError(f"top_n is {top_n!r}; allowed: a whole number of captions, 0 or more")
    return number
