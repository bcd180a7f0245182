from __future__ import annotations

import time
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.captions import RULES, SEVERITIES, CaptionChecker, CaptionConfig, Verdict
from loss_logging.report import Reason

from .examples import BAD, GOOD

ANY_TEXT = st.text(st.characters()) | st.text(st.sampled_from("a猫ก,. \n<|>[]#\\ud8\ud800\ufffd\x00"), max_size=300)


@pytest.mark.parametrize("caption", GOOD)
def test_good_captions_are_left_alone(caption: str) -> None:
    """Photo captions, tag lists, titles and trigger words in many languages are never a warning or an error."""
    verdict = CaptionChecker().check(caption, "any")
    assert verdict is None or verdict.severity == "info"


@pytest.mark.parametrize("caption", [caption for caption in GOOD if len(caption) > 24])
def test_whole_sentences_and_lists_are_not_even_an_info(caption: str) -> None:
    """Only captions of one or two words are mentioned at all, and those over the tokens that CLIP reads."""
    verdict = CaptionChecker().check(caption, "any")
    assert verdict is None or verdict.rules == ["truncated"]


@pytest.mark.parametrize(("caption", "rule"), BAD)
def test_bad_captions_are_found(caption: str, rule: str) -> None:
    """Each is at least a warning, by the rule that a curator would name."""
    verdict = CaptionChecker().check(caption, "any")
    assert verdict is not None
    assert rule in verdict.rules
    assert verdict.severity in ("warning", "error")


def test_an_empty_caption_has_one_reason() -> None:
    """Nobody needs to be told that an empty caption is short, too."""
    assert [reason.rule for reason in (CaptionChecker().check("nan", "any") or Verdict(())).reasons] == ["empty"]


@pytest.mark.parametrize("rule", RULES)
def test_a_disabled_rule_says_nothing(rule: str) -> None:
    """disabled_rules takes a rule out, and only that one."""
    checker = CaptionChecker(CaptionConfig(disabled_rules=(rule,), triggers={"trained": "ohwx"}))
    found = {
        name
        for caption, _ in [*BAD, ("sks", "short")]
        for dataset in ("any", "trained")
        if (v := checker.check(caption, dataset))
        for name in v.rules
    }
    assert found == set(RULES) - {rule}


def test_the_profile_of_the_dataset_is_used() -> None:
    """The same caption is judged by what its dataset is declared to be."""
    checker = CaptionChecker(CaptionConfig(profiles={"portraits": "instance", "photos": "prose"}))
    assert checker.check("sks", "portraits") is None
    assert [v and v.severity for v in (checker.check("sks", "photos"), checker.check("sks", "other"))] == [
        "warning",
        "info",
    ]


def test_a_verdict_combines_its_reasons() -> None:
    """The severity is the gravest, the score 1 - (1 - 0.5)(1 - 0.2) = 0.6."""
    verdict = Verdict((Reason("long", "warning", 0.5, "Shorten it."), Reason("short", "info", 0.2, "Write more.")))
    assert (verdict.severity, verdict.rules) == ("warning", ["long", "short"])
    assert verdict.score == pytest.approx(0.6)


@given(ANY_TEXT, st.sampled_from(["auto", "prose", "tags", "instance"]))
def test_any_text_gets_a_verdict_that_can_be_written(caption: str, profile: str) -> None:
    """No text raises; scores are in (0, 1], spans lie in the caption, and messages are JSON."""
    config = msgspec.convert({"default_profile": profile}, CaptionConfig)
    if (verdict := CaptionChecker(config).check(caption, "any")) is None:
        return
    assert verdict.reasons
    assert 0 < verdict.score <= 1
    assert verdict.severity == max((r.severity for r in verdict.reasons), key=SEVERITIES.index)
    for reason in verdict.reasons:
        assert 0 < reason.score <= 1
        assert reason.rule in RULES
        assert reason.span is None or 0 <= reason.span[0] < reason.span[1] <= len(caption)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict


@given(ANY_TEXT)
def test_a_verdict_depends_on_the_caption_alone(caption: str) -> None:
    """Checking twice, or with another checker, says the same."""
    checker = CaptionChecker()
    assert checker.check(caption, "any") == checker.check(caption, "any") == CaptionChecker().check(caption, "other")


HUGE = {
    "one word": "a" * 1_000_000,
    "words": "a " * 500_000,
    "runs that stop short": "ab ab ab x " * 91_000,
    "letter runs that stop short": "aaaaaaaaaaab" * 83_000,
    "blank": " " * 1_000_000,
    "word and blank": "a" + " " * 999_999,
    "opened tokens": "<" * 1_000_000,
    "opened long tokens": ("<|" + "a" * 40) * 24_000,
    "escapes": "\\u" * 500_000,
    "headings": "##a" * 333_000,
    "lost": "\ufffd" * 1_000_000,
    "tags": "a," * 500_000,
    "sentences": "a b c d. " * 111_000,
    "chinese": "猫坐" * 500_000,
    "mixed": "猫a " * 333_000,
    "thai": "แมว" * 333_000,
    "case": "İ" * 1_000_000,
}


@pytest.mark.parametrize("caption", HUGE.values(), ids=HUGE)
def test_a_megabyte_takes_no_longer_than_a_blink(caption: str) -> None:
    """A caption of 1 MB, however awkward, is judged in 50 ms of processor time and in little memory."""
    checker = CaptionChecker()
    times = []
    for _ in range(3):
        start = time.process_time()
        verdict = checker.check(caption, "any")
        times.append(time.process_time() - start)
    assert verdict is not None
    assert verdict.severity == "error"
    assert min(times) < 0.05


def test_memory_does_not_grow_with_the_captions_seen() -> None:
    """A checker keeps nothing about the captions that it has checked."""
    checker = CaptionChecker()

    def run(start: int) -> None:
        for i in range(start, start + 2_000):
            checker.check(f"caption number {i} " * (1 + i % 5), f"dataset {i % 7}")

    run(0)
    tracemalloc.start()
    try:
        run(2_000)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 50_000
