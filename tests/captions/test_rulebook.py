from __future__ import annotations

import pytest
from captions.examples import BAD
from captions.read import read

from loss_logging.captions.rulebook import DATASET_RULES, RULES


@pytest.mark.parametrize("name", RULES)
def test_a_rule_answers_under_its_own_name(name: str) -> None:
    """What a rule of the book objects to is counted by trackers under the name that the book has for it."""
    found = {reason.rule for caption, _ in BAD if (reason := RULES[name](read(caption))) is not None}
    assert found <= {name}
    assert found or name in ("trigger", "short", "truncated")


def test_rules_that_compare_are_made_anew() -> None:
    """Two datasets share nothing that a rule has seen."""
    for rule in DATASET_RULES.values():
        assert rule() is not rule()
