"""loss_logging.captions.exclude_list"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from loss_logging.captions.decisions import Decision, DecisionFile
from loss_logging.captions.exclude_list import read_exclude_list
from loss_logging.errors import ConfigError


@pytest.mark.parametrize(
    "data",
    [
        "été.png\n[1]*.png\n".encode(),
        "été.png\r\n[1]*.png\r\n\r\n".encode(),
        "\ufeffété.png\n[1]*.png".encode(),
        "été.png\r\n[1]*.png\r\n".encode("utf-16"),
        b"\xfe\xff" + "été.png\n[1]*.png".encode("utf-16-be"),
        "# blurred:\nété.png\n#and\n\n[1]*.png\nété.png\n".encode(),
    ],
)
def test_a_list_of_any_editor(tmp_path: Path, data: bytes) -> None:
    """Byte order marks, UTF-16, line ends of Windows, comments and doubles leave two paths; nothing is a pattern."""
    file = tmp_path / "exclude.txt"
    file.write_bytes(data)
    assert read_exclude_list(file) == ["été.png", "[1]*.png"]


def test_separators_of_other_kinds_are_part_of_a_name(tmp_path: Path) -> None:
    """Only line ends end a path: names may have form feeds and line separators in them, and blanks around them."""
    (tmp_path / "exclude.txt").write_text("a\x0cb.png\nc\u2028d.png\n 1.png \n", encoding="utf-8")
    assert read_exclude_list(tmp_path / "exclude.txt") == ["a\x0cb.png", "c\u2028d.png", " 1.png "]


def test_bytes_that_are_no_text_stay_a_name(tmp_path: Path) -> None:
    """A list in another encoding names the files whose names are those bytes."""
    (tmp_path / "exclude.txt").write_bytes(b"caf\xe9.png\n")
    assert [os.fsencode(path) for path in read_exclude_list(tmp_path / "exclude.txt")] == [b"caf\xe9.png"]


def test_decisions_are_a_list_of_what_they_exclude(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The images that are excluded at last, from the file's folder; a broken line is named and left out."""
    file = DecisionFile(tmp_path / "mine.jsonl")
    file.append(Decision(path="1.png", decision="exclude"), Decision(path="2.png", decision="fine"))
    file.append(Decision(path="3.png", decision="exclude"), Decision(path="3.png", decision="undone"))
    file.path.write_bytes(b"\xef\xbb\xbf" + file.path.read_bytes() + b'{"path": "4.png", "decision"\n')
    assert read_exclude_list(file.path) == [str(tmp_path / "1.png")]
    assert [record.getMessage() for record in caplog.records if "line 5" in record.getMessage()]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.txt", "no such file"),
        ("folder", "is a folder"),
        ("items.jsonl", "no line that is a decision"),
        pytest.param(
            "closed.txt",
            "cannot be read",
            marks=pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read all"),
        ),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, name: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """The error names the key and the file, and says what is allowed; a table's lines are not each warned about."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "items.jsonl").write_text('{"path": "1.png", "dataset": "cats", "count": 3}\n' * 3)
    (tmp_path / "closed.txt").touch(mode=0)
    with pytest.raises(ConfigError, match="exclude-list") as caught:
        read_exclude_list(tmp_path / name)
    assert str(caught.value).startswith("exclude: ")
    assert str(tmp_path / name) in str(caught.value)
    assert said in str(caught.value)
    assert not caplog.records
