"""loss_logging/captions/names.py"""

from __future__ import annotations

from loss_logging.captions.names import RULE_NAMES
from loss_logging.captions.rulebook import DATASET_RULES, RULES


def test_the_names_are_those_of_the_rulebook() -> None:
    """A configuration knows exactly the rules that there are, in the order in which they are tried."""
    assert (*RULES, *DATASET_RULES) == RULE_NAMES
