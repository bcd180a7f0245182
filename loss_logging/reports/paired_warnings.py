"""Warnings about the ranking by caption_mismatch."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from loss_logging.reports.report import PairedItems

__all__ = ["paired_warnings"]

_MEMORISED_ITEMS, _MEMORISED_SHARE = 100, 0.02
_MEMORISED_MEDIAN = -2 / 7  # a loss that is a quarter lower than without the caption
"""In benchmarks.detection, runs with an AUROC below 0.9 had 0.3% to 0.8% of the items above zero and a median of -0.41;
other runs had 3% and more, or a median of -0.25 and higher."""
_DISTINCT_SHARE = 0.5
"""The lowest number of different captions per item; in the benchmark, captions were nearly unique."""


def paired_warnings(
    paired: Mapping[str, PairedItems], distinct: Mapping[str, int], *, judged: bool = False
) -> list[str]:
    """Sentences about datasets without a decided item, and about datasets that the model may have memorised.

    Args:
        paired: figures of the paired items by dataset.
        distinct: number of different captions by dataset.
        judged: whether there is a verdict on any caption: pictures give it without 4 pairs.
    """
    return [*([] if judged else _undecided(paired.values())), *_memorised(paired, distinct)]


def _undecided(paired: Collection[PairedItems]) -> list[str]:
    """A sentence, if an empty ranking could suggest that all captions are fine."""
    undecided = sum(dataset.undecided for dataset in paired)
    if not undecided or any(dataset.decided for dataset in paired):
        return []
    return [
        f"caption_mismatch is undecided for all items: {undecided} have paired records, but none the 4 that it takes; "
        "train on, raise paired_fraction, or evaluate with draws=4 or more"
    ]


def _memorised(paired: Mapping[str, PairedItems], distinct: Mapping[str, int]) -> list[str]:
    """A sentence, if captions help nearly every item a lot. Wrong captions do so, too, once a model identifies images
    by them. That needs captions that differ between images: a shared caption is learnt as a common property."""
    return [
        f"the captions of {name} lower the loss of all but {dataset.above_zero} of {dataset.decided} items, by a "
        f"median of {_lowered(dataset.median):.0%}. A model that has memorised images gives such figures; "
        "then wrong captions help too, and caption_mismatch misses them: compare with an earlier save step"
        for name, dataset in paired.items()
        if dataset.decided >= _MEMORISED_ITEMS
        and distinct.get(name, 0) >= _DISTINCT_SHARE * (dataset.decided + dataset.undecided + dataset.unpaired)
        and dataset.above_zero < _MEMORISED_SHARE * dataset.decided
        and dataset.median is not None
        and dataset.median < _MEMORISED_MEDIAN
    ]


def _lowered(mismatch: float) -> float:
    """The relative reduction of the loss without caption, from the difference relative to the mean of both losses."""
    return -2 * mismatch / (2 - mismatch)
