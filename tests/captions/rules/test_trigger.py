from __future__ import annotations

import pytest
from captions.read import read

from loss_logging.captions.checker import CaptionChecker
from loss_logging.captions.config import CaptionConfig, CaptionRules
from loss_logging.captions.rules.trigger import trigger


@pytest.mark.parametrize(
    ("caption", "severity"),
    [
        ("ohwx man in a park", None),
        ("a photo of ohwx man in a park", None),
        ("OHWX man in a park", "info"),
        ("a man in a park", "warning"),
        ("ohxw man in a park", "warning"),
        ("ohwxman in a park", "warning"),
        ("ohwx_man in a park", "warning"),
        ("a very long walk through a very long park with many trees and benches " * 6 + "ohwx man", "warning"),
        ("1boy, ohwx man, park, tree", "info"),
        ("ohwx man, 1boy, park, tree", None),
    ],
)
def test_the_trigger(caption: str, severity: str | None) -> None:
    """Missing, misspelt, in another case, behind what is read, or not the first tag."""
    config = CaptionConfig(triggers={"me": "ohwx man"}, rules=CaptionRules(disabled=("repeated", "truncated")))
    verdict = CaptionChecker(config).check(caption, "me")
    assert (verdict and verdict.severity) == severity
    assert verdict is None or verdict.rules == ["trigger"]
    assert CaptionChecker(config).check("a man in a park", "other") is None


def test_the_misspelling_is_marked() -> None:
    """The span is that of the words that are nearly the trigger."""
    text = "a photo of ohwx mna in a park"
    reason = trigger(read(text, CaptionConfig(default_trigger="ohwx man")))
    assert reason is not None
    assert reason.span is not None
    assert text[slice(*reason.span)] == "ohwx mna"


def test_a_trigger_of_another_script_needs_no_blanks() -> None:
    """Where a script has no spaces, the trigger is found within a sentence."""
    assert trigger(read("一只猫咪在雪地里", CaptionConfig(default_trigger="猫咪"))) is None
    assert trigger(read("一只狗在雪地里", CaptionConfig(default_trigger="猫咪"))) is not None
