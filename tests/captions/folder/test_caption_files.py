from __future__ import annotations

import json
import random
from pathlib import Path

from captioned_folders import PNG, captions, kinds, read, write


def test_json_beside_images(tmp_path: Path) -> None:
    """A .json holds the caption, which no trainer reads there; one of another program is left alone."""
    write(
        tmp_path,
        {
            "1.png": PNG,
            "1.json": json.dumps({"caption": "a cat", "caption_short": "cat"}),
            "meta2.png": PNG,
            "meta2.json": json.dumps({"caption": "a dog"}),
            "3.png": PNG,
            "3.json": json.dumps({"rating": 5}),
            "4.png": PNG,
            "4.json": "[1, 2]",
            "settings.json": json.dumps({"caption": "no image of this name"}),
        },
    )
    expected = {"1.png": "a cat", "3.png": None, "4.png": None, "meta2.png": "a dog"}
    assert captions(tmp_path, expected={"no_trainer_reads_json": 2}) == expected


def test_binary_files_named_txt(tmp_path: Path) -> None:
    """An image, zeros or noise named .txt is named, and is no caption; a stray control character is still text."""
    noise = random.Random(1)
    write(
        tmp_path,
        {
            "1.png": PNG,
            "1.txt": PNG,
            "2.png": PNG,
            "2.txt": bytes(5_000),
            "3.png": PNG,
            "3.txt": noise.randbytes(100_000),
            "4.png": PNG,
            "4.txt": "a cat\0 on a sofa",
        },
    )
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == [None, None, None, "a cat\0 on a sofa"]
    assert all(file.source for file in files)
    assert kinds(problems) == {"binary": 3}


def test_damaged_text_is_still_read(tmp_path: Path) -> None:
    """Text with a byte that fits nowhere keeps the rest, with a replacement character."""
    write(tmp_path, {"1.png": PNG, "1.txt": "猫が座っている、ソファの上に".encode() + b"\xff" + "猫".encode()})
    files, problems = read(tmp_path)
    assert files[0].caption == "猫が座っている、ソファの上に\ufffd猫"
    assert kinds(problems) == {"undecodable": 1}


def test_huge_captions(tmp_path: Path) -> None:
    """Of a caption of 10 MB the first part is read, also where that ends inside a character."""
    write(tmp_path, {"1.png": PNG, "1.txt": "a" + "ö" * 5_000_000, "2.png": PNG, "2.txt": "a cat"})
    files, problems = read(tmp_path)
    assert files[0].caption == "a" + "ö" * (2**19 - 1)
    assert files[1].caption == "a cat"
    assert kinds(problems) == {"too_large": 1}
