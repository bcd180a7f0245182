"""What an adapter knows of how its trainer reads captions: the family of the model, and a limit that was set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from loss_logging.captions.token_limits import FAMILIES

__all__ = ["captions_of", "family_of"]

_BEGINNINGS = {
    "sdxl": "sdxl",
    "stablediffusionxl": "sdxl",
    "vega": "sdxl",
    "ssd": "sdxl",
    "sd3": "sd3",
    "stablediffusion3": "sd3",
    "sd1": "sd15",
    "sd2": "sd15",
    "stablediffusion1": "sd15",
    "stablediffusion2": "sd15",
    "networktrainer": "sd15",
    "fluxschnell": "flux-schnell",
    "flux2": "flux2",
    "flux": "flux",
    "framepack": "hunyuan-video",
    "hidreamo1": None,
    "pixartsigma": "pixart-sigma",
    "pixart": "pixart-alpha",
    "qwen": "qwen-image",
    "lumina": "lumina2",
    "ernie": "ernie-image",
    "omnigen2": "omnigen2",
}
"""How names begin that are not those of `FAMILIES`; the first that fits counts, and None is another family."""


def family_of(name: str) -> str | None:
    """The family of models that a trainer calls so, a key of `FAMILIES`; None where it is none of them.

    Example:
        >>> family_of("SdxlNetworkTrainer"), family_of("STABLE_DIFFUSION_35"), family_of("esrgan")
        ('sdxl', 'sd3', None)
    """
    plain = _plain(name)
    if plain == "sd":  # ai-toolkit's
        return "sd15"
    own = sorted(FAMILIES, key=len, reverse=True)  # a longer name is the more exact one
    for beginning, family in [*_BEGINNINGS.items(), *((_plain(family), family) for family in own)]:
        if plain.startswith(beginning):
            return family
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def captions_of(trainer: str, names: Sequence[object], tokens: int | None = None) -> dict[str, Any]:
    """Defaults for the key ``captions`` of a configuration.

    Args:
        trainer: a name of `loss_logging.captions.trainers.TRAINERS`.
        names: what the trainer calls its model; the first that is known counts.
        tokens: those of its text encoder, where the trainer was given a number; special tokens included.

    Example:
        >>> captions_of("simpletuner", ["sd3"], tokens=77)
        {'trainer': 'simpletuner', 'model': 'sd3', 'reading': {'max_tokens': 76}}
    """
    family = next((found for name in names if (found := family_of(str(name)))), None)
    if family is None:
        return {"trainer": trainer}
    known: dict[str, Any] = {"trainer": trainer, "model": family}
    left = (tokens or 0) - FAMILIES[family].own - FAMILIES[family].template
    return known | {"reading": {"max_tokens": left}} if left > 0 else known
