"""What a reader must know before trusting the ranking by caption_mismatch."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from loss_logging.reports.report import PairedItems

__all__ = ["paired_warnings"]

_MEMORISED_ITEMS, _MEMORISED_SHARE = 100, 0.02
_MEMORISED_MEDIAN = -2 / 7  # a quarter less than without caption
"""Where AUROC fell below 0.9 in benchmarks.detection 0.3% to 0.8% of the items lay above zero and the median at -0.41;
elsewhere 3% and more, or -0.25 and higher."""
_DISTINCT_SHARE = 0.5
"""Different captions for each item, at least; the captions were nearly unique there."""


def paired_warnings(paired: Mapping[str, PairedItems], distinct: Mapping[str, int]) -> list[str]:
    """Sentences about the paired items of each dataset: none is decided, or the model may know them by heart.

    Args:
        paired: by dataset.
        distinct: how many different captions each dataset has.
    """
    return [*_undecided(paired.values()), *_memorised(paired, distinct)]


def _undecided(paired: Collection[PairedItems]) -> list[str]:
    """A sentence, where an empty ranking would look as if every caption were fine."""
    undecided = sum(dataset.undecided for dataset in paired)
    if not undecided or any(dataset.decided for dataset in paired):
        return []
    return [
        f"caption_mismatch is undecided for all items: {undecided} have paired records, but none the 4 that it takes; "
        "log loss_empty on more steps, or evaluate with draws=4 or more"
    ]


def _memorised(paired: Mapping[str, PairedItems], distinct: Mapping[str, int]) -> list[str]:
    """Where captions help nearly every item a lot: what wrong captions do too once a model tells images by them. That
    takes captions that tell images apart: what many items share is learnt as what they have in common."""
    return [
        f"the captions of {name} lower the loss of all but {dataset.above_zero} of {dataset.decided} items, by a "
        f"median of {_lowered(dataset.median):.0%}. A model that has learnt images by heart looks like this; "
        "then wrong captions help too, and caption_mismatch misses them: compare with an earlier save step"
        for name, dataset in paired.items()
        if dataset.decided >= _MEMORISED_ITEMS
        and distinct.get(name, 0) >= _DISTINCT_SHARE * (dataset.decided + dataset.undecided + dataset.unpaired)
        and dataset.above_zero < _MEMORISED_SHARE * dataset.decided
        and dataset.median is not None
        and dataset.median < _MEMORISED_MEDIAN
    ]


def _lowered(mismatch: float) -> float:
    """By which share of it a loss without caption is lowered, for the difference relative to the mean of both."""
    return -2 * mismatch / (2 - mismatch)
