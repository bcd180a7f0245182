from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from loss_logging.support.colours import eight_bits, in_colour

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize("deep", [GREY.astype(np.uint16) * 257, GREY.astype(np.int32) * 257, GREY.astype(np.float32)])
def test_pictures_of_more_bits_are_scaled(deep: np.ndarray) -> None:
    """A grey picture of 16 bits, as integers of 16 or 32 or as floats, is the one of 8 bits, and not white."""
    np.testing.assert_array_equal(np.asarray(eight_bits(Image.fromarray(deep))), GREY)
    np.testing.assert_array_equal(np.asarray(in_colour(Image.fromarray(deep))), np.dstack([GREY] * 3))


def test_what_is_transparent_is_white() -> None:
    """The colour beneath transparent pixels is not seen; pictures of 8 bits stay the same object without a copy."""
    assert in_colour(Image.new("RGBA", (2, 2), (255, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (2, 2))
    assert eight_bits(palette) is palette
