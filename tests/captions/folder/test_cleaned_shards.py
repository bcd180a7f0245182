"""loss_logging/captions/folder/cleaned_shards: tars in, tars out"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from command import loss_logging

from loss_logging.captions.decisions import Decisions
from loss_logging.captions.folder.cleaned import clean
from loss_logging.captions.folder.cleaned_files import write_cleaned
from loss_logging.captions.folder.webdataset import read_shard
from loss_logging.errors import LossLoggingError

FILES = {
    "a/1.png": b"one",
    "a/1.txt": b"a cat",
    "a/1.mask.png": b"mask of one",
    "a/2.png": b"two",
    "a/2.txt": b"a dgo\n",
    "a/3.jpg": b"three",
    "a/3.json": '{"width": 5, "caption": "caf\u00e8"}'.encode(),
    "a/4.png": b"four",
    "a/5.v1.png": b"five",
    "a/5.v1.txt": b"a fox",
    "a/5.v2.png": b"five again",
    "a/5.v2.txt": b"a wolf",
    "README": b"no sample",
}


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w", *more: tarfile.TarInfo) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            tar.addfile(info, io.BytesIO(data))
        for info in more:
            tar.addfile(info)
    return path


def read_tar(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A folder with a tar in it: one image excluded, captions corrected in a text, a JSON, and where there was none."""
    folder = tmp_path / "shards"
    write_tar(folder / "x/000000.tar", FILES)
    decisions = Decisions(folder)
    decisions.decide("x/000000.tar/a/1.png", "exclude")
    decisions.decide("x/000000.tar/a/2.png", "caption", caption="a dog", before="a dgo")
    decisions.decide("x/000000.tar/a/3.jpg", "caption", caption="coffee", before="caf\u00e8")
    decisions.decide("x/000000.tar/a/4.png", "caption", caption="a tree")
    decisions.decide("x/000000.tar/a/5.v1.png", "exclude")
    return folder


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_a_tar_becomes_a_new_one(shards: Path, ending: str) -> None:
    """The new tar lacks what is excluded with its mask, has new captions, and the rest to the byte in its order."""
    if ending == "tar.gz":
        (shards / "x/000000.tar").rename(shards / "plain")
        write_tar(shards / "x/000000.tar.gz", FILES, "w:gz")
        (shards / "plain").unlink()
        lines = shards / "x/.captions-decisions.jsonl"
        lines.write_text(lines.read_text().replace(".tar/", ".tar.gz/"))
    source = shards / f"x/000000.{ending}"
    before, out = source.read_bytes(), shards.parent / "cleaned"
    done = loss_logging("apply", str(shards), "--out", str(out), "--to", "webdataset", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["kept"], len(said["corrected"]), said["tars"], said["warnings"]) == (4, 3, 1, [])
    assert said["excluded"] == [f"x/000000.{ending}/a/1.png", f"x/000000.{ending}/a/5.v1.png"]
    found = read_tar(out / f"x/000000.{ending}")
    assert list(found.items()) == [
        ("a/2.png", b"two"),
        ("a/2.txt", b"a dog"),
        ("a/3.jpg", b"three"),
        ("a/3.json", b'{"width": 5, "caption": "coffee"}'),
        ("a/4.png", b"four"),
        ("a/4.txt", b"a tree"),
        ("a/5.v2.png", b"five again"),
        ("a/5.v2.txt", b"a wolf"),
        ("README", b"no sample"),
    ]
    assert source.read_bytes() == before
    read = {one.path: one.caption for one in read_shard(out / f"x/000000.{ending}", out) if one.data is not None}
    assert read[f"x/000000.{ending}/a/4.png"] == "a tree"


def test_one_tar(shards: Path) -> None:
    """A tar can be given by itself; for another trainer it is said what to do."""
    out = shards.parent / "cleaned"
    shard = shards / "x/000000.tar"
    assert loss_logging("apply", str(shard), "--out", str(out), "--to", "webdataset").returncode == 0
    assert "a/1.png" not in read_tar(out / "000000.tar")
    refused = loss_logging("apply", str(shard), "--out", str(out / "more"), "--to", "kohya")
    assert refused.returncode == 1
    assert "a tar with --to webdataset" in refused.stderr


def test_images_beside_tars(shards: Path) -> None:
    """Images in the folder come into tars of other names than those that are there."""
    write_tar(shards / "000000.tar", {"7.png": b"seven"})
    (shards / "8.png").write_bytes(b"eight")
    dataset = clean(shards, tars=True)
    write_cleaned(dataset, shards.parent / "cleaned", "webdataset")
    assert read_tar(shards.parent / "cleaned/000000.tar") == {"7.png": b"seven"}
    assert read_tar(shards.parent / "cleaned/000001.tar") == {"8.png": b"eight"}


def test_unsafe_names(tmp_path: Path) -> None:
    """Links, absolute names and names with .. are left out of the new tar, and said."""
    link = tarfile.TarInfo("b.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    files = {"a.png": b"a", "../c.png": b"c", "/d.png": b"d"}
    shard = write_tar(tmp_path / "in/1.tar", files, "w", link)
    dataset = clean(shard, tars=True)
    write_cleaned(dataset, tmp_path / "out", "webdataset")
    assert read_tar(tmp_path / "out/1.tar") == {"a.png": b"a"}
    assert "files in 1.tar that are links, or lead outside it: 3" in dataset.warnings[0]


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_a_damaged_tar(tmp_path: Path, damage: str) -> None:
    """A tar that cannot be read to its end is named, and nothing is left where the new one was to be."""
    shard = write_tar(tmp_path / "in/1.tar", {"a.png": bytes(50_000), "a.txt": b"a cat", "b.png": bytes(50_000)})
    data = shard.read_bytes()
    shard.write_bytes(data[:80_000] if damage == "cut" else b"no tar" * 200)
    with pytest.raises(LossLoggingError, match=r"1\.tar cannot be read as a tar"):
        write_cleaned(clean(shard, tars=True), tmp_path / "out", "webdataset")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_changed_since(shards: Path) -> None:
    """A caption in a tar that was changed after its correction stays, and is named."""
    write_tar(shards / "x/000000.tar", FILES | {"a/2.txt": b"a wolf"})
    dataset = clean(shards, tars=True)
    assert "x/000000.tar/a/2.png was changed after" in dataset.warnings[0]
    assert {one.path for one in dataset.corrected} == {"x/000000.tar/a/3.jpg", "x/000000.tar/a/4.png"}
