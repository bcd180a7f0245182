"""ai-toolkit: an extension for its ``extensions`` folder, whose two trainers log the loss of every image or video."""

from __future__ import annotations

from loss_logging.integrations.trainers.ai_toolkit.extension import AI_TOOLKIT_EXTENSIONS

__all__ = ["AI_TOOLKIT_EXTENSIONS"]
