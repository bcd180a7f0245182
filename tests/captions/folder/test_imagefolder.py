from __future__ import annotations

from pathlib import Path

import pytest
from captioned_folders import PNG, read, write

from loss_logging.captions.folder.imagefolder import split_of

TABLE = '{"file_name": "a.png", "text": "a cat on a sofa"}\n'


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train/1.png", "train"),
        ("a-val.png", "validation"),
        ("x_eval_2.png", "test"),
        ("trainer/1.png", None),
        ("evaluations.png", None),
        ("latest.png", None),
    ],
)
def test_words_alone_are_splits(path: str, split: str | None) -> None:
    """A name is taken for a split where the word stands by itself, and not as part of another."""
    assert split_of(path) == split


def test_one_name_of_a_split_hides_all_others(tmp_path: Path) -> None:
    """As soon as an image is called like a split, that the table and the rest are left out is said, with the image."""
    write(tmp_path, {"a.png": PNG, "b.png": PNG, "metadata.jsonl": TABLE})
    assert "metadata_not_read" not in read(tmp_path)[1].counts
    write(tmp_path, {"c_test.png": PNG})
    found = [one.message for one in read(tmp_path)[1].kept if one.kind == "metadata_not_read"]
    assert len(found) == 2
    assert all("c_test.png" in message for message in found)
    assert any(message.startswith("2 images in no split") for message in found)


def test_a_table_of_another_name_is_told(tmp_path: Path) -> None:
    """load_dataset looks for metadata.jsonl to the letter, and refuses two tables in one folder."""
    write(tmp_path, {"a.png": PNG, "Metadata.jsonl": TABLE})
    (problem,) = (one for one in read(tmp_path)[1].kept if one.kind == "metadata_not_read")
    assert "is not called metadata.jsonl" in problem.message
    write(tmp_path, {"metadata.csv": "file_name,text\na.png,a cat on a sofa\n"})
    assert any("refuses" in one.message for one in read(tmp_path)[1].kept if one.kind == "metadata_not_read")
