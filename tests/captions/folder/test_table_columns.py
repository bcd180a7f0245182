from __future__ import annotations

from pathlib import Path

import pytest
from captioned_folders import PNG, captions, kinds, lines, read, write

from loss_logging.errors import LossLoggingError


def test_columns_can_be_named(tmp_path: Path) -> None:
    """Columns of other names are found when they are named, and an error lists what there is when they are not."""
    path = write(tmp_path, {"list.csv": "bild,beschriftung\na.png,a cat\n"}) / "list.csv"
    assert captions(path, path_column="bild", caption_column="Beschriftung") == {"a.png": "a cat"}
    with pytest.raises(LossLoggingError, match="bild, beschriftung"):
        read(path)
    with pytest.raises(LossLoggingError, match="bild, beschriftung"):
        read(path, caption_column="beschriftun")


def test_tables_without_captions(tmp_path: Path) -> None:
    """Only a table that is meant for captions must have some; a log or list of something else is left alone."""
    write(tmp_path, {"1.png": PNG, "metadata.csv": "file_name,size\n1.png,5\n", "log.csv": "step,loss\n1,0.5\n"})
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == [None]
    assert kinds(problems) == {"no_columns": 1}
    assert "file_name, size" in problems.kept[0].message


def test_columns_of_other_images(tmp_path: Path) -> None:
    """imagefolder's columns of several images: one names the image, the others are left out and counted."""
    row = {"image_file_name": "images/1.png", "control_file_name": "control/1.png", "text": "a cat"}
    write(tmp_path, {"metadata.jsonl": lines(row), "images/1.png": PNG, "control/1.png": PNG, "images/2.png": PNG})
    files, problems = read(tmp_path)
    assert {Path(file.path).relative_to(tmp_path).as_posix(): file.caption for file in files} == {
        "images/1.png": "a cat",
        "images/2.png": None,
    }
    assert kinds(problems) == {"left_out": 1}


@pytest.mark.parametrize(
    "column", ["file_name", "image_file_name", "target_file_name", "picture_file_name", "image_path_0"]
)
def test_columns_of_file_names(tmp_path: Path, column: str) -> None:
    """Names of columns as imagefolder and musubi have them."""
    write(tmp_path, {"metadata.jsonl": lines({column: "1.png", "caption": "a cat"}), "1.png": PNG})
    assert captions(tmp_path) == {"1.png": "a cat"}
