# ruff: noqa: N999, as OneTrainer calls it
"""Stand-in for OneTrainer's losses: names, order and weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


class ModelSetupDiffusionLossMixin:
    """What the setups of all models are derived from."""

    def __masked_losses(self, batch: dict[str, Any], data: dict[str, Any], config: Any) -> Tensor:
        losses = F.mse_loss(data["predicted"].float(), data["target"].float(), reduction="none")
        return (losses * batch["latent_mask"]).mean([1, 2, 3])

    def __unmasked_losses(self, batch: dict[str, Any], data: dict[str, Any], config: Any) -> Tensor:
        losses = F.mse_loss(data["predicted"].float(), data["target"].float(), reduction="none")
        return losses.mean([1, 2, 3])

    def __weighted(self, batch: dict[str, Any], data: dict[str, Any], config: Any) -> Tensor:
        losses = (self.__masked_losses if config.masked_training else self.__unmasked_losses)(batch, data, config)
        losses = losses * config.batch_size
        losses *= batch["loss_weight"]
        losses *= 1 + data["timestep"] / 1000
        return losses

    def _diffusion_losses(
        self,
        batch: dict[str, Any],
        data: dict[str, Any],
        config: Any,
        train_device: torch.device,
        betas: Tensor | None = None,
        alphas_cumprod_fun: Callable[[Tensor, int], Tensor] | None = None,
    ) -> Tensor:
        """(B,)"""
        return self.__weighted(batch, data, config)

    def _flow_matching_losses(
        self,
        batch: dict[str, Any],
        data: dict[str, Any],
        config: Any,
        train_device: torch.device,
        sigmas: Tensor | None = None,
    ) -> Tensor:
        """(B,)"""
        return self.__weighted(batch, data, config)
