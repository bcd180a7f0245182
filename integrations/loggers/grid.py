"""Combines pictures of items into one image, for trackers that show no pictures in tables."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from loss_logging.reports.report import Picture
from loss_logging.trackers.pictures import PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["grid"]

_LABEL, _GAP, _LINES = 18, 8, 2
_FONT = 13
_BACKGROUND, _NONE, _TEXT, _SOFT = (255, 255, 255), (225, 225, 225), (20, 20, 20), (80, 80, 80)


def grid(pictures: Sequence[Picture | None], labels: Sequence[str], captions: Sequence[str] | None = None) -> Image:
    """The pictures side by side, each above its label and the beginning of its caption; a missing picture is a grey
    field.

    Items without an attempt at a picture (None) are left out. Needs Pillow.
    """
    from PIL import Image, ImageDraw, ImageFont

    entries = zip(pictures, labels, captions or [""] * len(labels), strict=True)
    shown = [(picture, label, caption) for picture, label, caption in entries if picture is not None]
    columns = math.ceil(math.sqrt(len(shown)))
    rows = math.ceil(len(shown) / columns)
    below = _LABEL * (1 + _LINES * (captions is not None))
    width, height = PIXELS + _GAP, PIXELS + below + _GAP
    image = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), _BACKGROUND)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(_FONT)
    for i, (picture, label, caption) in enumerate(shown):
        x, y = _GAP + i % columns * width, _GAP + i // columns * height
        if picture.image is None:
            draw.rectangle((x, y, x + PIXELS - 1, y + PIXELS - 1), fill=_NONE)
            draw.text((x + 6, y + PIXELS // 2 - 6), "no picture", font=font, fill=_TEXT)
        else:
            small = _decoded(picture.image)
            image.paste(small, (x + (PIXELS - small.width) // 2, y + (PIXELS - small.height) // 2))
        draw.text((x, y + PIXELS + 1), label, font=font, fill=_TEXT)
        for n, line in enumerate(_lines(caption, lambda text: draw.textlength(text, font=font))):
            draw.text((x, y + PIXELS + 1 + _LABEL * (n + 1)), line, font=font, fill=_SOFT)
    return image


def _decoded(data: bytes) -> Image:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as opened:
        times = max(PIXELS // max(opened.size), 1)  # enlarge small images by a whole factor
        size = (opened.width * times, opened.height * times)
        return opened.convert("RGB").resize(size, Image.Resampling.NEAREST)


def _lines(caption: str, width: Callable[[str], float]) -> list[str]:
    """The first lines of a caption, broken between words; a cut one ends with an ellipsis.

    >>> _lines("one two three", lambda text: 40.0 * len(text.split()))
    ['one two three']
    >>> _lines("one two three four", lambda text: 70.0 * len(text.split()))
    ['one two', 'three four']
    >>> _lines("one two three four five", lambda text: 70.0 * len(text.split()))
    ['one two', 'three four…']
    """
    lines = [""]
    for word in caption[:200].split():
        longer = f"{lines[-1]} {word}".strip()
        if width(longer) <= PIXELS or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], f"{lines[_LINES - 1]}…"]
    return [_cut(line, width) for line in lines if line]


def _cut(line: str, width: Callable[[str], float]) -> str:
    while len(line) > 2 and width(line) > PIXELS:
        line = f"{line[:-2]}…"
    return line
