from __future__ import annotations

import pytest

from loss_logging.captions.comparison import CaptionComparison
from loss_logging.captions.config import CaptionConfig, CaptionRules

LONG = "a brown dog jumps over the low wall of the garden"


def compared(config: CaptionConfig, *captions: str, gone: tuple[int, ...] = ()) -> list[tuple[int | str, str, str]]:
    comparison = CaptionComparison(config)
    for i, caption in enumerate(captions):
        item = (f"{i}.png", "d", caption)
        comparison.add(comparison.keep(*item), item, "prose")
    return [(where, reason.rule, reason.severity) for where, reason in comparison.found({"d": "prose"}, gone)]


def test_what_was_kept_comes_back() -> None:
    """Path, dataset and caption of a number are those that were kept, also with half a surrogate pair."""
    comparison = CaptionComparison(CaptionConfig())
    items = [("1.png", "cats", "a cat"), ("2.png", "dogs", "\ud83d dog"), ("3.png", "cats", "")]
    assert [comparison.keep(*item) for item in items] == [0, 1, 2]
    assert [comparison.kept(number) for number in range(len(comparison))] == items


def test_reasons_are_given_again_as_captions_come() -> None:
    """What is found may be asked for at any time, and grows with what is added."""
    comparison = CaptionComparison(CaptionConfig())
    for i, number in ((0, 0), (1, 2)):
        item = (f"{i}.png", "d", LONG)
        comparison.add(comparison.keep(*item), item, "prose")
        assert len(list(comparison.found({"d": "prose"}))) == number


def test_captions_that_were_replaced_are_not_compared() -> None:
    """Of two that are the same, one that is gone leaves the other alone."""
    assert {rule for _, rule, _ in compared(CaptionConfig(), LONG, LONG)} == {"duplicate"}
    assert compared(CaptionConfig(), LONG, LONG, gone=(0,)) == []


def test_rules_are_left_out_and_made_graver() -> None:
    """disabled takes a rule out, severities decide how grave its reasons are; no rule is said to be none."""
    config = CaptionConfig(rules=CaptionRules(severities={"duplicate": "error"}))
    assert compared(config, LONG, LONG) == [(0, "duplicate", "error"), (1, "duplicate", "error")]
    off = CaptionConfig(rules=CaptionRules(disabled=("duplicate",)))
    assert compared(off, LONG, LONG) == []
    every = ("conflict", "duplicate", "near_duplicate", "common_token", "language")
    assert CaptionComparison(off).has_rules
    assert not CaptionComparison(CaptionConfig(rules=CaptionRules(disabled=every))).has_rules


def test_a_rule_without_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left out with a warning, and the others compare."""
    monkeypatch.setattr("loss_logging.support.extras.find_spec", lambda name: None)
    comparison = CaptionComparison(CaptionConfig())
    assert [warning.split(" needs ")[0] for warning in comparison.warnings] == ["the rule language"]
    assert comparison.has_rules
