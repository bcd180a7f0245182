from __future__ import annotations

from pathlib import Path

import pytest
from captioned_folders import PNG, write

from loss_logging.captions.folder.kept_files import NotWrittenError
from loss_logging.pages.served.run_captions import RunCaptions


def test_captions_are_found_where_the_images_are(tmp_path: Path) -> None:
    """Relative to the folder that is given, or as recorded where none is."""
    write(tmp_path, {"cats/1.png": PNG, "cats/1.txt": "a cat"})
    assert RunCaptions(tmp_path).find("d", "cats/1.png").caption == "a cat"
    assert RunCaptions(None).find("d", str(tmp_path / "cats" / "1.png")).caption == "a cat"


@pytest.mark.parametrize("path", ["../secret.png", "none.png", "cats", "https://example.org/1.png", "0.tar/1.png"])
def test_what_is_no_image_of_the_folder_is_refused(path: str, tmp_path: Path) -> None:
    """With a sentence that names it, whether it lies outside, is not there, or is in an archive."""
    write(tmp_path, {"images/cats/1.png": PNG, "secret.png": PNG, "secret.txt": "secret"})
    with pytest.raises(NotWrittenError, match=path.replace(".", r"\.")):
        RunCaptions(tmp_path / "images").find("d", path)


def test_one_writer_for_one_folder(tmp_path: Path) -> None:
    """So that what was there first is kept once."""
    write(tmp_path, {"a/1.png": PNG, "a/1.txt": "a cat", "a/2.png": PNG, "b/3.png": PNG})
    captions = RunCaptions(None)
    files = [captions.find("d", str(tmp_path / name)) for name in ("a/1.png", "a/2.png", "b/3.png")]
    writers = [captions.writer_of(file) for file in files]
    assert writers[0] is writers[1]
    assert writers[0] is not writers[2]
