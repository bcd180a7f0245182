"""A batch of captioned images, and a draw, for pipelines of diffusers."""

from __future__ import annotations

from typing import Any

import torch

from loss_logging.evaluation.evaluate import Draw

CAPTIONS = ["a cat", "two dogs", "", "a cat on a sofa"]
PATHS = ["cats/1.png", "dogs/1.png", "cats/2.png", "cats/3.png"]


def batch(places: list[int] | None = None) -> dict[str, Any]:
    """Some of four captioned images of 16 x 16 pixels, all by default."""
    places = list(range(len(PATHS))) if places is None else places
    pixels = torch.rand(len(PATHS), 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return {
        "paths": [PATHS[i] for i in places],
        "captions": [CAPTIONS[i] for i in places],
        "datasets": [PATHS[i].split("/")[0] for i in places],
        "pixel_values": pixels[places],
        "original_sizes": torch.tensor([[20, 30], [16, 16], [40, 40], [16, 32]])[places],
        "crop_top_lefts": torch.tensor([[0, 4], [0, 0], [0, 0], [0, 8]])[places],
    }


DRAW = Draw(seed=3, index=1, count=4)
