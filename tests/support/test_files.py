from __future__ import annotations

from pathlib import Path

import pytest

from loss_logging.support.files import cache_dir, remove_leftovers, whole_file


def test_a_file_is_there_when_it_is_complete(tmp_path: Path) -> None:
    """Not before the block has ended, and then whole."""
    with whole_file(tmp_path / "a.txt", text=True) as file:
        file.write("a\r\ncat")
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_bytes() == b"a\r\ncat"


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    """And nothing beside it."""
    (tmp_path / "a.txt").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a.txt") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.txt": b"old"}


@pytest.mark.parametrize(
    ("place", "named", "kind"),
    [
        ("missing/a.txt", "missing", FileNotFoundError),
        ("file/a.txt", "file", NotADirectoryError),
        ("folder", "folder", IsADirectoryError),
    ],
)
def test_an_error_names_what_was_given(place: str, named: str, kind: type[OSError], tmp_path: Path) -> None:
    """The path, or the folder that it lacks, and nothing of a temporary file."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(kind) as error, whole_file(tmp_path / place) as file:
        file.write(b"new")
    assert (error.value.filename, error.value.filename2) == (str(tmp_path / named), None)
    assert ".tmp" not in str(error.value)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_an_error_of_another_file_stays(tmp_path: Path) -> None:
    """What is read while it is written has its own name."""
    with pytest.raises(FileNotFoundError) as error, whole_file(tmp_path / "a.txt"):
        (tmp_path / "other.txt").read_bytes()
    assert error.value.filename == str(tmp_path / "other.txt")


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """What it led to stays as it was."""
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    with whole_file(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "target").read_bytes() == b"old"
    assert not (tmp_path / "link").is_symlink()


def test_leftovers_of_a_name_are_removed(tmp_path: Path) -> None:
    """Those of others stay."""
    for name in (".job_1.json.0a.tmp", ".other_1.json.0a.tmp", "job_1.json", ".job.json"):
        (tmp_path / name).write_bytes(b"")
    remove_leftovers(tmp_path, "job")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".job.json", ".other_1.json.0a.tmp", "job_1.json"]


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_CACHE_HOME, or .cache in the home folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "loss_logging"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_dir() == Path.home() / ".cache" / "loss_logging"
