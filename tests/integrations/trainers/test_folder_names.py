"""integrations/trainers/folder_names.py"""

from __future__ import annotations

from pathlib import Path

import pytest

from loss_logging.integrations.trainers.folder_names import FolderNames


def test_an_image_is_of_the_innermost_folder() -> None:
    """Where one dataset's folder lies in another's."""
    datasets = FolderNames([("all", "/data"), ("cats", "/data/cats")])
    assert [datasets.name_of(path) for path in ("/data/1.png", "/data/cats/1.png")] == ["all", "cats"]


def test_folders_that_are_called_alike_have_different_names() -> None:
    """Datasets without names of their own do not become one."""
    datasets = FolderNames([("", "/a/images"), ("", "/b/images")])
    assert len({datasets.name_of("/a/images/1.png"), datasets.name_of("/b/images/1.png")}) == 2


def test_relative_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer may name a folder from where it works, and an image by its whole path."""
    monkeypatch.chdir(tmp_path)
    assert FolderNames([("cats", "images")]).name_of(str(tmp_path / "images/1.png")) == "cats"
