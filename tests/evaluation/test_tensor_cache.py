"""loss_logging/evaluation/tensor_cache.py"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import torch

from loss_logging.evaluation.tensor_cache import TensorCache, digest


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_what_is_put_is_got_by_every_cache_of_the_folder(tmp_path: Path, dtype: torch.dtype) -> None:
    """Values, types and shapes are the same to the bit; a part of a tensor takes the room of a part."""
    given = {
        "part": torch.arange(4096, dtype=torch.float32).to(dtype).view(64, 64)[:, 3],
        "one": torch.ones((), dtype=dtype),
    }
    TensorCache(tmp_path / "new", 10_000).put(digest("a"), given)
    found = TensorCache(tmp_path / "new", 10_000).get(digest("a"))
    assert found is not None
    for name, tensor in given.items():
        assert found[name].dtype == dtype
        assert torch.equal(found[name], tensor)
    assert sum(path.stat().st_size for path in files(tmp_path)) < 2_000


def test_what_was_used_longest_ago_goes(tmp_path: Path) -> None:
    """The folder keeps to its size, and what was read since it was written stays."""
    cache = TensorCache(tmp_path, 20_000)
    for number in range(30):
        cache.put(digest(str(number)), {"x": torch.full((250,), float(number))})
        for path in files(tmp_path):  # clocks of file systems may be coarser than this loop
            os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 10**9))
        assert cache.get(digest("0")) is not None
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 20_000 * 1.1
    assert cache.get(digest("29")) is not None
    assert cache.get(digest("1")) is None


def test_files_of_others_stay(tmp_path: Path) -> None:
    """A folder that holds more than the cache, such as a dataset, keeps all of it, however full it is."""
    mine = [tmp_path / "cats" / "1.png", tmp_path / "ab" / "lora.safetensors", tmp_path / f"{digest('a')}.safetensors"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 50_000)
        os.utime(path, ns=(0, 0))
    cache = TensorCache(tmp_path, 10_000)
    for number in range(20):
        cache.put(digest(str(number)), {"x": torch.full((250,), float(number))})
    assert all(path.exists() for path in mine)
    assert 0 < len(files(tmp_path)) - len(mine) < 20


@pytest.mark.parametrize("length", [0, 5, 60, -1])
def test_a_file_that_was_cut_is_made_anew(tmp_path: Path, length: int) -> None:
    """It counts as one that is not there, and the next one that is put is whole."""
    cache, given = TensorCache(tmp_path, 10_000), {"x": torch.ones(100)}
    cache.put(digest("a"), given)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    assert cache.get(digest("a")) is None
    cache.put(digest("a"), given)
    assert cache.get(digest("a")) is not None


def test_a_disk_that_takes_nothing_is_warned_about_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is raised where the folder cannot be made; what is asked for has to be made anew."""
    (tmp_path / "file").write_bytes(b"")
    cache = TensorCache(tmp_path / "file" / "cache", 10_000)
    for name in "ab":
        cache.put(digest(name), {"x": torch.ones(1)})
        assert cache.get(digest(name)) is None
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "cannot be used" in warnings[0]


def test_a_digest_is_of_each_part() -> None:
    """Parts are told apart, texts and buffers of one content are the same part, and lone surrogates have a digest."""
    assert len({digest("ab"), digest("a", "b"), digest("", "ab"), digest("\ud800")}) == 4
    assert digest("ab") == digest(b"ab")
