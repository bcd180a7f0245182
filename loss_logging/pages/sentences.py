"""Figures in plain sentences."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from loss_logging.reports.report import LossReport, WorstItem

__all__ = ["caption_sentence", "file_name", "odd_sentence", "told_apart"]


def caption_sentence(item: WorstItem, tries: tuple[int, int] | None = None) -> str:
    """A sentence on the effect of the caption on the loss.

    Args:
        item: an item of the ranking by caption_mismatch.
        tries: the number of pairs with a higher loss with the caption, and the number of all pairs; None if unknown.

    Example:
        >>> item = WorstItem("cats", "1.png", "a cat", 1 / 3, 17, 0.5, 0.05)
        >>> print(caption_sentence(item, (15, 17)))
        With its caption the loss is 40% higher than with none; seen in 15 of 17 tries.
    """
    better = (
        f" Its picture fits “{item.better_word}” better than “{item.word}”." if item.word and item.better_word else ""
    )
    better += " It was corrected: records of before, where this run has any, still count." * (
        item.decision == "caption"
    )
    if item.score is None:
        return f"Its picture contradicts its caption; no loss without it is known yet.{better}"
    how = f"With its caption the loss is {_changed(item.score)} than with none"
    seen = f"; seen in {tries[0]:,} of {tries[1]:,} tries." if tries else f", on average of {item.count:,} tries."
    return how + seen + better


def _changed(mismatch: float) -> str:
    """The difference relative to the mean of both, as a ratio of one to the other.

    >>> _changed(-1 / 3), _changed(1.5), _changed(2.0)
    ('29% lower', '7.0 times higher', 'many times higher')
    """
    if mismatch >= 2:
        return "many times higher"
    ratio = (2 + mismatch) / (2 - mismatch)
    if ratio >= 3:
        return f"{ratio:.1f} times higher"
    return f"{abs(ratio - 1):.0%} {'higher' if ratio >= 1 else 'lower'}"


def odd_sentence(item: WorstItem, report: LossReport, *, stands_out: bool) -> str:
    """A sentence that compares the loss of an item with others of the same timestep."""
    dataset = report.datasets.get(item.dataset)
    mean = dataset.summary.mean if dataset else None
    how = "is far above" if stands_out else "is above" if (item.score or 0.0) > 0 else "is not above"
    text = f"Its loss {how} others of the same timestep"
    if item.average_loss is None or mean is None:
        return f"{text}."
    return f"{text}: {item.average_loss:.3g} on average, {mean:.3g} in its dataset."


def file_name(path: str) -> str:
    """The last part of a path.

    >>> file_name("a/b\\\\c.png"), file_name("a/")
    ('c.png', 'a/')
    """
    return re.split(r"[/\\]", path)[-1] or path


def told_apart(paths: Sequence[str]) -> list[str]:
    """The paths without their common folder.

    >>> told_apart(["a/b/1.png", "a/c/1.png"]), told_apart(["a/b/1.png"])
    (['b/1.png', 'c/1.png'], ['1.png'])
    """
    common = os.path.commonprefix(list(paths))  # noqa: RUF071 it is cut at a slash
    folder = max(common.rfind("/"), common.rfind("\\")) + 1
    return [path[folder:] or path for path in paths]
