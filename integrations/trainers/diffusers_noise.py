"""What a pipeline's scheduler says about training: how noise is added, and what the model is to predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from loss_logging.errors import ConfigError

if TYPE_CHECKING:
    import torch

__all__ = ["Diffusion", "FlowMatching", "NoiseProcess", "noise_process"]


class NoiseProcess(Protocol):
    """From latents and noise (B, C, H, W) to what the model sees and what it is to predict."""

    @property
    def timestep_scale(self) -> float:
        """The end of the scale that timesteps are on, 1000 for all models of today."""

    def timesteps(self, uniform: torch.Tensor) -> torch.Tensor:
        """(B,) numbers in [0, 1) as the timesteps that the model was trained on, the least noise first."""

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The noisy latents (B, C, H, W)."""

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """What the model is to predict, (B, C, H, W)."""

    def min_snr_weight(self, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:
        """(B,) loss weights of Hang et al. 2023 (arXiv 2303.09556, section 3.4)."""


def noise_process(scheduler: Any) -> NoiseProcess:
    """The training process behind a pipeline's scheduler, in a scheduler of its own as in diffusers' training scripts.

    A pipeline carries a sampler, whose ``add_noise`` may be on another scale and depends on its last ``set_timesteps``.

    Raises:
        ConfigError: the scheduler is of another kind than DDPM and flow matching, or predicts something else.
    """
    from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler

    name = type(scheduler).__name__
    if name.startswith("FlowMatch"):
        return FlowMatching(FlowMatchEulerDiscreteScheduler.from_config(scheduler.config))
    if "beta_schedule" not in scheduler.config:
        raise ConfigError(
            f"the pipeline's scheduler is a {name}; allowed: one with a beta_schedule (DDPM, DDIM, PNDM, Euler, "
            "DPMSolver, ...) or a FlowMatch scheduler"
        )
    predicted = scheduler.config.get("prediction_type", "epsilon")
    if predicted not in ("epsilon", "v_prediction", "sample"):
        raise ConfigError(
            f"the pipeline's scheduler, a {name}, has prediction_type {predicted!r}; allowed: epsilon, v_prediction, "
            "sample, or a FlowMatch scheduler"
        )
    known = DDPMScheduler().config
    options = {key: value for key, value in scheduler.config.items() if key in known and not key.startswith("_")}
    return Diffusion(DDPMScheduler(**options))


class Diffusion:
    """DDPM noise; the model predicts the noise, the velocity or the sample. Timesteps are the integers 0 to 999."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler

    @property
    def timestep_scale(self) -> float:
        return float(self._scheduler.config.num_train_timesteps)

    def timesteps(self, uniform: torch.Tensor) -> torch.Tensor:
        return (uniform * self.timestep_scale).long()

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        noisy: torch.Tensor = self._scheduler.add_noise(latents, noise, timesteps)
        return noisy

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        predicted = self._scheduler.config.prediction_type
        if predicted == "v_prediction":
            velocity: torch.Tensor = self._scheduler.get_velocity(latents, noise, timesteps)
            return velocity
        return noise if predicted == "epsilon" else latents

    def min_snr_weight(self, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:
        alphas = self._scheduler.alphas_cumprod.to(timesteps.device)[timesteps]
        snr: torch.Tensor = alphas / (1 - alphas)
        match self._scheduler.config.prediction_type:
            case "epsilon":
                return (gamma / snr).clamp(max=1)  # min(snr, gamma) / snr, also at a terminal SNR of zero
            case "v_prediction":
                return snr.clamp(max=gamma) / (snr + 1)
            case _:
                return snr.clamp(max=gamma)


class FlowMatching:
    """Straight paths from data to noise; the model predicts their velocity, noise - data. Timesteps are in (0, 1000].

    They are the scheduler's own training timesteps, with its static shift and without the dynamic one, as in diffusers'
    SD3 and Flux scripts.
    """

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler

    @property
    def timestep_scale(self) -> float:
        return float(self._scheduler.config.num_train_timesteps)

    def timesteps(self, uniform: torch.Tensor) -> torch.Tensor:
        schedule: torch.Tensor = self._scheduler.timesteps.to(uniform.device)  # from the most noise to the least
        return schedule.flip(0)[(uniform * len(schedule)).long()]

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        noisy: torch.Tensor = self._scheduler.scale_noise(latents, timesteps, noise)
        return noisy

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        return noise - latents

    def min_snr_weight(self, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:  # noqa: ARG002
        raise ConfigError(
            f"snr_gamma is {gamma}, but this pipeline is trained by flow matching, which has no min-SNR weight; leave "
            "snr_gamma out"
        )
