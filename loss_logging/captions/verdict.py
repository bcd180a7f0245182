"""Verdict: the reasons against a caption, and the order in which flagged captions are shown."""

from __future__ import annotations

import math
from math import prod

import msgspec

from loss_logging.captions.ignore import Accepted
from loss_logging.captions.reason import SEVERITIES, FlaggedCaption, Reason, Severity

__all__ = ["Verdict", "flagged_caption", "flagged_order", "without_accepted"]


class Verdict(msgspec.Struct, frozen=True):
    """The reasons against a caption, at least one."""

    reasons: tuple[Reason, ...]

    @property
    def rules(self) -> list[str]:
        """The names of the rules that object."""
        return [reason.rule for reason in self.reasons]

    @property
    def score(self) -> float:
        """The combined score, in (0, 1]: ``1 - prod(1 - score)`` over the reasons (noisy-or)."""
        return 1 - prod(1 - reason.score for reason in self.reasons)

    @property
    def severity(self) -> Severity:
        """The highest severity of the reasons."""
        return max((reason.severity for reason in self.reasons), key=SEVERITIES.index)


def without_accepted(verdict: Verdict, path: str, caption: str, accepted: Accepted) -> Verdict | None:
    """The verdict without the reasons that a person accepted, or None if none is left."""
    kept = tuple(reason for reason in verdict.reasons if not accepted.accepts(reason.rule, path, caption))
    return Verdict(kept) if kept else None


def flagged_caption(path: str, dataset: str, caption: str, loss: float | None, verdict: Verdict) -> FlaggedCaption:
    """The entry of a report for a caption with a verdict; a NaN or infinite loss becomes None."""
    return FlaggedCaption(
        path=path,
        dataset=dataset,
        caption=caption,
        loss=loss if loss is not None and math.isfinite(loss) else None,
        reasons=verdict.rules,
        score=verdict.score,
        severity=verdict.severity,
        details=list(verdict.reasons),
    )


def flagged_order(
    flagged: FlaggedCaption, suspect: bool = False
) -> tuple[int, bool, float, bool, float, str, str, str]:
    """Sort key: highest severity first; then items that are also ``suspect`` for their losses (a high ``hard`` or
    ``caption_mismatch``); then highest score, highest loss (a missing loss last), and name."""
    loss = flagged.loss
    return (
        -SEVERITIES.index(flagged.severity),
        not suspect,
        -flagged.score,
        loss is None,
        0.0 if loss is None else -loss,
        flagged.path,
        flagged.dataset,
        flagged.caption,
    )
