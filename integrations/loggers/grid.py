"""Pictures of items as one image, for trackers that show no pictures in tables."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from loss_logging.reports.report import Picture
from loss_logging.trackers.pictures import PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["grid"]

_LABEL, _GAP = 14, 4
_BACKGROUND, _NONE, _TEXT = (255, 255, 255), (225, 225, 225), (40, 40, 40)


def grid(pictures: Sequence[Picture | None], labels: Sequence[str]) -> Image:
    """The pictures side by side, each above its label; a grey field for one that could not be made.

    Items that nobody tried to picture (None) are left out. Needs Pillow.
    """
    from PIL import Image, ImageDraw

    shown = [(picture, label) for picture, label in zip(pictures, labels, strict=True) if picture is not None]
    columns = math.ceil(math.sqrt(len(shown)))
    rows = math.ceil(len(shown) / columns)
    width, height = PIXELS + _GAP, PIXELS + _LABEL + _GAP
    image = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), _BACKGROUND)
    draw = ImageDraw.Draw(image)
    for i, (picture, label) in enumerate(shown):
        x, y = _GAP + i % columns * width, _GAP + i // columns * height
        if picture.image is None:
            draw.rectangle((x, y, x + PIXELS - 1, y + PIXELS - 1), fill=_NONE)
            draw.text((x + 6, y + PIXELS // 2 - 6), "no picture", fill=_TEXT)
        else:
            with Image.open(io.BytesIO(picture.image)) as opened:
                times = max(PIXELS // max(opened.size), 1)  # digits of 8 x 8 pixels are seen as such
                small = opened.convert("RGB").resize(
                    (opened.width * times, opened.height * times), Image.Resampling.NEAREST
                )
            image.paste(small, (x + (PIXELS - small.width) // 2, y + (PIXELS - small.height) // 2))
        draw.text((x, y + PIXELS), label, fill=_TEXT)
    return image
