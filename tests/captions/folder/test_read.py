"""loss_logging/captions/folder: read, tables, decoding and problems"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from captioned_folders import PNG, captions, kinds, read, write

from loss_logging.captions.folder.read import class_tokens
from loss_logging.errors import LossLoggingError

# --- layouts ------------------------------------------------------------------------------------------------------


def test_text_beside_images(tmp_path: Path) -> None:
    """Images and videos of any suffix go with the .txt or .caption of their name; without one, the caption is None."""
    write(
        tmp_path / "cats",
        {
            "1.png": PNG,
            "1.txt": "a cat\n",
            "2.JPEG": PNG,
            "2.caption": "two cats",
            "3.webp": PNG,
            "4.mp4": PNG,
            "4.txt": "a cat\nruns\r\n",
            "x.y.png": PNG,
            "x.y.txt": "",
            ".hidden.png": PNG,
            "latents.safetensors": PNG,
        },
    )
    expected = {"1.png": "a cat", "2.JPEG": "two cats", "3.webp": None, "4.mp4": "a cat\nruns", "x.y.png": ""}
    assert captions(tmp_path / "cats") == expected
    files, _ = read(tmp_path / "cats")
    assert {file.dataset for file in files} == {"cats"}
    assert [Path(file.source).name if file.source else None for file in files] == [
        *("1.txt", "2.caption", None, "4.txt", "x.y.txt")
    ]


def test_nested_folders_are_datasets(tmp_path: Path) -> None:
    """A dataset is a folder, named from the top; folders of digits are shards of the one above."""
    write(
        tmp_path / "all",
        {
            "a.png": PNG,
            "a.txt": "a",
            "cats/b.png": PNG,
            "cats/b.txt": "b",
            "cats/old/c.png": PNG,
            "cats/old/c.txt": "c",
            "cats/00001/d.png": PNG,
            "cats/00001/d.txt": "d",
        },
    )
    files, problems = read(tmp_path / "all")
    assert not problems.kept
    assert {file.caption: file.dataset for file in files} == {"a": "all", "b": "cats", "c": "cats/old", "d": "cats"}


def test_kohya_folders(tmp_path: Path) -> None:
    """Folders named N_tokens are datasets of that name; images beside them, which kohya does not read, are named."""
    write(
        tmp_path / "img",
        {"10_sks dog/1.png": PNG, "10_sks dog/1.txt": "sks dog runs", "1_dog/2.png": PNG, "3.png": PNG, "3.txt": "a"},
    )
    files, problems = read(tmp_path / "img")
    assert {file.dataset: file.caption for file in files} == {"10_sks dog": "sks dog runs", "1_dog": None, "img": "a"}
    assert kinds(problems) == {"not_read": 1, "usual_suffix": 1}
    assert [class_tokens(name) for name in ("10_sks dog", "img/1_dog", "img", "10")] == ["sks dog", "dog", None, None]


def test_kohya_metadata(tmp_path: Path) -> None:
    """meta_cap.json maps file names, with or without suffix, to captions and tags, which kohya joins by a comma."""
    meta = {"1": {"caption": "a cat"}, "sub/2": {"tags": "cat, solo"}, "3.png": {"caption": "c", "tags": "t"}}
    write(tmp_path, {"1.png": PNG, "sub/2.png": PNG, "3.png": PNG, "4.png": PNG, "meta_cap.json": json.dumps(meta)})
    assert captions(tmp_path) == {"1.png": "a cat", "sub/2.png": "cat, solo", "3.png": "c,t", "4.png": None}


@pytest.mark.parametrize("column", ["text", "caption", "prompt", "TEXT"])
def test_image_folder_with_json_lines(tmp_path: Path, column: str) -> None:
    """Hugging Face's metadata.jsonl covers its folder and those below; lines are counted from 1."""
    rows = [{"file_name": "1.png", column: "a cat"}, {"file_name": "sub/2.png", column: None}]
    write(
        tmp_path,
        {
            "train/1.png": PNG,
            "train/sub/2.png": PNG,
            "train/3.png": PNG,
            "train/metadata.jsonl": "\n".join(map(json.dumps, rows)),
        },
    )
    assert captions(tmp_path) == {"train/1.png": "a cat", "train/sub/2.png": None, "train/3.png": None}
    files, _ = read(tmp_path)
    assert [(file.dataset, file.line) for file in files] == [("train", 1), ("train", 2), ("train", None)]


def test_single_files(tmp_path: Path) -> None:
    """An image and its text are the same item, whichever is named."""
    write(tmp_path / "cats", {"1.png": PNG, "1.txt": "a cat", "2.png": PNG, "2.txt": "two", "sub/3.png": PNG})
    for name in ("1.png", "1.txt"):
        files, _ = read(tmp_path / "cats" / name)
        assert [(Path(f.path).name, f.dataset, f.caption) for f in files] == [("1.png", "cats", "a cat")]
    with pytest.raises(LossLoggingError, match="does not exist"):
        read(tmp_path / "none")
    with pytest.raises(LossLoggingError, match=r"allowed: .*\.jsonl"):
        read(write(tmp_path, {"a.exe": b""}) / "a.exe")


def test_captions_alone(tmp_path: Path) -> None:
    """A folder of captions without images is read; among images, a caption without image is named instead."""
    write(tmp_path, {"alone/1.txt": "a cat", "alone/2.txt": "a dog", "images/1.png": PNG, "images/2.txt": "a bird"})
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == ["a cat", "a dog", None]
    assert kinds(problems) == {"no_image": 1}
    assert problems.kept[0].path.endswith("2.txt")


def test_several_captions(tmp_path: Path) -> None:
    """Each of an image's captions is read, and the image is named."""
    write(
        tmp_path,
        {
            "1.png": PNG,
            "1.txt": "from txt",
            "1.caption": "from caption",
            "2.png": PNG,
            "2.txt": "from txt",
            "metadata.jsonl": '{"file_name": "2.png", "text": "from the table"}',
        },
    )
    files, problems = read(tmp_path)
    assert sorted((Path(f.path).name, f.caption) for f in files) == [
        *(("1.png", "from caption"), ("1.png", "from txt"), ("2.png", "from the table"), ("2.png", "from txt"))
    ]
    assert kinds(problems) == {"two_captions": 2}


# --- bad input ----------------------------------------------------------------------------------------------------


def test_link_loops(tmp_path: Path) -> None:
    """A link to a folder above is named and not followed; one to another place is read; a dead one is named."""
    write(tmp_path / "top", {"cats/1.png": PNG, "cats/1.txt": "a cat"})
    write(tmp_path / "elsewhere", {"2.png": PNG, "2.txt": "a dog"})
    (tmp_path / "top" / "cats" / "again").symlink_to(tmp_path / "top")
    (tmp_path / "top" / "dogs").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "top" / "dead.txt").symlink_to(tmp_path / "nothing")
    (tmp_path / "top" / "self").symlink_to(tmp_path / "top" / "self")
    files, problems = read(tmp_path / "top")
    assert [(file.dataset, file.caption) for file in files] == [("cats", "a cat"), ("dogs", "a dog")]
    assert kinds(problems) == {"link_loop": 1, "unreadable": 2}


def test_special_files_are_left_alone(tmp_path: Path) -> None:
    """A pipe named .txt, which would block its reader for ever, is not opened."""
    write(tmp_path, {"1.png": PNG})
    os.mkfifo(tmp_path / "1.txt")
    result: list[Any] = []
    reading = threading.Thread(target=lambda: result.append(read(tmp_path)), daemon=True)
    reading.start()
    reading.join(10)
    assert result[0][0][0].caption is None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights are a matter of POSIX")
def test_unreadable_folders_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may not be read is named; the rest is read."""
    write(tmp_path, {"a/1.png": PNG, "a/1.txt": "no", "b/2.png": PNG, "b/2.txt": "no", "c/3.png": PNG, "c/3.txt": "c"})
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").chmod(0)
    (tmp_path / "b" / "2.txt").chmod(0)
    user = os.geteuid()
    if user == 0:  # who may read everything
        os.seteuid(65_534)
    try:
        files, problems = read(Path())
    finally:
        os.seteuid(user)
        (tmp_path / "a").chmod(0o700)
    assert [(file.path, file.caption) for file in files] == [("./b/2.png", None), ("./c/3.png", "c")]
    assert kinds(problems) == {"unreadable": 2}


def test_very_deep_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders nested deeper than a path can be long end in a named problem, not in an error."""
    write(tmp_path, {"1.png": PNG, "1.txt": "a cat"})
    monkeypatch.chdir(tmp_path)
    for _ in range(50):
        Path("d" * 100).mkdir()
        os.chdir("d" * 100)
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == ["a cat"]
    assert kinds(problems) == {"unreadable": 1}
