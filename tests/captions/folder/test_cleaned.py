"""loss_logging/captions/folder: cleaned, cleaned_files; and the command"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from captioned_folders import loss_logging

from loss_logging.captions.decisions import Decisions
from loss_logging.captions.folder.cleaned import clean
from loss_logging.captions.folder.cleaned_files import check_out, write_cleaned
from loss_logging.errors import ConfigError

TRAINERS = ("kohya", "ai-toolkit", "musubi", "simpletuner")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four pictures in two folders: one excluded with its mask, one corrected, two as they were."""
    folder = tmp_path / "photos"
    for name, text in {"cats/1": "a cat", "cats/2": "a dgo", "cats/3": "caf\xe9", "dogs/1": "a dog"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").write_bytes(name.encode())
        (folder / f"{name}.txt").write_bytes(text.encode("latin-1"))
    for name in ("1", "3"):
        (folder / f"cats/{name}-masklabel.png").write_bytes(b"mask")
    decisions = Decisions(folder)
    decisions.decide("cats/1.png", "exclude")
    decisions.decide("cats/2.png", "caption", caption="a dog", before="a dgo")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("trainer", TRAINERS)
def test_round_trip(photos: Path, trainer: str) -> None:
    """A trainer that reads the result with its configuration gets new captions, and nothing that is excluded."""
    before, out = contents(photos), photos.parent / "cleaned"
    done = loss_logging("apply", str(photos), "--out", str(out), "--to", trainer, "--json")
    assert done.returncode == 0, done.stderr
    config = json.loads(done.stdout)["configuration"]
    read = loss_logging(
        "check-captions", str(out), "--trainer", trainer, "--trainer-config", config, "--as-trained", "--json"
    )
    images = out if trainer == "simpletuner" else out / "images"
    rows = [json.loads(line) for line in read.stdout.splitlines()]
    trained = {Path(row["path"]).relative_to(images).as_posix(): row["captions"] for row in rows if row["captions"]}
    assert trained.keys() == {"cats/2.png", "cats/3.png", "dogs/1.png"}, read.stdout + read.stderr
    assert trained["cats/2.png"] == ["a dog"]
    mask = "cats/3-masklabel.png" if trainer == "simpletuner" else "masklabel/cats/3.png"
    assert [path for path in out.rglob("*.png") if path.read_bytes() == b"mask"] == [out / mask]
    assert (images / "cats/3.txt").read_bytes() == b"caf\xe9"
    assert contents(photos) == before
    assert (images / "cats/2.png").samefile(photos / "cats/2.png")
    assert not (images / "cats/3.txt").samefile(photos / "cats/3.txt")


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


def test_dry_run_writes_nothing(photos: Path) -> None:
    """--dry-run says what is excluded and corrected, and makes no folder."""
    out = photos.parent / "cleaned"
    done = loss_logging("apply", str(photos), "--out", str(out), "--to", "kohya", "--dry-run")
    assert "excluded: cats/1.png" in done.stderr
    assert "'a dgo' is 'a dog'" in done.stderr
    assert not out.exists()


def test_changed_since_and_gone(photos: Path) -> None:
    """A caption that was changed after its correction stays; a decision for an image that is gone is said."""
    (photos / "cats/2.txt").write_text("a wolf")
    (photos / "cats/1.png").unlink()
    dataset = clean(photos, ["dogs/1.png", "dogs/7.png"])
    assert not dataset.corrected
    assert dataset.excluded == ["dogs/1.png"]
    assert {image.name: image.caption for image in dataset.images}["cats/2.png"] == "a wolf"
    said = "\n".join(dataset.warnings)
    assert "changed after" in said
    assert "cats/1.png, which is not there" in said
    assert "7.png is to be excluded" in said


@pytest.mark.parametrize("out", ["photos", "photos/in", ".", "full"])
def test_the_original_is_never_touched(photos: Path, out: str) -> None:
    """A place in the original, above it, or one that holds something is refused."""
    (photos.parent / "full").mkdir()
    (photos.parent / "full/file").touch()
    with pytest.raises(ConfigError, match=r"--out is .*allowed"):
        check_out(photos, photos.parent / out)


def test_disk_full(photos: Path) -> None:
    """Where a file cannot be written whole, nothing is left, and the original is as it was."""
    (photos / "dogs/1.png").write_bytes(bytes(200_000))
    before = contents(photos)
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from loss_logging.captions.folder.cleaned import clean\n"
        "from loss_logging.captions.folder.cleaned_files import write_cleaned\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "dataset = clean(Path(sys.argv[1]))\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, {resource.RLIM_INFINITY}))\n"
        "write_cleaned(dataset, Path(sys.argv[2]), 'webdataset')\n"
    )
    out = photos.parent / "cleaned"
    done = subprocess.run([sys.executable, "-c", code, str(photos), str(out)], capture_output=True, text=True)
    assert "File too large" in done.stderr
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]
    assert contents(photos) == before
