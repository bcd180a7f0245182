from __future__ import annotations

import io

import pytest
from PIL import Image

from loss_logging.integrations.loggers.grid import grid
from loss_logging.reports.report import Picture
from loss_logging.trackers.pictures import PIXELS


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> Picture:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return Picture("d", "1.png", out.getvalue())


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (3, 2, 2), (5, 3, 2)])
def test_pictures_fill_a_square(count: int, columns: int, rows: int) -> None:
    """As many columns as rows, or one more; captions take two more lines below each."""
    pictures = [picture((255, 0, 0))] * count
    plain, captioned = grid(pictures, ["a"] * count), grid(pictures, ["a"] * count, ["a cat"] * count)
    assert plain.width == captioned.width
    assert plain.width // PIXELS == columns
    assert plain.height // PIXELS == rows
    assert captioned.height > plain.height


def test_a_picture_is_shown_large_and_one_that_failed_is_grey() -> None:
    """In its place, and an item that nobody tried to picture takes none."""
    shown = grid([picture((255, 0, 0)), None, Picture("d", "2.png", None, "not found")], ["a", "b", "c"])
    middle = 8 + PIXELS // 2
    assert shown.getpixel((middle, middle)) == (255, 0, 0)
    assert shown.getpixel((8 + PIXELS + 8 + 2, 10)) == (225, 225, 225)
    assert shown.width < 3 * PIXELS
