"""CaptionChecker: applies every rule to a caption."""

from __future__ import annotations

from math import prod

import msgspec

from loss_logging.captions.caption import Caption
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.rules import RULES
from loss_logging.report import Reason, Severity

__all__ = ["SEVERITIES", "CaptionChecker", "Verdict"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")
"""From mild to grave."""


class Verdict(msgspec.Struct, frozen=True):
    """Why a caption is bad; there is at least one reason."""

    reasons: tuple[Reason, ...]

    @property
    def rules(self) -> list[str]:
        """The names of the rules that object."""
        return [reason.rule for reason in self.reasons]

    @property
    def score(self) -> float:
        """How sure the rules are together, in (0, 1]: ``1 - prod(1 - score)`` over the reasons (noisy-or)."""
        return 1 - prod(1 - reason.score for reason in self.reasons)

    @property
    def severity(self) -> Severity:
        """The gravest severity of the reasons."""
        return max((reason.severity for reason in self.reasons), key=SEVERITIES.index)


class CaptionChecker:
    """Checks captions one at a time; holds no state beyond its configuration.

    Args:
        config: what counts as bad; the defaults when None.

    Example:
        >>> check = CaptionChecker().check
        >>> check("a red panda eats bamboo in the snow", "animals") is None
        True
        >>> check("a red panda <unk> bamboo", "animals").rules
        ['suspicious']
        >>> check("nan", "animals").severity
        'error'
    """

    def __init__(self, config: CaptionConfig | None = None) -> None:
        self.config = config or CaptionConfig()
        self._rules = [rule for name, rule in RULES.items() if name not in self.config.disabled_rules]

    def check(self, caption: str, dataset: str) -> Verdict | None:
        """The verdict on a caption of a dataset, or None when no rule objects.

        Takes time proportional to the length of the caption, up to `READ_LIMIT` characters.
        """
        seen = Caption.read(caption, self.config.profile(dataset), self.config)
        reasons: list[Reason] = []
        for rule in self._rules:
            if reason := rule(seen):
                reasons.append(reason)
                if reason.rule == "empty":  # nothing is left that another rule could judge
                    break
        return Verdict(tuple(reasons)) if reasons else None
