from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from captioned_folders import image, write

from loss_logging.captions.folder.caption_writer import CaptionWriter
from loss_logging.captions.folder.kept_files import NotWrittenError
from loss_logging.captions.folder.read import read_captioned_folder


def test_kohya_tags(tmp_path: Path) -> None:
    """kohya joins a caption and tags, which lie apart: the part that changed is written, both at once are refused."""
    write(tmp_path, {"1.png": image(), "meta_cap.json": '{"1": {"caption": "a goat", "tags": "horns, grass"}}'})
    table = tmp_path / "meta_cap.json"
    for new, expected in (("a sheep,horns, grass", ("a sheep", "horns, grass")), ("a sheep,wool", ("a sheep", "wool"))):
        (file,) = read_captioned_folder(tmp_path)
        CaptionWriter(tmp_path).write(file, new)
        record = json.loads(table.read_text())["1"]
        assert (record["caption"], record["tags"]) == expected
    (file,) = read_captioned_folder(tmp_path)
    with pytest.raises(NotWrittenError, match="only one of them at once"):
        CaptionWriter(tmp_path).write(file, "a cow in the grass")


def test_csv_of_any_text(tmp_path: Path) -> None:
    """Quotes, delimiters and line breaks in a caption come back as they were written."""
    write(tmp_path, {"1.png": image(), "2.png": image(), "captions.csv": "file_name,text\n1.png,a cat\n2.png,b\n"})
    for caption in ('a "b", c', "two\nlines", " blank ", "=1+1"):
        file = next(iter(read_captioned_folder(tmp_path)))
        CaptionWriter(tmp_path).write(file, caption)
        rows = list(csv.reader(io.StringIO((tmp_path / "captions.csv").read_bytes().decode(), newline="")))
        assert rows == [["file_name", "text"], ["1.png", caption], ["2.png", "b"]]
