from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from captioned_folders import PNG, write

from loss_logging.captions.decisions import Decisions
from loss_logging.captions.folder.cleaned import clean
from loss_logging.pages.served.editor import State
from loss_logging.pages.served.kept_decisions import KeptDecisions


class Items:
    """Two datasets with one image in common."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folders(self) -> list[str]:
        return [str(self.root)]

    def with_paths(self, paths: Iterable[str]) -> list[tuple[str, str]]:
        return [(dataset, path) for dataset in ("a", "b") for path in paths if path.endswith(".png")]


def test_what_is_decided_is_of_every_dataset_with_the_image(tmp_path: Path) -> None:
    """It is there at once, for the one item and for all; undoing leaves nothing."""
    write(tmp_path, {"1.png": PNG, "2.png": PNG})
    path = str(tmp_path / "1.png")
    kept = KeptDecisions(Decisions(tmp_path), Items(tmp_path))
    assert (kept.of("a", path), dict(kept.all())) == ("", {})
    kept.keep("a", path, State("a cat", "exclude"), "a cat")
    assert kept.of("b", path) == "exclude"
    found = kept.all()
    assert {key[0] for key in found} == {"a", "b"}
    assert set(found.values()) == {"exclude"}
    kept.keep("a", path, State("a cat", ""), "a cat")
    assert (kept.of("a", path), set(kept.all().values()) - {"undone"}) == ("", set())


@pytest.mark.parametrize("before", ["a dgo", None])
def test_a_correction_that_was_changed_later_stays_changed(tmp_path: Path, before: str | None) -> None:
    """Of an image that had a caption or none, and where it was excluded in between and that was undone."""
    write(tmp_path, {"1.png": PNG})
    path = str(tmp_path / "1.png")
    kept = KeptDecisions(Decisions(tmp_path), Items(tmp_path))
    kept.keep("a", path, State("a dog", "caption"), before)
    for decision in ("exclude", "caption"):
        kept.keep("a", path, State("a dog", decision), "a dog")
        for text, expected in ((before, "a dog"), ("a dog", "a dog"), ("by hand", "by hand")):
            if text is not None:
                (tmp_path / "1.txt").write_text(text)
            if decision == "caption":
                dataset = clean(tmp_path)
                assert [image.caption for image in dataset.images] == [expected]
                assert [one.before for one in dataset.corrected] == ([before or ""] if expected == "a dog" else [])
                assert any("was changed after its correction" in one for one in dataset.warnings) == (text == "by hand")
        (tmp_path / "1.txt").unlink()


def test_what_was_trained_with_a_trigger_word_is_decided_too(tmp_path: Path) -> None:
    """ "fine" holds for what the trainer has made of the text and for no other text, a correction for what was trained,
    also when it is the second one."""
    write(tmp_path, {"1.png": PNG, "2.png": PNG})
    paths = [str(tmp_path / name) for name in ("1.png", "2.png")]
    trained = dict(zip(paths, ("ohwx, a cat", "ohwx, a dgo"), strict=True))
    decisions = Decisions(tmp_path)
    kept = KeptDecisions(decisions, Items(tmp_path), trained=lambda _dataset, path: trained[path])

    def on(path: str, *captions: str) -> list[str | None]:
        found = decisions.of(path)
        assert found is not None
        return [found.on(caption) for caption in captions]

    kept.keep("a", paths[0], State("a cat", "fine"), "a cat")
    assert on(paths[0], "ohwx, a cat", "a cat", "ohwx, a dog", "not a cat") == ["fine", "fine", None, None]
    assert decisions.ignores("short", paths[0], "ohwx, a cat")
    kept.keep("a", paths[1], State("a dog", "caption"), "a dgo")
    kept.keep("a", paths[1], State("a dog in snow", "caption"), "a dog")
    assert on(paths[1], "ohwx, a dgo", "a dog in snow", "ohwx, a dog in snow") == ["caption", "caption", None]
    trained[paths[0]] = "ohwx, a bird"  # what is fine is the text on disk, which nothing has trained with
    kept.keep("a", paths[0], State("a cat", "fine"), "a cat")
    assert on(paths[0], "ohwx, a bird", "a cat") == [None, "fine"]


@pytest.mark.parametrize("trained", [None, "a cat"])
def test_fine_without_a_caption_on_disk_is_not_fine_with_any(tmp_path: Path, trained: str | None) -> None:
    """It holds while there is no caption, and for what the run has trained with; not for a text of later."""
    write(tmp_path, {"1.png": PNG})
    path = str(tmp_path / "1.png")
    decisions = Decisions(tmp_path)
    KeptDecisions(decisions, Items(tmp_path), trained=lambda *_: trained).keep("a", path, State(None, "fine"), None)
    found = decisions.of(path)
    assert found is not None
    assert [found.on(caption) for caption in (None, trained or "", "a dog")] == ["fine", "fine", None]
