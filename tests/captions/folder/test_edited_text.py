from __future__ import annotations

import json
from pathlib import Path

import pytest
from captioned_folders import image, write
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.captions.folder.caption_writer import CaptionWriter
from loss_logging.captions.folder.edited_text import with_caption
from loss_logging.captions.folder.json_text import with_value
from loss_logging.captions.folder.kept_files import NotWrittenError
from loss_logging.captions.folder.read import read_captioned_folder


@given(
    captions=st.lists(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20), min_size=1, max_size=4),
    new=st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20),
    end=st.sampled_from(["\n", "\r\n", ""]),
)
def test_any_text(captions: list[str], new: str, end: str) -> None:
    """Whatever the texts are: in a file, in JSON and in a table, the one is replaced and the others are untouched."""
    kept = with_caption(captions[0] + end, captions[0], new)
    assert kept is not None
    assert kept.endswith(end)
    assert kept.removesuffix(end).strip() == new.strip() or not captions[0].strip()
    for ascii_only in (True, False):
        text = json.dumps({"a": captions, "b": 1.5}, ensure_ascii=ascii_only, indent=1)
        assert json.loads(with_value(text, ["a", 0], new)) == {"a": [new, *captions[1:]], "b": 1.5}


def test_lines_that_are_captions(tmp_path: Path) -> None:
    """Where a trainer takes each line, one line changes; a caption of two lines is refused there."""
    write(tmp_path, {"1.png": image(), "1.txt": "a cat\r\n\r\na pet\r\n"})
    first, second = read_captioned_folder(tmp_path, trainer="simpletuner")
    CaptionWriter(tmp_path).write(second, "an animal")
    assert (tmp_path / "1.txt").read_bytes() == b"a cat\r\n\r\nan animal\r\n"
    with pytest.raises(NotWrittenError, match="one line"):
        CaptionWriter(tmp_path).write(first, "a cat\nand a dog")
