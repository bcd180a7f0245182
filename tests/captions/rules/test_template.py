from __future__ import annotations

import pytest
from captions.read import read

from loss_logging.captions.checker import CaptionChecker
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.rules.template import template


@pytest.mark.parametrize(
    ("caption", "syntax"),
    [
        ("a (red cat:1.2) in snow", "weights"),
        ("a {red|blue} cat in snow", "choices"),
        ("a __color__ cat in snow", "wildcards"),
        ("a cat in snow <lora:cat:1>", "networks"),
        ("[trigger] in the snow", "trigger"),
        ("[name] in the snow", "names"),
    ],
)
def test_what_the_trainer_resolves_is_no_left_over(caption: str, syntax: str) -> None:
    """syntax takes each kind of placeholder out."""
    verdict = CaptionChecker().check(caption, "any")
    assert verdict is not None
    assert verdict.rules == ["template"]
    assert CaptionChecker(CaptionConfig.from_dict({"reading": {"syntax": [syntax]}})).check(caption, "any") is None


@pytest.mark.parametrize(
    ("text", "found", "severity"),
    [
        ("a photo of [name] in snow", "[name]", "error"),
        ("a __color/warm__ cat", "__color/warm__", "error"),
        ("a {{ animal }} in snow", "{{ animal }}", "error"),
        ("[insert description here]", "[insert description here]", "error"),
        ("a (red cat:1.3) in snow", "(red cat:1.3)", "warning"),
        ("sks, dog ||| park, day", "|||", "info"),
    ],
)
def test_what_nobody_filled_in_is_marked(text: str, found: str, severity: str) -> None:
    """Each kind of placeholder is found where it stands, as grave as what training on it does."""
    reason = template(read(text))
    assert reason is not None
    assert reason.span is not None
    assert (text[slice(*reason.span)], reason.severity) == (found, severity)


@pytest.mark.parametrize(
    "text", ["saber (fate), @__@, :{", "a ratio of (16:9)", '{"subject": "a {b|c} cat"}', "[EXIT]"]
)
def test_what_looks_like_one_is_left_alone(text: str) -> None:
    """Tags, ratios, JSON captions and what a sign reads are no placeholders."""
    assert template(read(text)) is None
