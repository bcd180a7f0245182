"""The family of a pipeline, by the name of its class."""

from __future__ import annotations

from typing import Any

from loss_logging.errors import ConfigError
from loss_logging.integrations.trainers.diffusers_families import (
    Family,
    Flux,
    Flux2,
    StableDiffusion3,
    StableDiffusionXL,
)
from loss_logging.integrations.trainers.diffusers_newer_families import Chroma, Lumina2, QwenImage, Sana, Wan, ZImage

__all__ = ["family_of"]

_FAMILIES: dict[str, type[Family]] = {
    "StableDiffusionPipeline": Family,
    "StableDiffusionXLPipeline": StableDiffusionXL,
    "StableDiffusion3Pipeline": StableDiffusion3,
    "FluxPipeline": Flux,
    "Flux2Pipeline": Flux2,
    "Flux2KleinPipeline": Flux2,
    "ChromaPipeline": Chroma,
    "QwenImagePipeline": QwenImage,
    "ZImagePipeline": ZImage,
    "Lumina2Pipeline": Lumina2,
    "SanaPipeline": Sana,
    "WanPipeline": Wan,
}


def family_of(pipeline: Any, guidance_scale: float, max_sequence_length: int | None) -> Family:
    """The family of a pipeline, by the name of its class or of one that it derives from.

    Raises:
        ConfigError: it is none of those that are known; names them.
    """
    for cls in type(pipeline).__mro__:
        if cls.__name__ in _FAMILIES:
            return _FAMILIES[cls.__name__](pipeline, guidance_scale, max_sequence_length)
    raise ConfigError(
        f"pipeline is a {type(pipeline).__name__}; allowed: {', '.join(_FAMILIES)}. For another model write a compute "
        "function (docs/evaluate.md)"
    )
