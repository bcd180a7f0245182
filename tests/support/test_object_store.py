from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from object_stores import MEMORY, logger

from loss_logging.errors import ConfigError, MissingExtraError
from loss_logging.support.object_store import ObjectStore, StoreError, as_url, read_file


def test_impossible_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install, or what is allowed."""
    with pytest.raises(ConfigError, match=r'memory of one process; set reporter="inline"'):
        logger(MEMORY, tmp_path, reporter="process")
    with pytest.raises(ConfigError, match="no kind of URL is called 's4'"):
        logger("s4://bucket/run", tmp_path)
    with pytest.raises(MissingExtraError, match='needs the package gcsfs; run: pip install "gcsfs"'):
        logger("gs://bucket/run", tmp_path)
    monkeypatch.setattr("loss_logging.support.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs the package fsspec; run: pip install .*\[s3\]"):
        logger("s3://bucket/run", tmp_path)


@pytest.fixture
def store(empty_store: None) -> ObjectStore:
    return ObjectStore("memory://store/run")


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9))
def test_what_is_no_url_is_a_path(name: str) -> None:
    """A name, a path and a drive letter are none; a scheme of two letters and more is one, and ends without a slash."""
    assert as_url(name) is None
    assert as_url(f"./{name}/x") is None
    assert as_url(f"C:/{name}") is None
    assert as_url(f"S3://{name}/run//") == f"s3://{name}/run"
    assert as_url(Path(f"s3://{name}/run")) == f"s3://{name}/run"


def test_files_are_written_moved_listed_and_removed(store: ObjectStore, tmp_path: Path) -> None:
    """What was written is read; what was moved is at its new place alone; names are those of one folder and suffix."""
    store.write("a/1.json", b"one")
    (tmp_path / "2.json").write_bytes(b"two")
    store.upload(tmp_path / "2.json", "a/2.json")
    store.write("a/b/3.json", b"three")
    assert store.names("a", ".json") == ["1.json", "2.json"]
    assert store.names("nowhere", ".json") == []
    store.move("a/1.json", "c/1.json")
    store.move("a/1.json", "c/9.json")
    assert store.names("c", "") == ["1.json"]
    store.download("c/1.json", tmp_path / "1.json")
    assert (tmp_path / "1.json").read_bytes() == read_file("memory://store/run/c/1.json") == b"one"
    store.remove("c/1.json")
    store.remove("c/1.json")
    with pytest.raises(FileNotFoundError):
        store.read("c/1.json")


def test_a_store_that_does_not_answer_may_do_so_later(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network's error may pass, a refusal does not; both name the URL and the file."""
    for error, may_pass in ((ConnectionError("reset"), True), (PermissionError("denied"), False)):

        def refuse(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(store._files, "pipe_file", refuse)
        with pytest.raises(StoreError, match=r"memory://store/run: cannot write a\.json: ") as caught:
            store.write("a.json", b"")
        assert caught.value.may_pass is may_pass
