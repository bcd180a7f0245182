from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from captioned_folders import PNG, captions, kinds, lines, read, rules, write

from loss_logging.captions.folder.check import check_folder


def test_web_addresses_are_names(tmp_path: Path) -> None:
    """A table of addresses, as LAION's, keeps them as paths and misses no file."""
    path = write(tmp_path, {"laion.jsonl": '{"url": "https://a.example/b.jpg", "TEXT": "a cat"}'})
    files, problems = read(path)
    assert [(file.path, file.caption) for file in files] == [("https://a.example/b.jpg", "a cat")]
    assert not problems.kept


def test_absolute_names(tmp_path: Path) -> None:
    """A table may name files by their whole path, as kohya's do."""
    path = write(tmp_path / "images", {"1.png": PNG}) / "1.png"
    write(tmp_path / "tables", {"meta_cap.json": json.dumps({str(path): {"caption": "a cat"}})})
    files, problems = read(tmp_path / "tables")
    assert [(file.path, file.caption) for file in files] == [(str(path), "a cat")]
    assert not problems.kept


def test_strange_names(tmp_path: Path) -> None:
    """Names that are no UTF-8, and names in tables that no file can have, are just names."""
    bad = os.fsdecode(b"\xff\xfe.png")
    (tmp_path / bad).write_bytes(PNG)
    (tmp_path / os.fsdecode(b"\xff\xfe.txt")).write_text("a cat", encoding="utf-8")
    write(
        tmp_path, {"metadata.jsonl": '{"file_name": "nul\\u0000.png", "text": "nul"}\n{"file_name": "", "text": "e"}'}
    )
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == ["nul", "e", "a cat"]
    assert kinds(problems) == {"no_image": 1}


@pytest.mark.parametrize("named", ["absolute", "working folder", "checked folder", "table"])
@pytest.mark.parametrize("checked", ["absolute", "relative", "here", "above"])
def test_names_relative_to_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, checked: str) -> None:
    """Whatever a table's names are relative to, and however the folder is given, each image is one item of its name."""
    folder = write(tmp_path / "data" / "set", {"sub/1.png": PNG, "2.png": PNG})
    prefix = {"absolute": f"{folder}/sub/", "working folder": "data/set/sub/", "checked folder": "sub/", "table": ""}[
        named
    ]
    write(folder, {"sub/list.jsonl": lines({"file_name": f"{prefix}1.png", "text": "a cat"})})
    monkeypatch.chdir(folder if checked == "here" else tmp_path)
    if checked == "here" and named == "working folder":
        pytest.skip("what is relative to another working folder is not found")
    path = {"absolute": folder, "relative": Path("data/set"), "here": Path(), "above": Path("data/../data/set")}[
        checked
    ]
    files, problems = read(path)
    shown = os.path.normpath(path)
    got = sorted((os.path.relpath(file.path, shown), file.caption) for file in files)
    assert got == [("2.png", None), ("sub/1.png", "a cat")]
    assert not problems.kept
    assert rules(check_folder(path))["empty"] == 1


def test_names_through_a_link(tmp_path: Path) -> None:
    """An absolute name through a link is the same image."""
    folder = write(tmp_path / "real", {"1.png": PNG})
    (tmp_path / "link").symlink_to(folder)
    write(folder, {"metadata.jsonl": lines({"file_name": f"{tmp_path}/link/1.png", "text": "a cat"})})
    for place in (folder, tmp_path / "link"):
        assert captions(place) == {"1.png": "a cat"}
