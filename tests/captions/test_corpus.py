from __future__ import annotations

from collections import Counter

import pytest

from loss_logging.captions import RULES, CaptionChecker

from .corpus import CORPUS

FOUND = {
    case: {reason.rule for reason in verdict.reasons if reason.severity != "info"}
    for case in CORPUS
    if (verdict := CaptionChecker().check(case.caption, "corpus"))
}


def test_the_corpus_is_large_and_varied() -> None:
    """At least 600 captions, good and bad, in many languages, and at least five bad ones for each rule."""
    assert len(CORPUS) >= 600
    assert len({case.language for case in CORPUS}) >= 20
    assert sum(not case.rules for case in CORPUS) >= 250
    assert min(Counter(rule for case in CORPUS for rule in case.rules).values()) >= 5


@pytest.mark.parametrize("rule", sorted({rule for case in CORPUS for rule in case.rules}))
def test_precision_and_recall(rule: str) -> None:
    """At the severity of a warning and above, precision is at least 0.98 and recall at least 0.95."""
    assert rule in RULES
    right = sum(rule in case.rules and rule in FOUND.get(case, ()) for case in CORPUS)
    wrong = [case for case in CORPUS if rule not in case.rules and rule in FOUND.get(case, ())]
    missed = [case for case in CORPUS if rule in case.rules and rule not in FOUND.get(case, ())]
    assert right / (right + len(wrong)) >= 0.98, wrong
    assert right / (right + len(missed)) >= 0.95, missed


def test_every_reason_tells_what_to_do() -> None:
    """Messages are sentences of a bearable length, and spans mark something."""
    for case in CORPUS:
        for reason in getattr(CaptionChecker().check(case.caption, "corpus"), "reasons", ()):
            assert reason.message.endswith(".")
            assert 20 < len(reason.message) < 300
            assert reason.span is None or case.caption[slice(*reason.span)]
