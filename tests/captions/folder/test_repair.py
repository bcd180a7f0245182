from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from checked_folders import found, tree, write
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from loss_logging.captions.folder.check import check_folder
from loss_logging.cli.tables.check import print_repairs


def test_fix(folder: Path) -> None:
    """What is safe is repaired and backed up; everything else is as it was, and once is as good as twice."""
    damaged = b"\xef\xbb\xbfa cat &amp; a dog\xe2\x80\x8b in  the snow \r\n"
    write(folder, {"cats/7.txt": damaged})
    (folder / "cats" / "7.txt").chmod(0o640)
    before = tree(folder)
    first = check_folder(folder, repair="write")
    after = tree(folder)
    assert {name for name in before if before[name] != after[name]} == {"cats/7.txt"}
    assert after["cats/7.txt"] == b"a cat & a dog in the snow\r\n"
    assert (folder / "cats" / "7.txt").stat().st_mode & 0o777 == 0o640
    (backup,) = folder.glob(".captions-backup-*")
    assert tree(backup) == {"cats/7.txt": damaged} or (backup / "cats" / "7.txt").read_bytes() == damaged
    assert first.repairer is not None
    assert len(first.repairer.repairs) == 1
    second = check_folder(folder, repair="write")
    assert tree(folder) == after
    assert second.repairer is not None
    assert second.repairer.repairs == []
    assert found(second) == found(check_folder(folder))


def test_diff_changes_nothing(folder: Path) -> None:
    """Only to be shown, a repair is not made; tables are counted and left alone in any case."""
    write(
        folder,
        {"cats/7.txt": "a cat\u200b on  a sofa", "table/metadata.jsonl": '{"file_name": "1.png", "text": "a  cat"}'},
    )
    before = tree(folder)
    check = check_folder(folder, repair="show")
    assert tree(folder) == before
    assert not list(folder.glob(".captions-backup-*"))
    assert check.repairer is not None
    assert check.repairer.in_tables == 1
    out = io.StringIO()
    print_repairs(check.repairer.repairs, Console(file=out, width=160))
    assert out.getvalue().splitlines()[1:] == ["- a cat\\u200b on  a sofa", "+ a cat on a sofa"]


def test_a_diff_is_what_a_fix_makes(tmp_path: Path) -> None:
    """A text outside the folder and a read-only one are named by both; one that two links lead to is repaired once."""
    outside = write(tmp_path / "outside", {"1.txt": "a  cat"})
    names = ["linked/1.txt", "once/2.txt", "once/3.txt", "own/4.txt", "own/5.txt"]
    folder = write(tmp_path / "folder", {"own/4.txt": "a  dog", "own/5.txt": "a  fox"})
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save((folder / name).with_suffix(".png"))
    (folder / names[0]).symlink_to(outside / "1.txt")
    (folder / names[1]).write_text("a  cow")
    (folder / names[2]).symlink_to("2.txt")
    (folder / names[4]).chmod(0o444)
    said = []
    for repair in ("show", "write"):
        check = check_folder(folder, repair=repair)
        assert check.repairer is not None
        said.append((found(check), [(one.before, one.after) for one in check.repairer.repairs]))
    shown, made = said
    assert shown[1] == made[1] == [("a  cow", "a cow"), ("a  dog", "a dog")]
    unrepaired = [{one for one in problems if one[1] == "not_repaired"} for problems, _ in said]
    assert unrepaired[0] == unrepaired[1]
    assert {name for *_, name in unrepaired[0]} == {names[0], names[4]}
    assert (outside / "1.txt").read_text() == "a  cat"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights are a matter of POSIX")
def test_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file cannot be written it stays as it is and is named, and the rest is repaired."""
    write(tmp_path, {"a/1.txt": "a  cat in the snow", "b/2.txt": "a  dog in the snow"})
    for folder, mode in ((tmp_path, 0o777), (tmp_path / "a", 0o555), (tmp_path / "b", 0o777)):
        folder.chmod(mode)
    monkeypatch.chdir(tmp_path)
    check_folder(".")  # what it imports lies where only this user may read
    user = os.geteuid()
    if user == 0:  # who may write everything
        os.seteuid(65_534)
    try:
        check = check_folder(".", repair="write")
    finally:
        os.seteuid(user)
        (tmp_path / "a").chmod(0o700)
    assert found(check) == {("error", "not_repaired", "a/1.txt")}
    assert tree(tmp_path)["a/1.txt"] == b"a  cat in the snow"
    assert tree(tmp_path)["b/2.txt"] == b"a dog in the snow"


@settings(deadline=None)  # the first repair imports
@given(st.text(max_size=60), st.sampled_from(["", "\n", "\r\n"]))
def test_fixing_twice_is_fixing_once(tmp_path_factory: pytest.TempPathFactory, caption: str, end: str) -> None:
    """Whatever the caption, a second repair finds nothing to do, and a repair never makes an error."""
    folder = tmp_path_factory.mktemp("fix")
    (folder / "1.txt").write_bytes((caption + end).encode())
    check_folder(folder, repair="write")
    once = (folder / "1.txt").read_bytes()
    check = check_folder(folder, repair="write")
    assert (folder / "1.txt").read_bytes() == once
    assert check.repairer is not None
    assert not check.repairer.repairs
