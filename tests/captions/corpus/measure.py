"""Precision and recall of every rule, on single captions and on small datasets."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from loss_logging.captions.checker import CaptionChecker

from . import CORPUS
from .datasets import DATASETS, found, results

__all__ = ["Measured", "measure"]


class Measured(NamedTuple):
    """What a rule found rightly, wrongly, and not at all: captions, or names of datasets."""

    right: list[str]
    wrong: list[str]
    missed: list[str]

    @property
    def precision(self) -> float:
        """The share of what it found that was right."""
        return len(self.right) / max(1, len(self.right) + len(self.wrong))

    @property
    def recall(self) -> float:
        """The share of what there was to find that it found."""
        return len(self.right) / max(1, len(self.right) + len(self.missed))


def measure() -> dict[str, Measured]:
    """Each rule on the whole corpus, at the severity of a warning and above."""
    measured: defaultdict[str, Measured] = defaultdict(lambda: Measured([], [], []))

    def compare(what: str, said: set[str], wanted: set[str]) -> None:
        for rules, place in ((said & wanted, 0), (said - wanted, 1), (wanted - said, 2)):
            for rule in rules:
                measured[rule][place].append(what)

    check = CaptionChecker().check
    for case in CORPUS:
        reasons = verdict.reasons if (verdict := check(case.caption, "corpus")) else ()
        compare(case.caption, {reason.rule for reason in reasons if reason.severity != "info"}, set(case.rules))
    for dataset, result in zip(DATASETS, results(), strict=True):
        said = found(dataset, result)
        places = [(str(i), item.caption, item.rules) for i, item in enumerate(dataset.items)]
        for where, caption, rules in [*places, ("", "as a whole", dataset.rules)]:
            compare(f"{dataset.name}: {caption}", {rule for place, rule in said if place == where}, set(rules))
    return dict(measured)
