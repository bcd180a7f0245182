"""The findings of a save step on the first screen: captions, images and datasets to look at, and their certainty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from loss_logging.captions.reason import FlaggedCaption
from loss_logging.pages.item_counts import ERRORS, LEAST_ODD, ItemCounts
from loss_logging.reports.report import DECISIVE_PAIRS, LossReport, WorstItem

__all__ = ["Answer", "answers", "bin_of", "drags", "flags_answer", "is_odd"]

Bin: TypeAlias = Literal["likely", "look", ""]
"""Very likely wrong, worth a look, or no sign of it."""

_LEAST_DRAG = 0.02
_FEW_ITEMS = 30
_NAMED = 3


class Drag(msgspec.Struct, frozen=True):
    """The share by which the mean loss of a dataset exceeds that of all others, the standard error of the share, and
    whether it is beyond chance."""

    dataset: str
    share: float
    error: float
    beyond_chance: bool


class Answer(msgspec.Struct, frozen=True):
    """One finding of the first screen. ``tone`` is "error", "warning", "good", or "open" if nothing is known yet."""

    href: str
    title: str
    detail: str
    tone: str


def bin_of(item: WorstItem) -> Bin:
    """The bin of an item in the ranking by caption_mismatch: the report's verdict, or two standard errors."""
    verdict = getattr(item, "verdict", None)
    if verdict:
        words = str(verdict).lower()
        return "likely" if "likely" in words else "look" if words.startswith("look") else ""
    error = item.standard_error
    decided = item.count >= DECISIVE_PAIRS and error is not None
    return "look" if decided and (item.score or 0.0) > max(0.0, ERRORS * (error or 0.0)) else ""


def is_odd(item: WorstItem, counts: ItemCounts | None) -> bool:
    """Whether the loss of an item in the ranking by hard stands out, beyond chance and beyond its dataset."""
    score = item.score or 0.0
    sure = score - ERRORS * (item.std_z or 0.0) / max(1, item.count) ** 0.5
    return sure >= LEAST_ODD and not score <= (counts.floors.get(item.dataset, -np.inf) if counts else -np.inf)


def mean_figures(report: LossReport, counts: ItemCounts | None) -> dict[str, tuple[int, float, float]]:
    """Number, mean and variance of the items' mean losses by dataset. Without the items' figures, the mean and variance
    of the records are used with the number of items, which never claims more than is known."""
    if counts is not None and counts.averages:
        return counts.averages
    found = {}
    for name, dataset in report.datasets.items():
        summary, paired = dataset.summary, dataset.paired_items
        items = paired.decided + paired.undecided + paired.unpaired if paired is not None else 0
        n = min(summary.count - summary.non_finite, items or summary.count)
        if summary.mean is not None and summary.std is not None and n:
            found[name] = (n, summary.mean, summary.std**2)
    return found


def drags(report: LossReport, counts: ItemCounts | None) -> list[Drag]:
    """The relative distance of each dataset's mean loss from the mean of all others, highest first.

    The standard error is Welch's, over items, as the records of one item are not independent. A share is beyond chance
    if normal noise reaches it in at most one of forty runs, over all datasets together, and if it is at least 2%.
    """
    figures = _with_sound_variances(mean_figures(report, counts))
    total = sum(n for n, *_ in figures.values())
    loss = sum(n * mean for n, mean, _ in figures.values())
    error2 = sum(n * variance for n, _, variance in figures.values())  # of the sum of all items' means
    found = []
    for name, (n, mean, variance) in figures.items():
        rest = total - n
        others = (loss - n * mean) / rest if rest else 0.0
        if n < 2 or rest < 2 or others <= 0:
            continue
        error = (variance / n + max(0.0, error2 - n * variance) / rest**2) ** 0.5 / others
        share = mean / others - 1
        limit = NormalDist().inv_cdf(1 - 0.025 / len(figures))
        found.append(Drag(name, share, error, share >= _LEAST_DRAG and share > limit * error))
    return sorted(found, key=lambda drag: -drag.share)


def _with_sound_variances(figures: dict[str, tuple[int, float, float]]) -> dict[str, tuple[int, float, float]]:
    """The figures, with the pooled within-dataset variance for small datasets whose own variance is smaller. Among
    hundreds of small datasets, some have a small variance by chance."""
    freedom = sum(n - 1 for n, *_ in figures.values())
    within = sum((n - 1) * variance for n, _, variance in figures.values()) / freedom if freedom else 0.0
    return {
        name: (n, mean, max(variance, within) if n < _FEW_ITEMS else variance)
        for name, (n, mean, variance) in figures.items()
    }


def answers(report: LossReport, counts: ItemCounts | None) -> list[Answer]:
    """The findings of a save step, each with the place on the page that shows it."""
    return [
        *_caption_answers(report, counts),
        _odd_answer(report, counts),
        _flags_answer(report),
        *_drag_answers(report, counts),
    ]


def _caption_answers(report: LossReport, counts: ItemCounts | None) -> Iterator[Answer]:
    href = "#caption_mismatch"
    listed = [bin_of(item) for item in report.worst.caption_mismatch]
    likely = counts.likely if counts else listed.count("likely")
    look = counts.look if counts else listed.count("look")
    more = "" if counts or len(listed) > likely + look or not listed else "at least "
    decided = counts.decided if counts else len(listed)
    by_pictures = any(item.p_wrong is not None for item in report.worst.caption_mismatch)
    if not decided:
        yield Answer(href, "Captions not compared yet", _NOT_COMPARED, "open")
        return
    if likely:
        yield Answer(
            href, f"{more}{_n(likely, 'caption')} very likely wrong", "at most one in ten of these is right", "error"
        )
    if look:
        where = "other captions" if likely else _n(look, "caption").partition(" ")[2]
        title = f"{'' if likely else more}{look:,} {where if look > 1 or not likely else 'other caption'} to look at"
        yield Answer(href, title, _BY_PICTURES if by_pictures else _BY_LOSSES, "warning")
    if not likely and not look:
        yield Answer(href, "No caption stands out", f"of {_n(decided, 'caption')} that could be compared", "good")


_BY_LOSSES = "the loss with the caption is higher than without it, beyond chance"
_BY_PICTURES = "by their pictures and losses, together; a part of them is right"
_NOT_COMPARED = "this needs the loss with the empty caption (losses_empty) on some of the steps"


def _odd_answer(report: LossReport, counts: ItemCounts | None) -> Answer:
    listed = sum(is_odd(item, counts) for item in report.worst.hard)
    odd = counts.odd if counts else listed
    more = "at least " if counts is None and listed and listed == len(report.worst.hard) else ""
    if odd:
        return Answer(
            "#hard", f"{more}{_n(odd, 'odd image')}", "the loss is far above others of the same timestep", "warning"
        )
    if not report.worst.hard:
        return Answer("#hard", "Images not compared yet", "no item has a score so far", "open")
    return Answer("#hard", "No image stands out", "by its loss among others of the same timestep", "good")


def _flags_answer(report: LossReport) -> Answer:
    return flags_answer(report.flagged, report.flagged_summary, int(report.config.get("max_table_rows", 0) or 0))


def flags_answer(found: Sequence[FlaggedCaption], summary: Mapping[str, int], most: int = 0) -> Answer:
    """The number of captions that the rules object to. A list with ``most`` entries may be cut; 0 means a full list."""
    rules = sorted(summary.items(), key=lambda pair: -pair[1])
    exact = len(found) < most or not most
    flagged = len(found) if exact else max(len(found), *summary.values(), 0)
    if not rules:
        return Answer("#flagged", "No caption was flagged", "by the rules for captions", "good")
    detail = ", ".join(f"{n:,} {rule}" for rule, n in rules[:_NAMED]) + (" …" if len(rules) > _NAMED else "")
    tone = "error" if any(flag.severity == "error" for flag in found) else "warning"
    return Answer("#flagged", f"{'' if exact else 'at least '}{_n(flagged, 'caption')} flagged", detail, tone)


def _drag_answers(report: LossReport, counts: ItemCounts | None) -> Iterator[Answer]:
    every = drags(report, counts)
    found = [drag for drag in every if drag.beyond_chance]
    if not found:
        if len(every) > 1:
            yield Answer(
                "#datasets", "No dataset drags", "none has a higher loss than the others, beyond chance", "good"
            )
        return
    named = ", ".join(f"{_cut(drag.dataset)} {_share(drag)}" for drag in found[:_NAMED])
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    if len(found) == 1:
        yield Answer("#datasets", f"Dataset {_cut(found[0].dataset)} drags", f"loss {_share(found[0])}", "warning")
    else:
        yield Answer("#datasets", f"{len(found):,} datasets drag", f"loss: {named}{more}", "warning")


def _cut(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"


def _share(drag: Drag) -> str:
    """
    >>> _share(Drag("a", 0.0912, 0.0081, True)), _share(Drag("a", 0.5, 0.02, True))
    ('+9% ± 0.8%', '+50% ± 2%')
    """
    return f"{drag.share:+.0%} ± {100 * max(drag.error, 0.0005):.{0 if drag.error >= 0.01 else 1}f}%"


def _n(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
