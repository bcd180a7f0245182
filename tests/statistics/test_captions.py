from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from captions.corpus import GOOD

from loss_logging import LossLogger, LossReport, read_report
from loss_logging.captions.caption import Caption
from loss_logging.captions.checker import CaptionChecker
from loss_logging.captions.dataset_checker import DatasetChecker
from loss_logging.captions.rulebook import DATASET_RULES, RULES
from loss_logging.statistics.captions import CaptionStatistics

ENGLISH = [caption for caption in GOOD["en"] if "\n" not in caption]
TWIN = "a brown dog jumps over the low wall of the garden"


class Run:
    """A run whose every step is a batch of captions, and a save step."""

    def __init__(self, folder: Path, **captions: Any) -> None:
        self.losses = LossLogger(
            job_name="run", save_root=folder, loggers=[], reporter="inline", captions=captions, save_every=1
        )
        self.step = 0

    def save(self, dataset: str, captions: Sequence[str], paths: Sequence[str] | None = None) -> LossReport:
        self.log(dataset, captions, paths)
        path = self.losses.save_step(self.step).result(30)
        assert path is not None
        return read_report(path)

    def log(self, dataset: str, captions: Sequence[str], paths: Sequence[str] | None = None) -> None:
        self.step += 1
        names = paths or [f"{i}.png" for i in range(len(captions))]
        self.losses.log_batch(self.step, [0.5] * len(captions), paths=names, datasets=dataset, captions=captions)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    made: list[Run] = []

    def make(**captions: Any) -> Run:
        made.append(Run(tmp_path / str(len(made)), **captions))
        return made[-1]

    yield make
    for one in made:
        one.losses.close()


def reasons(report: LossReport, rule: str) -> dict[str, str]:
    return {one.path: reason.severity for one in report.flagged for reason in one.details if reason.rule == rule}


def test_a_run_finds_what_a_folder_check_finds(run: Any) -> None:
    """Every rule, profile and reason is the same, whatever the batches were."""
    captions = [*ENGLISH, TWIN, TWIN, "dog", "Eine Frau mit rotem Kopftuch verkauft Äpfel auf dem Markt.", "untitled"]
    captions += [f"{TWIN} in the village of my aunt and {them}" for them in ("uncle", "cousin")]
    checker = DatasetChecker()
    for i, caption in enumerate(captions):
        checker.add(f"{i}.png", "pets", caption)
    folder = checker.finish()
    one = run()
    half = len(captions) // 2
    one.save("pets", captions[:half])
    report = one.save("pets", captions[half:], [f"{i}.png" for i in range(half, len(captions))])
    assert report.flagged_summary == folder.summary
    assert {"duplicate", "near_duplicate", "language", "short"} <= folder.summary.keys()
    by_path = {flagged.path: flagged for flagged in report.flagged}
    for flagged in folder.flagged:
        assert by_path[flagged.path].details == flagged.details
        assert by_path[flagged.path].severity == flagged.severity
    said = report.datasets["pets"].captions
    assert said is not None
    assert (said.profile, said.profile_is_guessed) == ("prose", True)
    assert said.reasons == folder.datasets["pets"].reasons
    assert report.scalars["loss_logging/rules/duplicate"] == 2
    assert report.tables["loss_logging/captions"].rows[0][:2] == ["pets", "prose (guessed)"]


def test_captions_that_were_put_right_are_not_flagged(run: Any) -> None:
    """A caption that no item has any more says nothing about the others; one that comes back does."""
    one = run()
    assert reasons(one.save("d", [*ENGLISH[:20], TWIN, TWIN]), "duplicate").keys() == {"20.png", "21.png"}
    assert reasons(one.save("d", ["two owls in an oak at night, asleep"], ["20.png"]), "duplicate") == {}
    assert reasons(one.save("d", [TWIN], ["20.png"]), "duplicate").keys() == {"20.png", "21.png"}


def test_memory_does_not_grow_with_captions_that_change(run: Any) -> None:
    """What is compared starts anew once most of it is gone."""
    one = run()
    for step in range(5):
        one.save("d", [f"{step} {i} {caption}" for i, caption in enumerate(ENGLISH[:20])])
    assert len(one.losses._run.reporter._reporter._maker.captions._comparison) <= 40


def test_the_profile_follows_the_dataset(run: Any) -> None:
    """A dataset that turns out to be of tags is judged as such, also what was seen before; a declared one is not."""
    word, tags = ["dog", "cat"], [f"1girl, solo, hat {i}, tree {i}" for i in range(20)]
    for one, profile in ((run(), "tags"), (run(profiles={"d": "prose"}), "prose")):
        one.save("d", word)
        report = one.save("d", tags, [f"tags {i}.png" for i in range(20)])
        said = report.datasets["d"].captions
        assert (said.profile, said.profile_is_guessed) == (profile, profile == "tags")
        assert reasons(report, "short") == {"0.png": "warning", "1.png": "warning"}
    one = run()
    assert reasons(one.save("d", ["sks dog"] * 9), "duplicate") == {}


def test_one_image_in_two_datasets(run: Any) -> None:
    """A path that says where the image is, with two captions; most images of a dataset are so on purpose."""
    one = run()
    one.save("a", ["a cat on a sofa", "two dogs in the snow", *ENGLISH[:9]], [f"/images/{i}.png" for i in range(11)])
    report = one.save("b", ["a horse on a hill", "two dogs in the snow"], ["/images/0.png", "/images/1.png"])
    assert reasons(report, "conflict") == {"/images/0.png": "warning"}
    assert report.flagged_summary["conflict"] == 2
    report = one.save("c", [f"{i} boats on a lake" for i in range(11)], [f"/images/{i}.png" for i in range(11)])
    assert [reason.rule for reason in report.datasets["c"].captions.reasons] == ["conflict"]  # type: ignore[union-attr]


def test_each_caption_is_checked_once(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is trained with, and however many save steps there are."""
    seen: Counter[str] = Counter()
    check_all = CaptionChecker.check_all

    def counted(self: CaptionChecker, captions: Any) -> Any:
        captions = list(captions)
        seen.update(caption for caption, *_ in captions)
        return check_all(self, captions)

    monkeypatch.setattr(CaptionChecker, "check_all", counted)
    one = run()
    for _ in range(3):
        one.save("d", ENGLISH)
    assert seen == Counter(ENGLISH)


def test_rules_are_switched_off_and_ignored(run: Any) -> None:
    """disabled_rules and ignore are about rules that compare captions, too."""
    captions = [*ENGLISH[:20], TWIN, TWIN]
    assert run(rules={"disabled": ["duplicate"]}).save("d", captions).flagged_summary == {}
    report = run(ignore=["duplicate 20.png"]).save("d", captions)
    assert report.flagged_summary == {"duplicate": 1}
    assert [flagged.path for flagged in report.flagged] == ["21.png"]


def test_what_is_too_much_to_compare_is_said(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 250,000 items, here 10, the rest are checked by themselves, and a warning of the report counts them."""
    monkeypatch.setattr("loss_logging.statistics.captions._MOST_COMPARED", 10)
    one = run()
    assert one.save("d", ENGLISH[:10]).warnings == []
    report = one.save("d", [*ENGLISH[:10], TWIN, TWIN, "untitled"])
    assert report.warnings[0].startswith("captions were compared with one another among 10 of 13 items")
    assert set(report.flagged_summary) == {"empty"}


def test_without_rules_that_compare_nothing_is_remembered(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched off, they cost no memory."""
    monkeypatch.delattr("loss_logging.captions.comparison.CaptionComparison.keep")
    assert run(rules={"disabled": [*DATASET_RULES]}).save("d", [TWIN, TWIN]).flagged_summary == {}


def test_what_is_found_does_not_depend_on_when_it_was_asked_for(run: Any) -> None:
    """Save steps in between, at which items had other captions, leave no trace: not in shares, nor in who is named."""
    first = [f"{caption} sks" for caption in ENGLISH[:30]]
    then = [*ENGLISH[:5], *first[5:25], TWIN, TWIN, "Eine Frau mit rotem Kopftuch verkauft Äpfel auf dem Markt."]
    often, once = run(), run()
    for captions in (first, [*first[:28], TWIN, TWIN], then):
        found = often.save("d", captions)
        once.log("d", captions)
    expected = read_report(once.losses.save_step(once.step).result(30))
    assert (found.flagged, found.flagged_summary) == (expected.flagged, expected.flagged_summary)
    assert found.datasets["d"].captions == expected.datasets["d"].captions


def test_a_rule_of_the_users_costs_no_report(tmp_path: Path) -> None:
    """Whatever it answers, reports are written, and hold what the other rules say."""
    losses = LossLogger(
        job_name="run",
        save_root=tmp_path,
        loggers=[],
        reporter="inline",
        captions={"rules": {"own": [f"{__name__}:is_marked"]}},
    )
    captions = ["a cat <unk> with a watermark", "a dog on a sofa with a watermark"]
    losses.log_batch(1, [0.5, 0.2], paths=["a.png", "b.png"], datasets="d", captions=captions)
    path = losses.save_step(1).result(30)
    losses.close()
    assert path is not None
    assert read_report(path).flagged_summary == {"suspicious": 1}


def is_marked(caption: Caption) -> Any:
    """A rule that says yes instead of why."""
    return "watermark" in caption.text


def test_styles_are_known_without_rules(run: Any) -> None:
    """A run whose rules are all off says what its captions look like, and flags none."""
    report = run(rules={"disabled": [*RULES, *DATASET_RULES]}).save("d", [*ENGLISH[:20], "nan", ""])
    said = report.datasets["d"].captions
    assert said is not None
    assert (said.profile, said.profile_is_guessed, report.flagged) == ("prose", True, [])


def test_captions_are_looked_at_when_one_is_another(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later save steps with the captions of before ask nothing of them and say the same; one new word is seen."""
    looked = Counter[str]()
    check = CaptionStatistics._check_items

    def counted(self: CaptionStatistics) -> None:
        looked["at"] += 1
        check(self)

    monkeypatch.setattr(CaptionStatistics, "_check_items", counted)
    one = run()
    captions = [*ENGLISH[:20], "untitled"]
    reports = [one.save("pets", captions) for _ in range(3)]
    first = looked["at"]
    assert [report.flagged for report in reports[1:]] == [
        [msgspec.structs.replace(flag, loss=0.5) for flag in reports[0].flagged]
    ] * 2
    assert [report.datasets["pets"].captions for report in reports] == [reports[0].datasets["pets"].captions] * 3
    report = one.save("pets", [*ENGLISH[:19], "untitled", "untitled"])
    assert looked["at"] > first
    assert {flag.path for flag in report.flagged if "duplicate" in flag.reasons} == {"19.png", "20.png"}
