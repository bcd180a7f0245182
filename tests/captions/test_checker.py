from __future__ import annotations

import itertools
import time
import tracemalloc
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import msgspec
import numpy as np
import pytest
from captions.examples import BAD, GOOD
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging.captions.caption import READ_LIMIT, Caption
from loss_logging.captions.checker import CaptionChecker
from loss_logging.captions.config import CaptionConfig, CaptionRules
from loss_logging.captions.dataset_checker import DatasetChecker
from loss_logging.captions.reason import SEVERITIES, Reason
from loss_logging.captions.rulebook import RULES
from loss_logging.captions.verdict import Verdict
from loss_logging.errors import ConfigError

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
    checker = CaptionChecker(CaptionConfig(rules=CaptionRules(disabled=(rule,)), triggers={"trained": "ohwx"}))
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


@given(
    st.lists(st.tuples(ANY_TEXT, st.sampled_from(["any", "trained"]), st.sampled_from([None, "prose", "tags"]))),
    st.integers(1, 3),
)
def test_captions_are_judged_together_as_by_themselves(captions: list[Any], together: int) -> None:
    """However many of them a rule sees in a row, empty ones among them, each has the verdict that it has alone."""
    checker = CaptionChecker(CaptionConfig(triggers={"trained": "ohwx"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loss_logging.captions.checker.TOGETHER", together)
        assert list(checker.check_all(captions)) == [checker.check(*one) for one in captions]


HUGE = {
    "10 MB": "a quiet street " * 700_000,
    "refusals that stop short": "sorry, I " * 110_000,
    "opened names": "[name " * 160_000,
    "opened braces": "{a|" * 330_000,
    "opened weights": "(a:" * 330_000,
    "closed weights": "(" + ")" * 19_900 + "x, a, b" + ", a" * 330_000,
    "wildcards that stop": "__a" * 330_000,
    "addresses that stop": "a@" * 500_000,
    "dots": "a." * 500_000,
    "slashes": "a/" * 500_000,
    "entities": "&amp" * 250_000,
    "links": "](" * 500_000,
    "stars": "**a" * 330_000,
    "quotes": '"' * 1_000_000,
    "invisible": "\u200b" * 1_000_000,
    "mojibake": "Ã©" * 500_000,
    "latin pairs": "éà" * 500_000,
    "cyrillic": "кот " * 250_000,
    "equal tags": "solo, " * 160_000,
    "camera": "IMG" * 330_000,
    "hex": "a0" * 500_000,
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


def growth(work: Callable[[str], object], *texts: str, turns: int = 5) -> list[float]:
    """How much more processor time each text takes than the one before it; the least of some turns counts."""
    costs: list[list[float]] = [[] for _ in texts]
    for _ in range(turns):
        for text, seen in zip(texts, costs, strict=True):
            begun = time.process_time()
            work(text)
            seen.append(time.process_time() - begun)
    return [min(after) / min(before) for before, after in itertools.pairwise(costs)]


LINEAR = 30
"""For a text that is 8 times as long: between the 8 of work that grows with the text, and the 64 of its square."""


@pytest.mark.parametrize("caption", HUGE.values(), ids=HUGE)
def test_time_grows_with_what_is_read_of_a_caption_and_no_further(caption: str) -> None:
    """However awkward it is, a caption costs time in step with its length, and past the limit no more at all."""
    checker = CaptionChecker()
    verdict = checker.check(caption, "any")
    assert verdict is not None
    assert verdict.severity == "error"
    texts = caption[: READ_LIMIT // 8], caption[:READ_LIMIT], caption[: len(caption) // 2], caption
    longer, _, twice = growth(lambda text: checker.check(text, "any"), *texts)
    assert longer < LINEAR
    assert twice < 1.5


FRAGMENTS = [
    "a ", "A", " ", "\n", ",", "a, ", ". ", "!", "<", "<a", "</", "[[", "[a|", "(a:", "(a:1", "{a|",
    "{{", "|", "__a", "a__", "## ", "**a", "`", "&amp", "\\u00", "a@a.", "a-", "www.a.", "http://", "1",
    "0a", "IMG_1", "a/1/", "\\a", "\"a", "“", "「", "<lora:a", "%(a", "${a", "I'm ", "sorry, I ",
    "I cannot a ", "as an ", "here is a a,", "if you ", "photo (1", "Error: ", "ohwx ", "owhx  man",
    "x\u0301", "Ã ", "Â", "\u00a0", "\u200b", "\u202e", "猫、", "。", "ก ", "अ", "ア", "가", "🐱", "1girl, ",
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=3), st.booleans())
@settings(max_examples=examples(15), deadline=None)
def test_no_text_is_slow(fragments: list[str], blocks: bool) -> None:
    """Whatever repeats in the longest text that is read, mixed or one after the other: time grows with its length."""

    def text(length: int) -> str:
        count = length // len("".join(fragments))
        return "".join(fragment * count for fragment in fragments) if blocks else "".join(fragments) * count

    def check(text: str) -> None:
        checker = DatasetChecker(CaptionConfig(model="sdxl", default_trigger="ohwx man"))
        for i in range(4):
            checker.add(f"{i}.png", "any", f"{text[i:]}{i}")
        checker.finish()

    (longer,) = growth(check, text(READ_LIMIT // 8), text(READ_LIMIT), turns=2)
    assert longer < LINEAR


def test_memory_does_not_grow_with_the_captions_seen() -> None:
    """Of the captions that it has checked, a checker keeps nothing but the last thousands of words."""
    checker = CaptionChecker()

    def run(start: int) -> None:
        for i in range(start, start + 1_000):
            numbers = " ".join(map(str, range(16 * i, 16 * i + 16)))
            checker.check(f"caption numbers {numbers} " * (1 + i % 3), f"dataset {i % 7}")

    tracemalloc.start()
    try:
        run(0)
        run(1_000)
        before, _ = tracemalloc.get_traced_memory()
        run(2_000)
        run(3_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000


def test_rules_of_your_own_join() -> None:
    """A callable and a "module:function" are asked like the others, under their own names."""
    checker = CaptionChecker(CaptionConfig(rules=CaptionRules(own=(f"{__name__}:no_cats",))), rules=[no_dogs])
    verdict = checker.check("a cat and a dog in the snow", "any")
    assert verdict is not None
    assert verdict.rules == ["no_cats", "no_dogs"]
    off = CaptionConfig(rules=CaptionRules(own=(f"{__name__}:no_cats",), disabled=("no_cats",)))
    assert CaptionChecker(off).check("a cat and a dog in the snow", "any") is None


def test_rules_of_installed_packages_join(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points in the group loss_logging.caption_rules are found by their names."""
    point = EntryPoint("no_horses", f"{__name__}:no_dogs", "loss_logging.caption_rules")
    for module in ("checker", "config"):
        monkeypatch.setattr(f"loss_logging.captions.{module}.installed_rules", lambda: {"no_horses": point})
    verdict = CaptionChecker(CaptionConfig(rules=CaptionRules(severities={"no_horses": "info"}))).check(
        "a dog in the deep snow", "any"
    )
    assert verdict is not None
    assert (verdict.rules, verdict.severity) == (["no_horses"], "info")


def test_a_rule_that_fails_is_warned_about_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """The captions are checked all the same."""

    def fails_here(caption: Caption) -> Reason | None:
        raise ZeroDivisionError

    checker = CaptionChecker(rules=[fails_here])
    assert checker.check("a cat on a sofa", "any") is None
    assert (checker.check("", "any") or Verdict(())).rules == ["empty"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "fails_here" in caplog.text


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (True, "TypeError: it returned a bool; allowed: None, or a Reason"),
        ("watermark", "TypeError: it returned a str"),
        (Reason("rates", "critical", 0.5, "Bad."), "ValidationError: Invalid enum value 'critical'"),  # type: ignore[arg-type]
        (Reason("rates", "warning", np.float32(0.5), "Bad."), "TypeError: Encoding objects of type numpy.float32"),  # type: ignore[arg-type]
        (Reason("rates", "warning", 0.0, "Bad."), "ValueError: score is 0.0; allowed: above 0 and up to 1"),
        (Reason("rates", "warning", float("nan"), "Bad."), "score is"),
    ],
)
def test_a_rule_whose_answer_a_report_cannot_hold_is_warned_about_once(
    answer: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on, and the first thing wrong is said."""

    def rates(caption: Caption) -> Any:
        return answer

    checker = CaptionChecker(rules=[rates, no_dogs])
    for _ in range(3):
        assert (checker.check("a dog <unk> in the snow", "any") or Verdict(())).rules == ["suspicious", "no_dogs"]
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("the caption rule rates failed: ")
    assert message in warning


@pytest.mark.parametrize(
    "rules", [("json:no_such",), ("no_such_module:f",), ("os:sep",), ("loss_logging.captions.rules.empty:empty",)]
)
def test_rules_that_cannot_be_used_are_refused(rules: tuple[str, ...]) -> None:
    """One that cannot be imported or called, or that takes the name of another, is named."""
    with pytest.raises(ConfigError, match=r"\$\.rules\.own\[0\]: |two rules"):
        CaptionChecker(CaptionConfig(rules=CaptionRules(own=rules)))


def test_rules_are_as_grave_as_the_user_says() -> None:
    """severities replace the rule's own."""
    config = CaptionConfig(rules=CaptionRules(severities={"suspicious": "info"}))
    verdict = CaptionChecker(config).check("a dog <unk> in the snow", "any")
    assert verdict is not None
    assert verdict.severity == "info"


def no_cats(caption: Caption) -> Reason | None:
    """A rule as a user may write it."""
    return Reason("no_cats", "warning", 0.5, "Cats are not wanted here.") if "cat" in caption.text else None


def no_dogs(caption: Caption) -> Reason | None:
    """Another one, whose reason has a name of its own."""
    return Reason("other", "warning", 0.5, "Dogs are not wanted here.") if "dog" in caption.text else None
