from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from command import loss_logging
from PIL import Image

from loss_logging.captions.folder.cleaned import clean
from loss_logging.captions.folder.cleaned_files import write_cleaned


def test_numbered_folders(photos: Path) -> None:
    """kohya's configuration repeats folders as their names say, and leaves out those that are switched off."""
    (photos / "cats").rename(photos / "10_sks cat")
    (photos / "dogs").rename(photos / "0_off")
    config = write_cleaned(clean(photos), photos.parent / "cleaned", "kohya")
    assert config is not None
    text = config.read_text("utf-8")
    assert "num_repeats = 10" in text
    assert 'class_tokens = "sks cat"' in text
    assert "0_off" not in text


def test_numbered_shards(photos: Path) -> None:
    """Folders such as 000 are shards of one dataset: none is switched off or repeated."""
    (photos / "cats").rename(photos / "000")
    (photos / "dogs").rename(photos / "012")
    (photos / "7").mkdir()
    (photos / "7/1.png").write_bytes(b"seven")
    config = write_cleaned(clean(photos), photos.parent / "cleaned", "kohya")
    assert config is not None
    lines = config.read_text("utf-8").splitlines()
    assert [line[-5:].strip('/"') for line in lines if line.startswith("image_dir")] == ["000", "012", "es/7"]
    assert [line for line in lines if "repeats" in line] == ["num_repeats = 7"]


def test_videos_for_musubi(photos: Path) -> None:
    """They are in the configuration as videos: musubi passes over them in a folder of images."""
    (photos / "dogs/2.MP4").write_bytes(b"two")
    (photos / "clips").mkdir()
    (photos / "clips/1.mp4").write_bytes(b"one")
    config = write_cleaned(clean(photos), photos.parent / "cleaned", "musubi")
    assert config is not None
    lines = config.read_text("utf-8").splitlines()
    found = [(line.split("_")[0], line.strip('"')[-5:]) for line in lines if "_directory = " in line and line[0] != "c"]
    assert sorted(found) == [("image", "/cats"), ("image", "/dogs"), ("video", "/dogs"), ("video", "clips")]
    caches = [line for line in lines if line.startswith("cache_directory")]
    assert len(caches) == len(set(caches)) == 4


def test_tables_and_tars(photos: Path) -> None:
    """An imagefolder has its table, a webdataset the image, its caption and its mask under one key."""
    dataset = clean(photos)
    write_cleaned(dataset, photos.parent / "folder", "imagefolder")
    rows = [json.loads(line) for line in (photos.parent / "folder/metadata.jsonl").read_text().splitlines()]
    assert {row["file_name"]: row["text"] for row in rows}["cats/2.png"] == "a dog"
    write_cleaned(dataset, photos.parent / "tars", "webdataset")
    with tarfile.open(photos.parent / "tars/000000.tar") as tar:
        assert {name for name in tar.getnames() if name.startswith("cats")} == {
            *("cats/2.png", "cats/2.txt", "cats/3.png", "cats/3.txt", "cats/3.masklabel.png")
        }


@pytest.mark.parametrize(
    "names", [("1.5", "1_5"), ("1_5-2", "1_5", "1.5", "1.5.x"), ("a.b/1", "a.b/x.y", "x_y", "a.b/x_y")]
)
def test_each_image_has_a_key_of_its_own(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Names that would be one key, once their dots are replaced, stay samples of their own, with their captions."""
    for name in names:
        path = tmp_path / f"photos/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        path.with_name(f"{path.stem}.txt").write_text(name)
    write_cleaned(clean(tmp_path / "photos"), tmp_path / "tars", "webdataset")
    samples: dict[str, list[bytes]] = {}
    with tarfile.open(tmp_path / "tars/000000.tar") as tar:
        for member in tar:
            folder, slash, name = member.name.rpartition("/")
            file = tar.extractfile(member)
            assert file is not None
            samples.setdefault(f"{folder}{slash}{name.partition('.')[0]}", []).append(file.read())
    assert sorted(samples.values()) == sorted([name.encode()] * 2 for name in names)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("a/1", "b/2"), {"train": {"a/1", "b/2"}}),
        (("train/1", "test/2"), {"train": {"train/1"}, "test": {"test/2"}}),
        (("1_train/a_test", "1_train/2"), {"train": {"1_train/a_test", "1_train/2"}}),
        (("a_test/1", "b/2"), {"train": {"a_test/1", "b/2"}}),
        (("train/test/1", "train/2"), {"train": {"train/test/1", "train/2"}}),
        (("val", "2"), {"train": {"val", "2"}}),
    ],
)
def test_imagefolder_with_names_of_splits(
    tmp_path: Path, names: tuple[str, ...], splits: dict[str, set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """load_dataset reads every image and its caption, whatever names are those of splits to it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    for name in names:
        path = tmp_path / f"photos/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
        path.with_suffix(".txt").write_text(name)
    write_cleaned(clean(tmp_path / "photos"), tmp_path / "cleaned", "imagefolder")
    loaded = datasets.load_dataset(str(tmp_path / "cleaned"), cache_dir=str(tmp_path / "cache"))
    assert {split: set(rows["text"]) for split, rows in loaded.items()} == splits


def test_imagefolder_round_trip(photos: Path) -> None:
    """What diffusers reads of an imagefolder has new captions, and nothing that is excluded."""
    out = photos.parent / "cleaned"
    assert loss_logging("apply", str(photos), "--out", str(out), "--to", "imagefolder").returncode == 0
    read = loss_logging("check-captions", str(out), "--trainer", "diffusers", "--as-trained", "--json")
    rows = [json.loads(line) for line in read.stdout.splitlines()]
    trained = {Path(row["path"]).relative_to(out).as_posix(): row["captions"] for row in rows if row["captions"]}
    assert trained.keys() == {"cats/2.png", "cats/3.png", "dogs/1.png"}
    assert trained["cats/2.png"] == ["a dog"]
