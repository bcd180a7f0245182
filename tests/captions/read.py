"""A caption as the rules see it, for their tests."""

from __future__ import annotations

from loss_logging.captions.caption import Caption
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.encoder import TextEncoder


def read(text: str, config: CaptionConfig | None = None) -> Caption:
    config = config or CaptionConfig()
    return Caption.read(text, "any", config, TextEncoder.of(config))
