from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from captioned_folders import image, write

from loss_logging.captions.folder.caption_writer import CaptionWriter
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.kept_files import NotWrittenError
from loss_logging.captions.folder.read import read_captioned_folder


def read_only(folder: Path) -> None:
    (folder / "1.txt").chmod(0o444)


def link_to_outside(folder: Path) -> None:
    outside = write(folder.parent / "outside", {"1.txt": "a cat"})
    (folder / "1.txt").unlink()
    (folder / "1.txt").symlink_to(outside / "1.txt")


def only_latin_1(folder: Path) -> None:
    (folder / "1.txt").write_bytes("un café à côté".encode("latin-1"))


@pytest.mark.parametrize(
    ("harm", "said"), [(read_only, "read-only"), (link_to_outside, "outside"), (only_latin_1, "save the file as UTF-8")]
)
def test_where_nothing_can_be_written(harm: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    """A read-only file, a link to outside and an encoding without the characters: said, and the file stays."""
    folder = write(tmp_path / "data", {"1.png": image(), "1.txt": "a cat"})
    harm(folder)
    (file,) = read_captioned_folder(folder)
    raw = (folder / "1.txt").read_bytes()
    with pytest.raises(NotWrittenError, match=said):
        CaptionWriter(folder).write(file, "a 猫")
    assert (folder / "1.txt").read_bytes() == raw
    assert not list(folder.glob(".*.tmp"))


def test_a_link_within_is_followed(tmp_path: Path) -> None:
    """A link to another place in the folder stays a link, and its target changes."""
    write(tmp_path, {"1.png": image(), "texts/1.txt": "a cat"})
    (tmp_path / "1.txt").symlink_to("texts/1.txt")
    file = next(file for file in read_captioned_folder(tmp_path) if file.path.endswith("1.png"))
    CaptionWriter(tmp_path).write(file, "a dog")
    assert (tmp_path / "1.txt").is_symlink()
    assert (tmp_path / "texts" / "1.txt").read_text() == "a dog"


@pytest.mark.parametrize("path", ["../outside/1.txt", "a/../../outside/1.txt"])
def test_paths_that_lead_out(path: str, tmp_path: Path) -> None:
    """A path with ``..`` that leads out of the folder is refused."""
    folder = write(tmp_path / "data", {"a/1.png": image()})
    write(tmp_path, {"outside/1.txt": "a cat"})
    with pytest.raises(NotWrittenError, match="outside"):
        CaptionWriter(folder).write(CaptionedFile("1.png", "d", "a cat", f"{folder}/{path}"), "a dog")
    assert (tmp_path / "outside" / "1.txt").read_text() == "a cat"
