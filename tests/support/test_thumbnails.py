from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from loss_logging.support.thumbnails import NoThumbnailError, Thumbnails, thumbnail


def saved(path: Path, size: tuple[int, int] = (40, 20), **options: Any) -> Path:
    Image.new("RGB", size, (200, 10, 10)).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif", "a.bmp", "a.tiff"])
def test_thumbnail(name: str, tmp_path: Path) -> None:
    """A small WebP of the same shape; small images are not enlarged."""
    data = thumbnail(str(saved(tmp_path / name, (400, 200))), pixels=64)
    (tmp_path / "out.webp").write_bytes(data)
    with Image.open(tmp_path / "out.webp") as image:
        assert image.size == (64, 32)


def test_a_turned_photograph_is_upright(tmp_path: Path) -> None:
    """The camera's note on which way is up is heeded."""
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "out.webp").write_bytes(thumbnail(str(saved(tmp_path / "a.jpg", (400, 200), exif=exif))))
    with Image.open(tmp_path / "out.webp") as image:
        assert image.height > image.width


def test_a_picture_of_16_bits_is_not_white(tmp_path: Path) -> None:
    """A grey of a half is shown as such."""
    Image.new("I;16", (8, 8), 128 * 257).save(tmp_path / "deep.png")
    (tmp_path / "out.webp").write_bytes(thumbnail(str(tmp_path / "deep.png")))
    with Image.open(tmp_path / "out.webp") as image:
        assert abs(image.convert("L").getpixel((4, 4)) - 128) < 3


def a_bomb(folder: Path) -> str:
    data = bytearray(saved(folder / "big.png").read_bytes())
    data[16:24] = struct.pack(">II", 30_000, 20_000)  # what its header says it holds
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (folder / "big.png").write_bytes(data)
    return str(folder / "big.png")


def a_pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return str(folder / "pipe")


def a_program(folder: Path) -> str:
    (folder / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EOF\n")
    return str(folder / "a.eps")


def cut_short(folder: Path) -> str:
    data = saved(folder / "a.png", (300, 300)).read_bytes()
    (folder / "a.png").write_bytes(data[: len(data) // 2])
    return str(folder / "a.png")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: str(folder / "none.png"), "not found: looked for"),
        (str, "not a file but a folder"),
        (a_pipe, "not a file but a folder or device"),
        (lambda _: "/dev/zero", "not a file but a folder or device"),
        (a_bomb, "too large"),
        (a_program, "not an image"),
        (cut_short, "damaged image"),
        (lambda _: "https://example.org/a.png", "not a file on this machine"),
        (lambda _: "s3://bucket/a.png", "not a file on this machine"),
        (lambda _: "file:///etc/passwd", "not a file on this machine"),
        (lambda _: "/etc/passwd", "not an image"),
        (lambda _: "../../../etc/passwd", "outside the current folder"),
        (lambda _: "a\0b", "not the name of a file"),
        (lambda _: "x" * 5_000, "File name too long"),
        (lambda _: "", "not a file but a folder"),
    ],
)
def test_no_thumbnail(make: Callable[[Path], str], reason: str, tmp_path: Path) -> None:
    """What is no picture that can be shown is refused in words, quickly and without following it anywhere."""
    path = make(tmp_path)
    with pytest.raises(NoThumbnailError, match=re.escape(reason)):
        thumbnail(path)


def test_nothing_outside_the_folder_is_opened(tmp_path: Path) -> None:
    """With a folder given, paths and links that lead out of it are refused; relative paths are found in it."""
    outside = saved(tmp_path / "outside.png")
    folder = tmp_path / "images"
    folder.mkdir()
    saved(folder / "a.png")
    (folder / "link.png").symlink_to(outside)
    assert thumbnail("a.png", folder=folder)
    assert thumbnail(str(folder / "a.png"), folder=folder)
    for path in (str(outside), "../outside.png", "link.png"):
        with pytest.raises(NoThumbnailError, match="outside"):
            thumbnail(path, folder=folder)


def test_pictures_are_capped_and_made_once(tmp_path: Path) -> None:
    """So many on a page, and none is made again for the next page."""
    paths = [str(saved(tmp_path / f"{i}.png")) for i in range(3)]
    thumbnails = Thumbnails(most=2)
    assert [thumbnails(path).uri is not None for path in paths] == [True, True, False]
    assert "only" in thumbnails(paths[2]).reason
    first = thumbnails(paths[0])
    Path(paths[0]).unlink()
    thumbnails.next_page()
    assert thumbnails(paths[0]) is first
