"""Images that are not trained on their own caption: one problem of each kind, with their number."""

from __future__ import annotations

from pathlib import Path

from captioned_folders import image, write
from checked_folders import found

from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.check import check_folder
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.captions.folder.untrained import NotTrained


def test_images_that_are_left_out_are_told_once_by_reason() -> None:
    """The problem has the number of images and the path of the first."""
    left, problems = NotTrained(), FolderProblems()
    for name, reason in (("a.png", "a mask"), ("b.png", "too small"), ("c.png", "a mask")):
        left.add(CaptionedFile(name, "cats", None, not_trained=reason))
    left.tell(problems)
    assert [(one.path, one.message) for one in problems.kept] == [
        ("a.png", "2 images are not trained on: a mask"),
        ("b.png", "an image is not trained on: too small"),
    ]


def test_kohya_class_tokens(tmp_path: Path) -> None:
    """In kohya's folders an image without caption is trained on the folder's name, which is no error."""
    check = check_folder(write(tmp_path, {f"10_sks dog/{i}.png": image() for i in range(4)}))
    assert found(check) == {("info", "class_tokens", "10_sks dog")}
    assert check.captions.datasets["10_sks dog"].profile == "instance"
