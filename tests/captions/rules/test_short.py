from __future__ import annotations

import pytest
from captions.read import read

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.rules.short import short


def test_one_or_two_words_are_only_worth_an_info_where_nothing_is_declared() -> None:
    """They may be an instance prompt or a title; the message says how to declare that."""
    reason = short(read("sks dog"))
    assert reason is not None
    assert (reason.rule, reason.severity) == ("short", "info")
    assert "2 words" in reason.message
    assert "instance" in reason.message


def test_a_declared_profile_decides() -> None:
    """In prose few words are a warning; in a dataset of instance prompts they are what the user wants."""
    reason = short(read("sks dog", CaptionConfig(default_profile="prose")))
    assert reason is not None
    assert reason.severity == "warning"
    assert short(read("sks dog", CaptionConfig(default_profile="instance"))) is None


def test_fewer_words_score_higher() -> None:
    """The further below min_words, the surer."""
    config = CaptionConfig(min_words=8)
    scores = [reason.score for n in range(3, 9) if (reason := short(read("word " * n, config)))]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("text", ["a black cat", "一只黑猫在睡觉", "파란 소파 고양이", "1girl, solo, smile"])
def test_enough_words_are_enough_in_every_script(text: str) -> None:
    """min_words is about words, not about white space."""
    assert short(read(text)) is None
