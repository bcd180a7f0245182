from __future__ import annotations

from pathlib import Path

import pytest
from captioned_folders import PNG, write

from loss_logging.captions.decisions import Decisions
from loss_logging.captions.folder.cleaning import Cleaning, tar_of
from loss_logging.errors import ConfigError, LossLoggingError


def test_what_a_person_excludes_is_left_out_and_counted(tmp_path: Path) -> None:
    """A path that is excluded and not there is named, so that a typo does not pass."""
    write(tmp_path, {"1.png": PNG, "1.txt": "a cat", "2.png": PNG, "2.txt": "a dog"})
    cleaning = Cleaning(tmp_path, Decisions(tmp_path), ["2.png", "3.png"], [tmp_path])
    cleaning.read(tmp_path)
    result = cleaning.finish(tmp_path)
    assert [image.name for image in result.images] == ["1.png"]
    assert (result.excluded, result.decided) == (["2.png"], 1)
    assert [warning for warning in result.warnings if "3.png is to be excluded, and does not exist" in warning]


def test_two_images_of_one_name_get_a_caption_each(tmp_path: Path) -> None:
    """A trainer reads one text for a name: the second image takes another name."""
    write(tmp_path, {"1.png": PNG, "1.jpg": PNG, "1.txt": "a cat"})
    cleaning = Cleaning(tmp_path, Decisions(tmp_path), [], [tmp_path])
    cleaning.read(tmp_path)
    assert sorted(image.name for image in cleaning.finish(tmp_path).images) == ["1-2.png", "1.jpg"]


def test_nothing_that_stays_is_an_error(tmp_path: Path) -> None:
    """A cleaned dataset without images is nobody's wish; how many were excluded is said."""
    write(tmp_path, {"1.png": PNG, "1.txt": "a cat"})
    cleaning = Cleaning(tmp_path, Decisions(tmp_path), ["1.png"], [tmp_path])
    cleaning.read(tmp_path)
    with pytest.raises(LossLoggingError, match=r"no image of .* stays: 1 images are excluded"):
        cleaning.finish(tmp_path)


def test_no_path_leads_out(tmp_path: Path) -> None:
    """What is excluded is named within the folder."""
    with pytest.raises(ConfigError, match=r"got '\.\./1\.png'; allowed: a path in"):
        Cleaning(tmp_path, Decisions(tmp_path), ["../1.png"], [tmp_path])


def test_the_tar_of_an_image(tmp_path: Path) -> None:
    """A path through a tar that is there names it; a folder that is called like one does not."""
    write(tmp_path, {"a.tar": b"x", "b.tar/1.png": PNG})
    assert tar_of(str(tmp_path / "a.tar" / "x" / "1.png")) == tmp_path / "a.tar"
    assert tar_of(str(tmp_path / "b.tar" / "1.png")) is None
    assert tar_of(str(tmp_path / "1.png")) is None
