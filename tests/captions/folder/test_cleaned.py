"""loss_logging/captions/folder: cleaned, cleaned_files; and the command"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from captioned_folders import contents
from command import loss_logging

from loss_logging.captions.decisions import Decisions
from loss_logging.captions.folder.cleaned import clean
from loss_logging.captions.folder.cleaned_files import check_out
from loss_logging.errors import ConfigError

TRAINERS = ("kohya", "ai-toolkit", "musubi", "simpletuner")


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


def test_dry_run_writes_nothing(photos: Path) -> None:
    """--dry-run says what is excluded and corrected, and makes no folder."""
    out = photos.parent / "cleaned"
    done = loss_logging("apply", str(photos), "--out", str(out), "--to", "kohya", "--dry-run")
    assert "excluded: cats/1.png" in done.stderr
    assert "from 'a dgo' to 'a dog'" in done.stderr
    assert not out.exists()


def test_a_correction_of_a_file_of_which_one_line_is_read(tmp_path: Path) -> None:
    """It is counted once it is on disk, made where it is not, and said to be changed only where it is."""
    image = tmp_path / "10_sks dog" / "1.png"
    image.parent.mkdir()
    image.touch()
    Decisions(tmp_path).decide(str(image), "caption", caption="a dog\nN/A", before="a dgo\nN/A")
    for text, caption, said in (
        ("a dog\nN/A\n", "a dog", False),
        ("a dgo\nN/A\n", "a dog\nN/A", False),
        ("a wolf", "a wolf", True),
    ):
        image.with_suffix(".txt").write_text(text)
        dataset = clean(tmp_path)
        assert [one.caption for one in dataset.images] == [caption]
        assert [bool(dataset.corrected), bool(dataset.warnings)] == [not said, said]


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
    assert "cats/1.png, which does not exist" in said
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


@pytest.mark.parametrize("closed", ["photos", "photos/in"])
def test_closed_folders(closed: str) -> None:
    """A folder that this user may not read is an error; one inside is named, and the rest is taken."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from loss_logging.captions.folder.cleaned import clean\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"  # root may read everything
        "dataset = clean(Path(sys.argv[1]))\n"
        "print(dataset.kept, dataset.warnings)\n"
    )
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        for name in ("photos/1.png", "photos/in/2.png"):
            path = Path(root, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"image")
        Path(root, closed).chmod(0)
        command = [sys.executable, "-c", code, f"{root}/photos"]
        done = subprocess.run(command, capture_output=True, text=True)
        Path(root, closed).chmod(0o755)
    said = done.stderr if closed == "photos" else done.stdout
    assert "Permission denied" in said, done.stderr
    assert closed in said
    assert closed == "photos" or done.stdout.startswith("1 ")
