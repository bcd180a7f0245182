from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from captioned_folders import PNG, write

from loss_logging.captions.folder.caption_places import CaptionPlaces
from loss_logging.captions.folder.caption_writer import CaptionWriter
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.kept_files import ConflictError, NotWrittenError
from loss_logging.pages.served.editor import Change, Editor, State


class Kept:
    """Decisions in memory."""

    def __init__(self) -> None:
        self.decided: dict[tuple[str, str], str] = {}
        self.full = False

    def of(self, dataset: str, path: str) -> str:
        return self.decided.get((dataset, path), "")

    def keep(self, dataset: str, path: str, wanted: State, before: str | None) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.decided[dataset, path] = wanted.decision

    def all(self) -> dict[tuple[str, str], str]:
        return self.decided


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def editor(tmp_path: Path, kept: Kept) -> Iterator[Editor]:
    write(tmp_path, {"1.png": PNG, "1.jpg": PNG, "1.txt": "a  cat", "2.png": PNG})
    places, writer = CaptionPlaces(), CaptionWriter(tmp_path)

    def find(_dataset: str, path: str) -> CaptionedFile:
        if not (tmp_path / path).is_file():
            raise NotWrittenError(f"{path} is not found")
        return places.of(tmp_path / path)

    return Editor(find, lambda *_: None, lambda _: writer, kept, lambda dataset, path: "")


def test_the_page_is_told_what_is_there(editor: Editor) -> None:
    """The caption, its file, who else it is of, and what repairs it; or why it cannot be edited."""
    about = editor.about("d", "1.png")
    assert (about["state"], about["why"], about["shared"]) == (State("a  cat"), "", ["1.jpg"])
    assert about["suggestion"] == "a cat"
    assert "not found" in editor.about("d", "9.png")["why"]


def test_a_change_and_its_undoing(editor: Editor, kept: Kept, tmp_path: Path) -> None:
    """The caption is on disk and the decision kept; the same the other way round leaves what was there."""
    old, new = State("a  cat"), State("a dog", "caption")
    assert editor.change(Change("d", "1.png", old, new))["state"] == new
    assert (tmp_path / "1.txt").read_text() == "a dog"
    assert editor.change(Change("d", "1.png", new, old))["state"] == old
    assert (tmp_path / "1.txt").read_text() == "a  cat"


def test_of_two_who_change_at_once_one_is_told(editor: Editor, tmp_path: Path) -> None:
    """Whoever comes second has not seen what the first wrote, and nothing of it is lost."""
    told: list[str] = []

    def change(caption: str) -> None:
        try:
            editor.change(Change("d", "1.png", State("a  cat"), State(caption)))
        except ConflictError:
            told.append(caption)

    threads = [threading.Thread(target=change, args=(f"caption {i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 7
    assert (tmp_path / "1.txt").read_text() not in told


def test_a_decision_that_cannot_be_kept_is_said(editor: Editor, kept: Kept, tmp_path: Path) -> None:
    """With what was saved all the same."""
    kept.full = True
    with pytest.raises(NotWrittenError, match="What was decided cannot be kept: No space left on device"):
        editor.change(Change("d", "1.png", State("a  cat"), State("a  cat", "fine")))
    with pytest.raises(NotWrittenError, match="The caption is saved, but what was decided cannot be kept"):
        editor.change(Change("d", "1.png", State("a  cat"), State("a dog", "caption")))
    assert (tmp_path / "1.txt").read_text() == "a dog"
