"""integrations/trainers/diffusers_noise.py"""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytest.importorskip("diffusers")

from diffusers import (
    DDIMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)
from diffusers.training_utils import compute_snr

from loss_logging.errors import ConfigError
from loss_logging.integrations.trainers.diffusers_noise import noise_process

LATENTS, NOISE = torch.linspace(-1, 1, 8).reshape(2, 1, 2, 2), torch.linspace(1, -2, 8).reshape(2, 1, 2, 2)


@pytest.mark.parametrize("kind", [DDIMScheduler, PNDMScheduler])
def test_a_sampler_of_a_pipeline_says_how_it_was_trained(kind: Any) -> None:
    """The noise is that of DDPM, also where the sampler is on another scale and has been used."""
    sampler = kind(num_train_timesteps=1000)
    sampler.set_timesteps(7)
    process = noise_process(sampler)
    timesteps = process.timesteps(torch.tensor([0.1, 0.9]))
    assert timesteps.tolist() == [100, 900]
    kept = DDIMScheduler().alphas_cumprod[timesteps].reshape(2, 1, 1, 1)
    noisy = process.add_noise(LATENTS, NOISE, timesteps)
    assert torch.allclose(noisy, kept.sqrt() * LATENTS + (1 - kept).sqrt() * NOISE)
    assert process.target(LATENTS, NOISE, timesteps) is NOISE


@pytest.mark.parametrize("kind", [DPMSolverMultistepScheduler, UniPCMultistepScheduler, DEISMultistepScheduler])
def test_the_least_noise_is_at_the_first_timestep(kind: Any) -> None:
    """Such a sampler that is fresh adds the noise of the last timestep at the first, by its own ``add_noise``."""
    process = noise_process(kind())
    noisy = process.add_noise(LATENTS, NOISE, torch.tensor([1, 999]))
    assert torch.allclose(noisy[0], LATENTS[0], atol=0.1)
    assert torch.allclose(noisy[1], NOISE[1], atol=0.1)


@pytest.mark.parametrize("predicted", ["epsilon", "v_prediction", "sample"])
def test_min_snr_weights_are_those_of_the_paper(predicted: str) -> None:
    """min(SNR, gamma), relative to the SNR for the noise, and to SNR + 1 for the velocity."""
    scheduler = DDIMScheduler(prediction_type=predicted)
    timesteps = torch.tensor([1, 500, 999])
    snr = compute_snr(scheduler, timesteps)
    divisor = {"epsilon": snr, "v_prediction": snr + 1, "sample": torch.ones(3)}[predicted]
    weight = noise_process(scheduler).min_snr_weight(timesteps, 5.0)
    assert torch.allclose(weight, snr.clamp(max=5) / divisor)


def test_flow_matching_predicts_the_velocity_at_the_schedules_own_timesteps() -> None:
    """With its static shift; it has no min-SNR weight."""
    process = noise_process(FlowMatchEulerDiscreteScheduler(shift=3.0))
    timesteps = process.timesteps(torch.tensor([0.0, 0.999]))
    assert 0 < timesteps[0] < timesteps[1] == 1000
    assert torch.equal(process.target(LATENTS, NOISE, timesteps), NOISE - LATENTS)
    assert torch.allclose(process.add_noise(LATENTS, NOISE, timesteps)[1], NOISE[1])
    with pytest.raises(ConfigError, match=r"snr_gamma is 5\.0.*leave snr_gamma out"):
        process.min_snr_weight(timesteps, 5.0)


def test_what_is_not_known_is_refused() -> None:
    """Another prediction, and a scheduler without a schedule of noise."""
    with pytest.raises(ConfigError, match="prediction_type 'flow'"):
        noise_process(_with(LCMScheduler(), prediction_type="flow"))
    scheduler = LCMScheduler()
    scheduler._internal_dict = {}
    with pytest.raises(ConfigError, match="is a LCMScheduler; allowed: one with a beta_schedule"):
        noise_process(scheduler)


def _with(scheduler: Any, **changes: Any) -> Any:
    scheduler.register_to_config(**changes)
    return scheduler
