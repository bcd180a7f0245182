"""Pictures that can be told from their pixels: each has a grey of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["paint", "value_of"]

_SIZES = ((128, 128), (192, 64))
_STEP = 12


def paint(root: Path, folders: Mapping[str, int]) -> list[Path]:
    """So many pictures in each folder, of two shapes, with captions beside them; their paths."""
    paths = []
    from PIL import Image

    for name, count in folders.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            path = root / name / f"{name[-4:]}{i}.png"
            Image.new("RGB", _SIZES[i % 2], (_STEP * (1 + len(paths)),) * 3).save(path)
            path.with_suffix(".txt").write_text(f"number {i} of {name[-4:]}", encoding="utf-8")
            paths.append(path)
    return paths


def value_of(path: Path) -> float:
    """What a trainer makes of a picture's pixels: -1 to 1."""
    from PIL import Image

    with Image.open(path) as picture:
        grey = picture.convert("L").getpixel((0, 0))
    return float(grey) / 127.5 - 1
