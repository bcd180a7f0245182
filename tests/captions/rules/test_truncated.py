from __future__ import annotations

import msgspec
from captions.read import read

from loss_logging.captions.checker import CaptionChecker
from loss_logging.captions.config import CaptionConfig, CaptionReading
from loss_logging.captions.reason import Reason
from loss_logging.captions.rules.truncated import truncated as rule

LONG = "a red fox walks through deep snow under tall pines while two crows watch from a fallen log, " * 6


def truncated(config: dict[str, str]) -> Reason | None:
    """What the rule says about `LONG`."""
    verdict = CaptionChecker(msgspec.convert(config, CaptionConfig)).check(LONG, "d")
    return next((reason for reason in verdict.reasons if reason.rule == "truncated"), None) if verdict else None


def test_the_lost_words_are_shown() -> None:
    """A warning where the model is known, an info where it is not, and nothing where everything is read."""
    reason, assumed, read = (truncated(config) for config in ({"model": "sdxl"}, {}, {"model": "flux"}))
    assert reason is not None
    assert reason.severity == "warning"
    assert reason.span is not None
    assert LONG[slice(*reason.span)].split()[0] in reason.message
    assert assumed is not None
    assert assumed.severity == "info"
    assert read is None


def test_only_the_first_line_is_read() -> None:
    """Where the trainer reads one line, the others are lost."""
    verdict = CaptionChecker(CaptionConfig(reading=CaptionReading(first_line_only=True))).check(
        "a cat on a sofa\nin the morning sun", "d"
    )
    assert verdict is not None
    assert (verdict.rules, verdict.severity) == (["truncated"], "warning")


def test_the_more_is_lost_the_higher_the_score() -> None:
    """The share of the caption that the model does not read decides."""
    config = CaptionConfig(reading=CaptionReading(max_tokens=10), model="sdxl")
    scores = [reason.score for n in (2, 4, 8) if (reason := rule(read("a red cat on a sofa " * n, config))) is not None]
    assert len(scores) == 3
    assert scores == sorted(set(scores))
