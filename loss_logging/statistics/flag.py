"""flag_bad_captions: the bad captions among records, the worst first."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

import msgspec

from loss_logging.captions.across import Rule
from loss_logging.captions.checker import CaptionChecker
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.ignore import IgnoreList
from loss_logging.captions.reason import FlaggedCaption
from loss_logging.captions.verdict import flagged_caption, flagged_order, without_ignored
from loss_logging.errors import ConfigError
from loss_logging.records.record import RecordLike

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FlaggedCaptions", "flag_bad_captions"]

_VERDICTS_KEPT = 65_536  # training sees each caption once an epoch; beyond so many it is checked again
_CHUNK = 8_192  # rows that are Python objects at a time


class FlaggedCaptions(msgspec.Struct, frozen=True):
    """The worst captions, and how many records each rule objects to.

    Args:
        flagged: at most ``top_n``, in `flagged_order`; one for each item and caption, with the highest of its losses.
        summary: number of flagged records by rule, over all records; most frequent first. A record that several rules
            object to is counted by each.
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
    """Find empty, short, long, repetitive and damaged captions, refusals, left-over templates and more.

    They come in `flagged_order`: a flag on an item whose losses are odd, too, comes before others of its severity.

    Regularisation images (``is_reg``) and records whose caption was dropped (``caption_dropped``) are left out. A
    missing caption counts as empty.

    Args:
        records: SampleRecords, or mappings with at least path, dataset, caption, loss.
        config: what counts as bad, as a `CaptionConfig` or a mapping of its fields; the defaults when None.
        top_n: the most captions to list; 0 or more.
        rules: rules of your own, beside those of the configuration.

    Raises:
        ConfigError: ``config`` or ``top_n`` is impossible.
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
    from loss_logging.records.columns import table_from_records  # Arrow, which a configuration must not load
    from loss_logging.statistics.run import suspects

    config = _caption_config(config)
    ignore = IgnoreList(config.ignore)
    check = lru_cache(_VERDICTS_KEPT)(CaptionChecker(config, rules=rules).check)
    table = table_from_records(records)
    summary: Counter[str] = Counter()
    worst: dict[tuple[str, str, str], FlaggedCaption] = {}
    for path, dataset, caption, loss in _captioned(table):
        if (verdict := check(caption, dataset)) is None or (verdict := without_ignored(verdict, path, ignore)) is None:
            continue
        summary.update(verdict.rules)
        flagged = flagged_caption(path, dataset, caption, loss, verdict)
        item = (dataset, path, caption)
        if item not in worst or flagged_order(flagged) < flagged_order(worst[item]):
            worst[item] = flagged
    suspect = suspects(table) if worst and top_n else set()

    def order(flagged: FlaggedCaption) -> tuple[Any, ...]:
        return flagged_order(flagged, (flagged.dataset, flagged.path) in suspect)

    return FlaggedCaptions(nsmallest(top_n, worst.values(), key=order), dict(summary.most_common()))


def _captioned(table: pa.Table) -> Iterator[tuple[str, str, str, float]]:
    """Path, dataset, caption and loss of the records whose caption was meant to say something."""
    columns = table.select(["path", "dataset", "caption", "loss", "is_reg", "caption_dropped"])
    for batch in columns.to_batches(max_chunksize=_CHUNK):
        for *row, is_reg, dropped in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if not (is_reg or dropped):
                path, dataset, caption, loss = row
                yield path, dataset, caption, loss


def _caption_config(config: CaptionConfig | Mapping[str, Any] | None) -> CaptionConfig:
    if config is None or isinstance(config, CaptionConfig):
        return config or CaptionConfig()
    try:
        return msgspec.convert(config, CaptionConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"config: {error}") from error


def _check_top_n(top_n: object) -> int:
    try:
        number = -1 if isinstance(top_n, bool) else operator.index(top_n)  # type: ignore[arg-type]
    except TypeError:
        number = -1
    if number < 0:
        raise ConfigError(f"top_n is {top_n!r}; allowed: a whole number of captions, 0 or more")
    return number
