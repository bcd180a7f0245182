from __future__ import annotations

import pytest
from captions.corpus import CORPUS
from captions.corpus.datasets import DATASETS, results
from captions.corpus.held_out import HELD_OUT
from captions.corpus.measure import measure

from loss_logging.captions.checker import CaptionChecker
from loss_logging.captions.dataset_checker import DatasetChecker
from loss_logging.captions.names import RULE_NAMES

MEASURED = measure()


def test_the_corpus_is_large_and_varied() -> None:
    """At least 600 captions, good and bad, in many languages, and something to find for each rule."""
    assert len(CORPUS) >= 600
    assert len({case.language for case in CORPUS}) >= 20
    assert sum(not case.rules for case in CORPUS) >= 250
    assert MEASURED.keys() == set(RULE_NAMES)
    assert min(len(one.right) + len(one.missed) for one in MEASURED.values()) >= 3
    assert len(DATASETS) >= 30


@pytest.mark.parametrize("rule", RULE_NAMES)
def test_precision_and_recall(rule: str) -> None:
    """At the severity of a warning and above, precision is at least 0.98 and recall at least 0.95."""
    assert MEASURED[rule].precision >= 0.98, MEASURED[rule].wrong
    assert MEASURED[rule].recall >= 0.95, MEASURED[rule].missed


def test_ordinary_captions_are_left_alone() -> None:
    """Of captions that no rule was written with, fewer than one in two hundred is flagged at a warning or above."""
    flagged: list[str] = []
    for language, captions in HELD_OUT.items():
        checker = DatasetChecker()
        for i, caption in enumerate(captions):
            checker.add(str(i), language, caption)
        checked = checker.finish()
        flagged += [one.caption for one in checked.flagged if one.severity != "info"]
        assert checked.datasets[language].profile == "prose"
    assert len(HELD_OUT) >= 15
    assert len(flagged) < 0.005 * sum(map(len, HELD_OUT.values())), flagged


def test_every_reason_tells_what_to_do() -> None:
    """Messages are sentences of a bearable length, and spans mark something."""
    reasons = [
        (case.caption, reason)
        for case in CORPUS
        for reason in getattr(CaptionChecker().check(case.caption, "corpus"), "reasons", ())
    ]
    reasons += [(one.caption, reason) for result in results() for one in result.flagged for reason in one.details]
    for caption, reason in reasons:
        assert reason.message.endswith(".")
        assert 20 < len(reason.message) < 300
        assert reason.span is None or caption[slice(*reason.span)]
