"""loss_logging/evidence/folder.py and ``check-captions --pictures``"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from command import loss_logging
from PIL import Image
from sklearn.datasets import load_digits

from loss_logging.errors import LossLoggingError
from loss_logging.evidence.folder import PictureCheck, check_pictures

pytestmark = pytest.mark.xdist_group("pictures")  # which are looked at once

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COUNT = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """Handwritten digits, every tenth with the caption of another, and the last one twice; the wrong ones' paths."""
    root, digits, rng = tmp_path_factory.mktemp("photos"), load_digits(), random.Random(0)
    (root / "digits").mkdir()
    wrong = set()
    for i in range(COUNT):
        kind = int(digits.target[i])
        if i % 10 == 0:
            kind = (kind + rng.randint(1, 9)) % 10
            wrong.add(f"digits/{i:03d}.png")
        Image.fromarray((digits.images[i] * 15).astype("uint8")).save(root / "digits" / f"{i:03d}.png")
        (root / "digits" / f"{i:03d}.txt").write_text(f"a handwritten {NAMES[kind]}")
    for suffix in ("png", "txt"):
        again = root / "digits" / f"again.{suffix}"
        again.write_bytes((root / "digits" / f"{COUNT - 1:03d}.{suffix}").read_bytes())
    return root, wrong


@pytest.fixture(scope="module")
def found(folder: tuple[Path, set[str]]) -> PictureCheck:
    """What the pictures of the folder say."""
    return check_pictures(folder[0], progress=False)


def test_captions_that_their_picture_contradicts(folder: tuple[Path, set[str]], found: PictureCheck) -> None:
    """Nearly all that is named is wrong, and nearly all that is wrong is in the first bin."""
    _, wrong = folder
    named = {path for path, _, _ in found.reasons}
    assert found.captions == COUNT + 1
    first = {path for (path, _, _), reason in found.reasons.items() if reason.severity == "warning"}
    assert len(named & wrong) >= 0.9 * len(named)
    assert len(first & wrong) >= 0.9 * len(first)
    assert len(first & wrong) >= 0.8 * len(wrong)


def test_the_word_and_a_better_one_are_named(found: PictureCheck) -> None:
    """The message has both, and the span marks the wrong one."""
    (_, _, caption), reason = max(found.reasons.items(), key=lambda pair: pair[1].score)
    assert reason.span is not None
    assert caption[slice(*reason.span)] in NAMES
    assert "fits it better than" in reason.message


def test_pictures_that_are_the_same_are_named(found: PictureCheck) -> None:
    """Nearly the same pictures are a group."""
    group = [f"digits/{COUNT - 1:03d}.png", "digits/again.png"]
    assert group in [sorted(paths) for paths in found.near_duplicates]


@pytest.mark.parametrize("given", ["photos", ".", "./photos/", "../{}/photos", "photos/captions.csv"])
def test_a_folder_by_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """As one types it: the pictures are found, and are named as by an absolute path; so are those that do not open."""
    digits, root = load_digits(), tmp_path / "photos"
    root.mkdir()
    rows = ["file,caption"]
    for i in range(30):
        Image.fromarray((digits.images[i] * 15).astype("uint8")).save(root / f"{i}.png")
        rows.append(f"{i}.png,a handwritten {NAMES[digits.target[i]]}")
    (root / "broken.png").write_bytes(b"no picture")
    (root / "captions.csv").write_text("\n".join([*rows, "broken.png,a handwritten nothing"]) + "\n")
    monkeypatch.chdir(root if given == "." else tmp_path)
    found = check_pictures(given.format(tmp_path.name), progress=False)
    expected = check_pictures(root, progress=False)
    assert found.captions == 30
    assert found == expected


def test_the_command_counts_them_with_the_rules(folder: tuple[Path, set[str]]) -> None:
    """--pictures adds a rule to what check-captions finds; the ignore list and the exit status know it."""
    root, wrong = folder
    command = ("check-captions", root, "--pictures", "--json")
    done = loss_logging(*command, "--fail-on", "warning")
    check = json.loads(done.stdout)
    named = {f["path"] for f in check["findings"] if f["rule"] == "picture" and f["severity"] == "warning"}
    assert done.returncode == 1
    assert named & wrong
    ignored = root / ".captions-ignore"
    ignored.write_text("".join(f"picture {path}\n" for path in sorted(named)))
    try:
        again = loss_logging(*command)
    finally:
        ignored.unlink()
    assert not named & {f["path"] for f in json.loads(again.stdout)["findings"] if f["rule"] == "picture"}


def test_few_pictures_say_nothing(tmp_path: Path) -> None:
    """From three pictures nothing is learnt, and a note says so."""
    for name in "abc":
        Image.new("L", (8, 8)).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text(f"a picture of {name}")
    found = check_pictures(tmp_path, progress=False)
    assert (found.reasons, found.captions) == ({}, 3)
    assert "too few" in " ".join(found.notes)


def walls(folder: Path, count: int) -> list[str]:
    """Pictures of walls in one of three colours; their colours."""
    colours = ["red", "green", "blue"] * (count // 3)
    for i, colour in enumerate(colours):
        Image.new("RGB", (8, 8), colour).save(folder / f"{i}.png")
    return colours


def test_videos_are_left_out_by_name(tmp_path: Path) -> None:
    """A captioned video among pictures is no picture; the others are compared."""
    for i, colour in enumerate(walls(tmp_path, 30)):
        (tmp_path / f"{i}.txt").write_text(f"a {colour} wall")
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    (tmp_path / "clip.txt").write_text("a red wall")
    found = check_pictures(tmp_path, progress=False)
    assert found.captions == 30
    assert "1 of 31 pictures do not open and are left out: clip.mp4 (no image that Pillow knows)" in found.notes


def test_several_captions_of_a_picture_are_judged_each_and_are_no_duplicates(tmp_path: Path) -> None:
    """Right in other words, none accuses another, and a picture is not nearly the same as itself."""
    rows = [
        f"{i}.png,{caption}"
        for i, colour in enumerate(walls(tmp_path, 60))
        for caption in (f"a {colour} wall", f"{colour} surface in paint")
    ]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,caption", *rows]))
    found = check_pictures(tmp_path, progress=False)
    assert (found.captions, found.reasons) == (120, {})
    assert found.near_duplicates
    assert all(len(set(group)) == len(group) for group in found.near_duplicates)


def test_no_picture_opens(tmp_path: Path) -> None:
    """Captions without pictures are an error that says so."""
    (tmp_path / "captions.csv").write_text("file_name,caption\n1.png,a cat\n2.png,a dog\n")
    with pytest.raises(LossLoggingError, match="opens"):
        check_pictures(tmp_path, progress=False)
