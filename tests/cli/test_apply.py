"""loss_logging/cli/commands/apply: runs and folders, and what is refused"""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import loss_logging

from loss_logging import LossLogger
from loss_logging.captions.decisions import DECISIONS_FILE, Decision, DecisionFile, Decisions

CAPTIONS = {"cats/1": "a cat", "cats/2": "a dgo", "cats/3": "a sofa", "dogs/4": "a dog"}


def apply(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return loss_logging("apply", *arguments, cwd=cwd)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four pictures in two folders, with captions in text files; nothing is decided."""
    for name, caption in CAPTIONS.items():
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        path.with_suffix(".txt").write_text(caption)
    return tmp_path / "photos"


def train(root: Path, items: dict[str, str], **options: Any) -> Path:
    """A run that logs a loss of each item."""
    with LossLogger(job_name="job", save_root=root, loggers=[], reporter="inline", save_every=1, **options) as losses:
        losses.log_batch(
            1, np.ones(len(items)), paths=[*items], datasets=["d"] * len(items), captions=[*items.values()]
        )
        losses.save_step(1).result(60)
    return root


@pytest.fixture
def run(photos: Path) -> Path:
    """A run on three of the pictures, by their absolute paths, with the trigger word that the trainer has added."""
    names = ("cats/1", "cats/2", "dogs/4")
    return train(photos.parent / "run", {str(photos / f"{name}.png"): f"sks {CAPTIONS[name]}" for name in names})


def test_a_run(run: Path, photos: Path) -> None:
    """Of a run, the images it was trained on are taken, with the captions of their files; its own decisions count."""
    own = DecisionFile(run / "loss_logging/job_decisions.jsonl")
    own.append(Decision(path=str(photos / "cats/1.png"), decision="exclude"))
    Decisions(photos).decide("cats/2.png", "caption", caption="a dog", before="a dgo")
    before, out = contents(photos), photos.parent / "cleaned"
    done = apply(run, "--out", out, "--to", "simpletuner", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["kept"], said["excluded"], len(said["corrected"])) == (2, ["cats/1.png"], 1)
    assert {name: data.decode() for name, data in contents(out).items() if name.endswith(".txt")} == {
        "cats/2.txt": "a dog",
        "dogs/4.txt": "a dog",
    }
    assert not (out / "cats/3.png").exists()  # in the folder, and not in the run
    assert contents(photos) == before


def test_paths_relative_to_a_folder(photos: Path) -> None:
    """--images says where the relative paths of a run are; without it they are below the current folder."""
    run = train(photos.parent / "run", {f"{name}.png": caption for name, caption in CAPTIONS.items()})
    Decisions(photos).decide("cats/1.png", "exclude")
    lost = apply(run, "--out", photos.parent / "a", "--to", "kohya", cwd=photos.parent)
    assert lost.returncode == 1
    assert "--images" in lost.stderr
    assert apply(run, "--out", photos.parent / "b", "--to", "kohya", cwd=photos).returncode == 0
    done = apply(run, "--out", photos.parent / "c", "--to", "kohya", "--images", photos, "--json")
    assert json.loads(done.stdout)["excluded"] == ["cats/1.png"]


def test_the_folder_that_the_run_names(photos: Path) -> None:
    """Where the run says what its relative paths are of, that counts for its images, decisions and lists."""
    run = train(photos.parent / "run", {f"{name}.png": caption for name, caption in CAPTIONS.items()}, images=photos)
    Decisions(photos).decide("cats/1.png", "exclude")
    (photos.parent / "list.txt").write_text("dogs/4.png\n")
    out = photos.parent / "out"
    done = apply(
        run, "--out", out, "--to", "kohya", "--exclude", photos.parent / "list.txt", "--json", cwd=photos.parent
    )
    assert json.loads(done.stdout)["excluded"] == ["cats/1.png", "dogs/4.png"]


@pytest.mark.parametrize("of", ["run", "photos"])
@pytest.mark.parametrize("how", ["export", "export ..", "export link", "jsonl"])
def test_a_list_names_images_as_the_log_does(photos: Path, of: str, how: str) -> None:
    """What export writes, or a file of decisions, is left out of the run's images and of the folder's."""
    root = photos.parent
    (root / "link").symlink_to("photos")
    (root / "work").mkdir()
    before = {"export": "photos", "export ..": "../photos", "export link": "link", "jsonl": "photos"}[how]
    cwd = root / "work" if how == "export .." else root
    paths = {f"{before}/{name}.png": caption for name, caption in CAPTIONS.items()}
    train(root / "run", paths)
    listed = root / ("photos/some.jsonl" if how == "jsonl" else "exclude.txt")
    if how == "jsonl":
        listed.write_text('{"path": "cats/2.png", "decision": "exclude"}\n')
    else:
        export = ("export", root / "run", "--to", "exclude-list", "--worst", "average_loss:2", "--out", listed)
        assert loss_logging(*export).returncode == 0
    name = os.path.relpath(listed, cwd)
    done = apply(
        os.path.relpath(root / of, cwd), "--out", root / "out", "--to", "kohya", "--exclude", name, "--json", cwd=cwd
    )
    said = json.loads(done.stdout)
    assert (said["excluded"], said["warnings"]) == (
        ["cats/2.png"] if how == "jsonl" else ["cats/1.png", "cats/2.png"],
        [],
    )


def test_a_list_of_other_images(run: Path, photos: Path) -> None:
    """Where no path of the list is of these images, the error says so and names one."""
    listed = photos.parent / "exclude.txt"
    listed.write_text("typo.png\n")
    done = apply(run, "--out", photos.parent / "out", "--to", "kohya", "--exclude", listed)
    said = " ".join(done.stderr.split())
    assert done.returncode == 1
    assert "exclude.txt is that of an image of" in said
    assert "typo.png is to be excluded, and does not exist" in said


def test_captions_from_the_log_and_the_table_above(run: Path, photos: Path) -> None:
    """A caption is from the table above its image, or from the log where no file has it; what is gone is said."""
    for name in ("cats/2", "dogs/4"):
        (photos / f"{name}.txt").unlink()
    (photos / "cats/1.png").unlink()
    (photos / "metadata.jsonl").write_text('{"file_name": "cats/2.png", "text": "from the table"}\n')
    out = photos.parent / "cleaned"
    done = apply(run, "--out", out, "--to", "imagefolder", "--all", "--json")
    rows = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    found = {row["file_name"]: row["text"] for row in rows}
    assert found == {"cats/2.png": "from the table", "dogs/4.png": "sks a dog"}
    said = " ".join(json.loads(done.stdout)["warnings"])
    assert "images of the run that are not on this machine: 1" in said
    assert "images without a caption on disk: 1" in said


def test_a_run_on_tars(photos: Path) -> None:
    """A run on images in a tar gives a new tar; for others it is said where they are taken."""
    shard = photos.parent / "shards/0.tar"
    shard.parent.mkdir()
    with tarfile.open(shard, "w") as tar:
        for path in sorted(photos.rglob("*.*")):
            tar.add(path, path.name)
    run = train(photos.parent / "run", {f"0.tar/{Path(name).name}.png": text for name, text in CAPTIONS.items()})
    Decisions(shard.parent).decide("0.tar/1.png", "exclude")
    out = photos.parent / "cleaned"
    done = apply(run, "--images", shard.parent, "--out", out, "--to", "webdataset", "--json")
    assert json.loads(done.stdout)["excluded"] == ["0.tar/1.png"]
    with tarfile.open(out / "0.tar") as tar:
        assert {name for name in tar.getnames() if name.endswith(".png")} == {"2.png", "3.png", "4.png"}
    refused = apply(run, "--images", shard.parent, "--out", photos.parent / "new", "--to", "kohya")
    assert "include them with --to webdataset" in refused.stderr
    assert not (photos.parent / "new").exists()


def test_masks_of_a_run(run: Path, photos: Path) -> None:
    """Masks go with the images of a run, and leave with those that are excluded."""
    for name in ("cats/1", "cats/2", "cats/3"):
        (photos / f"{name}-masklabel.png").write_bytes(b"mask of " + name.encode())
    Decisions(photos).decide("cats/1.png", "exclude")
    assert apply(run, "--out", photos.parent / "new", "--to", "kohya").returncode == 0
    masks = {data for data in contents(photos.parent / "new").values() if data.startswith(b"mask")}
    assert masks == {b"mask of cats/2"}


def test_nothing_decided(photos: Path) -> None:
    """Where nothing was decided the command says so and makes nothing, unless --all asks for it."""
    out = photos.parent / "cleaned"
    done = apply(photos, "--out", out, "--to", "musubi")
    assert done.returncode == 1
    assert "there are no decisions" in done.stderr
    assert "--all" in done.stderr
    assert not out.exists()
    assert apply(photos, "--out", out, "--to", "musubi", "--all").returncode == 0
    assert len([*(out / "images").rglob("*.png")]) == 4


def test_a_correction_on_disk(photos: Path) -> None:
    """A caption that was corrected in its file counts as corrected, and is taken to the byte."""
    (photos / "cats/2.txt").write_bytes(b"a dog\r\n")
    Decisions(photos).decide("cats/2.png", "caption", caption="a dog", before="a dgo")
    out = photos.parent / "cleaned"
    said = json.loads(apply(photos, "--out", out, "--to", "simpletuner", "--json").stdout)
    assert said["corrected"] == [{"path": "cats/2.png", "before": "a dgo", "caption": "a dog"}]
    assert (out / "cats/2.txt").read_bytes() == b"a dog\r\n"


@pytest.mark.parametrize("kind", ["image", "caption", "folder", "mask"])
def test_links_that_lead_outside(photos: Path, kind: str) -> None:
    """What a link outside of the folder gives is left out, and said."""
    other = photos.parent / "other"
    other.mkdir()
    (other / "9.png").write_bytes(b"nine")
    (other / "9.txt").write_text("secret")
    if kind == "folder":
        (photos / "more").symlink_to(other)
    elif kind == "image":
        (photos / "9.png").symlink_to(other / "9.png")
    elif kind == "mask":
        (photos / "cats/3-masklabel.png").symlink_to(other / "9.png")
    else:
        (photos / "9.png").write_bytes(b"nine")
        (photos / "9.txt").symlink_to(other / "9.txt")
    out = photos.parent / "cleaned"
    done = apply(photos, "--out", out, "--to", "simpletuner", "--all", "--json")
    said = json.loads(done.stdout)
    assert said["kept"] == 4
    assert "files that lead outside of" in said["warnings"][0]
    assert b"secret" not in contents(out).values()
    assert b"nine" not in contents(out).values()


def test_a_link_within(photos: Path) -> None:
    """A link that stays in the folder is an image as any other; the result has the image itself."""
    (photos / "cats/9.png").symlink_to("1.png")
    out = photos.parent / "cleaned"
    assert apply(photos, "--out", out, "--to", "simpletuner", "--all").returncode == 0
    assert (out / "cats/9.png").samefile(photos / "cats/1.png")
    assert not (out / "cats/9.png").is_symlink()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["photos", "--out", "photos/in"], "--out is photos/in; allowed: a folder outside of photos"),
        (["photos", "--out", "full"], "is not empty"),
        (["photos", "--out", "photos/../photos/in"], "allowed: a folder outside"),
        (["nothing", "--out", "new"], "nothing does not exist"),
        (["full/file", "--out", "new"], "allowed: a folder of captioned images"),
        (["photos", "--out", "new", "--exclude", "up.txt"], "exclude: got '../1.png'; allowed: a path in"),
        (["photos", "--out", "new", "--exclude", "all.txt"], "4 images are excluded"),
        (["photos", "--out", "new", "--exclude", "none.txt"], "none.txt: no such file"),
        (["photos", "--out", "new", "--images", "photos"], "is no run; this option is only for runs"),
        (["photos@5", "--out", "new"], "photos"),
        (["run", "--out", "photos/cats/in"], "allowed: a folder outside"),
        (["run", "--out", "new", "--job", "other"], "no run named 'other'"),
    ],
)
def test_refused(run: Path, photos: Path, arguments: list[str], said: str) -> None:
    """What cannot be done is said in words, nothing is written, and the original is as it was."""
    root = photos.parent
    (root / "full").mkdir()
    (root / "full/file").touch()
    (root / "up.txt").write_text("../1.png\n")
    (root / "all.txt").write_text("".join(f"{name}.png\n" for name in CAPTIONS))
    before = contents(root)
    done = apply(*arguments, "--to", "kohya", cwd=root)
    assert done.returncode in (1, 2)
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert contents(root) == before


def test_a_folder_inside_that_cannot_be_read(photos: Path) -> None:
    """What cannot be read inside the folder is named, and the rest is taken."""
    (photos / "loop").symlink_to("loop")
    done = apply(photos, "--out", photos.parent / "new", "--to", "kohya", "--all", "--json")
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["kept"] == 4
    assert "loop was left out" in said["warnings"][0]


def test_dry_run_in_words(photos: Path) -> None:
    """--dry-run counts what would be linked, written and left out, and its JSON is that of the deed."""
    Decisions(photos).decide("cats/1.png", "exclude")
    out = photos.parent / "cleaned"
    words = apply(photos, "--out", out, "--to", "webdataset", "--dry-run").stderr
    assert "3 images would be in" in words
    assert "copied into tars" in words
    assert "1 excluded" in words
    dry = json.loads(apply(photos, "--out", out, "--to", "webdataset", "--dry-run", "--json").stdout)
    assert not out.exists()
    wet = json.loads(apply(photos, "--out", out, "--to", "webdataset", "--json").stdout)
    assert dry | {"written": True} == wet
    assert not (out / DECISIONS_FILE).exists()


@pytest.mark.parametrize("target", ["kohya", "ai-toolkit", "musubi", "simpletuner", "imagefolder", "webdataset"])
def test_names_in_another_encoding(photos: Path, target: str) -> None:
    """Names that are no UTF-8 are taken over or left out as others, and printed as well as they can be."""
    for name in (b"caf\xe9.png", b"th\xe9.png", b"d\xe9/1.png"):
        path = photos / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name)
    listed = photos.parent / "exclude.txt"
    listed.write_bytes(b"caf\xe9.png\n")
    done = apply(photos, "--out", photos.parent / "new", "--to", target, "--exclude", listed, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["kept"], said["excluded"]) == (6, ["caf\ufffd.png"])
    assert apply(photos, "--out", photos.parent / "x", "--to", target, "--exclude", listed, "--dry-run").returncode == 0
