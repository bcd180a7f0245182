"""Stand-in: the mask of masked training."""

from __future__ import annotations

from typing import Any

import torch


def apply_masked_loss(loss: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
    """(B, C, H, W) by (B, H, W), which is larger."""
    mask = (batch["conditioning_images"] if "conditioning_images" in batch else batch["alpha_masks"]).unsqueeze(1)
    return loss * torch.nn.functional.interpolate(mask, size=loss.shape[2:], mode="area")
