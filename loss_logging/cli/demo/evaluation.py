"""The demo's model in a folder, and as a compute function for ``loss-logging evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from loss_logging.cli.demo.data import SCALE
from loss_logging.cli.demo.model import CaptionedFlow, flow_matching_loss
from loss_logging.errors import ConfigError
from loss_logging.evaluation.draw import Draw
from loss_logging.records.per_example import compute_per_example_loss
from loss_logging.records.record import SampleRecord

__all__ = ["DemoLoss", "load", "save"]

SIDE = 8
_FILE = "model.pt"


def save(model: CaptionedFlow, folder: Path) -> None:
    """Write the model to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / _FILE)


def load(folder: str, *, paired: bool, **_: object) -> DemoLoss:
    """Read the model of a folder, as `loss_logging.evaluation.pipelines.PipelineFunction` has it.

    Raises:
        ConfigError: the folder holds no model of the demo.
    """
    file = Path(folder).expanduser() / _FILE
    if not file.is_file():
        raise ConfigError(f"$.pipeline: {folder} holds no {_FILE}; allowed: the folder that loss-logging demo wrote")
    torch.set_num_threads(1)  # as in training
    model = CaptionedFlow()
    model.load_state_dict(torch.load(file, weights_only=True))
    return DemoLoss(model.eval(), paired)


class DemoLoss:
    """The flow-matching loss of each image, with its caption and, where ``paired``, with the empty one."""

    resolution = SIDE * SCALE
    multiple = SIDE * SCALE

    def __init__(self, model: CaptionedFlow, paired: bool) -> None:
        self._model = model
        self._paired = paired

    @torch.no_grad()
    def __call__(self, batch: Mapping[str, Any], draw: Draw) -> list[SampleRecord]:
        paths, captions = batch["paths"], batch["captions"]
        pixels = batch["pixel_values"][:, 0, SCALE // 2 :: SCALE, SCALE // 2 :: SCALE]
        images = -pixels.reshape(len(paths), -1)  # ink is dark in the files
        noise, timesteps = draw.noise((SIDE * SIDE,), paths), draw.timesteps(paths)

        def loss(captions: list[str]) -> torch.Tensor:
            return flow_matching_loss(self._model, images, noise, timesteps, captions)

        return compute_per_example_loss(
            loss(captions),
            loss_empty=loss([""] * len(paths)) if self._paired else None,
            paths=paths,
            datasets=batch["datasets"],
            captions=captions,
            timesteps=1000 * timesteps,  # the scale of `loss-logging evaluate`
        )
