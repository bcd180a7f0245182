"""A picture as people see it: in eight bits a number, and without what lies beneath transparent pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["eight_bits", "in_colour"]


def eight_bits(image: Image) -> Image:
    """``image``, or for a grey one of 16 bits and more its copy in 8: Pillow would cut off what is above 255."""
    import numpy as np
    from PIL import Image

    if image.mode[0] not in "IF":
        return image
    values = np.asarray(image, np.float64)
    return Image.fromarray((values / 257 if values.max() > 255 else values).clip(0, 255).astype(np.uint8))


def in_colour(image: Image) -> Image:
    """``image`` in RGB of 8 bits; what is transparent becomes white, and not the colour that happens to lie beneath."""
    from PIL import Image

    image = eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
