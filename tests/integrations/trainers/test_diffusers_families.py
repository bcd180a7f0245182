"""Each family of pipelines: its losses are those of diffusers' training scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import (
    ChromaPipeline,
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2Pipeline,
    FluxPipeline,
    QwenImagePipeline,
    SanaPipeline,
)
from diffusers.training_utils import compute_snr
from diffusers_batches import CAPTIONS, DRAW, PATHS, batch
from tiny_pipelines import (
    FLOW,
    PIPELINES,
    ddpm,
    stable_diffusion,
    stable_diffusion_xl,
    wan,
)

from loss_logging.errors import ConfigError
from loss_logging.integrations.trainers.diffusers import PipelineLoss

PREDICTED = ("epsilon", "v_prediction", "sample")


# --- what diffusers' training scripts compute, at the draw's noise and timesteps ----------------------------------


@torch.no_grad()
def script_diffusion_loss(pipeline: Any, snr_gamma: float | None = None) -> torch.Tensor:
    """train_text_to_image_lora.py and train_text_to_image_lora_sdxl.py."""
    noise_scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    given_batch = batch()
    latents = pipeline.vae.encode(given_batch["pixel_values"]).latent_dist.mode() * pipeline.vae.config.scaling_factor
    noise = DRAW.noise(latents.shape[1:], PATHS)
    timesteps = (DRAW.timesteps(PATHS) * noise_scheduler.config.num_train_timesteps).long()
    noisy = noise_scheduler.add_noise(latents, noise, timesteps)
    ids = pipeline.tokenizer(CAPTIONS, max_length=77, padding="max_length", truncation=True, return_tensors="pt")
    if hasattr(pipeline, "text_encoder_2"):
        encoders = (pipeline.text_encoder, pipeline.text_encoder_2)
        encoded = [encoder(ids.input_ids, output_hidden_states=True) for encoder in encoders]
        embeds = torch.cat([e.hidden_states[-2] for e in encoded], dim=-1)
        target_size = torch.full((len(PATHS), 2), 16)
        time_ids = torch.cat([given_batch["original_sizes"], given_batch["crop_top_lefts"], target_size], dim=1).float()
        conditions = {"added_cond_kwargs": {"time_ids": time_ids, "text_embeds": encoded[1].text_embeds}}
    else:
        embeds, conditions = pipeline.text_encoder(ids.input_ids, return_dict=False)[0], {}
    prediction = pipeline.unet(noisy, timesteps, embeds, return_dict=False, **conditions)[0]
    kind = noise_scheduler.config.prediction_type
    if kind == "v_prediction":
        target = noise_scheduler.get_velocity(latents, noise, timesteps)
    else:
        target = {"epsilon": noise, "sample": latents}[kind]
    if snr_gamma is None:
        return F.mse_loss(prediction.float(), target.float(), reduction="mean")
    snr = compute_snr(noise_scheduler, timesteps)
    weights = torch.stack([snr, snr_gamma * torch.ones_like(timesteps)], dim=1).min(dim=1)[0]
    weights = weights / {"epsilon": snr, "v_prediction": snr + 1}[kind]
    loss = F.mse_loss(prediction.float(), target.float(), reduction="none")
    return (loss.mean(dim=list(range(1, loss.ndim))) * weights).mean()


@torch.no_grad()
def script_flow_loss(pipeline: Any) -> torch.Tensor:
    """train_dreambooth_lora_sd3.py, .._flux.py, .._flux2.py, .._flux2_klein.py, .._qwen_image.py, .._z_image.py,
    .._lumina2.py and .._sana.py. Chroma and Wan have none there: theirs is made of the pipeline's own step.
    """
    noise_scheduler = FlowMatchEulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    for model in pipeline.components.values():
        if isinstance(model, torch.nn.Module):
            model.eval()  # as loaded from a folder, T5's dropout does not act
    vae, transformer = pipeline.vae, pipeline.transformer
    pixels = batch()["pixel_values"]
    if isinstance(pipeline, SanaPipeline):
        model_input = vae.encode(pixels).latent * vae.config.scaling_factor
    elif hasattr(vae.config, "latents_mean") and vae.config.latents_mean:
        shape = (1, vae.config.z_dim, 1, 1, 1)
        latents_mean = torch.tensor(vae.config.latents_mean).view(shape)
        latents_std = 1.0 / torch.tensor(vae.config.latents_std).view(shape)
        model_input = ((vae.encode(pixels[:, :, None]).latent_dist.mode() - latents_mean) * latents_std)[:, :, 0]
    elif hasattr(vae, "bn"):
        model_input = vae.encode(pixels).latent_dist.mode()
        mean, variance = (s.view(1, -1, 1, 1) for s in (vae.bn.running_mean, vae.bn.running_var))
        model_input = Flux2Pipeline._patchify_latents(model_input)
        model_input = (model_input - mean) / torch.sqrt(variance + vae.config.batch_norm_eps)
    else:
        model_input = vae.encode(pixels).latent_dist.mode()
        model_input = (model_input - vae.config.shift_factor) * vae.config.scaling_factor
    noise = DRAW.noise(model_input.shape[1:], PATHS)
    indices = 999 - (DRAW.timesteps(PATHS) * 1000).long()
    timesteps = noise_scheduler.timesteps[indices]
    sigmas = noise_scheduler.sigmas[indices].view(-1, 1, 1, 1)
    noisy = (1.0 - sigmas) * model_input + sigmas * noise
    guidance = torch.tensor([3.5]).expand(len(PATHS)) if getattr(transformer.config, "guidance_embeds", False) else None
    call = SCRIPT_CALLS[type(pipeline).__name__]
    prediction = call(pipeline, noisy, timesteps, guidance)
    target = noise - model_input
    return torch.mean(((prediction.float() - target.float()) ** 2).reshape(len(PATHS), -1), 1).mean()


def call_sd3(pipeline: Any, noisy: torch.Tensor, timesteps: torch.Tensor, guidance: Any) -> torch.Tensor:
    embeds, _, pooled, _ = pipeline.encode_prompt(CAPTIONS, CAPTIONS, CAPTIONS, do_classifier_free_guidance=False)
    return pipeline.transformer(noisy, embeds, pooled, timesteps, return_dict=False)[0]


def call_flux(pipeline: Any, noisy: torch.Tensor, timesteps: torch.Tensor, guidance: Any) -> torch.Tensor:
    embeds, pooled, text_ids = pipeline.encode_prompt(CAPTIONS, CAPTIONS)
    ids = FluxPipeline._prepare_latent_image_ids(
        len(noisy), noisy.shape[2] // 2, noisy.shape[3] // 2, "cpu", noisy.dtype
    )
    prediction = pipeline.transformer(
        hidden_states=FluxPipeline._pack_latents(noisy, *noisy.shape),
        timestep=timesteps / 1000,
        guidance=guidance,
        pooled_projections=pooled,
        encoder_hidden_states=embeds,
        txt_ids=text_ids,
        img_ids=ids,
        return_dict=False,
    )[0]
    scale = pipeline.vae_scale_factor
    return FluxPipeline._unpack_latents(prediction, noisy.shape[2] * scale, noisy.shape[3] * scale, scale)


def call_flux_2(pipeline: Any, noisy: torch.Tensor, timesteps: torch.Tensor, guidance: Any) -> torch.Tensor:
    embeds, text_ids = pipeline.encode_prompt(CAPTIONS)
    ids = Flux2Pipeline._prepare_latent_ids(noisy)
    prediction = pipeline.transformer(
        hidden_states=Flux2Pipeline._pack_latents(noisy),
        timestep=timesteps / 1000,
        guidance=guidance,
        encoder_hidden_states=embeds,
        txt_ids=text_ids,
        img_ids=ids,
        return_dict=False,
    )[0]
    return Flux2Pipeline._unpack_latents_with_ids(prediction, ids)


def call_chroma(pipeline: Any, noisy: torch.Tensor, timesteps: torch.Tensor, guidance: Any) -> torch.Tensor:
    embeds, text_ids, mask, *_ = pipeline.encode_prompt(CAPTIONS, do_classifier_free_guidance=False)
    packed = ChromaPipeline._pack_latents(noisy, *noisy.shape)
    ids = ChromaPipeline._prepare_latent_image_ids(
        len(noisy), noisy.shape[2] // 2, noisy.shape[3] // 2, "cpu", noisy.dtype
    )
    prediction = pipeline.transformer(
        hidden_states=packed,
        timestep=timesteps / 1000,
        encoder_hidden_states=embeds,
        txt_ids=text_ids,
        img_ids=ids,
        attention_mask=pipeline._prepare_attention_mask(len(noisy), packed.shape[1], noisy.dtype, mask),
        return_dict=False,
    )[0]
    scale = pipeline.vae_scale_factor
    return ChromaPipeline._unpack_latents(prediction, noisy.shape[2] * scale, noisy.shape[3] * scale, scale)


def call_qwen_image(pipeline: Any, noisy: torch.Tensor, timesteps: torch.Tensor, guidance: Any) -> torch.Tensor:
    embeds, mask = pipeline.encode_prompt(CAPTIONS)
    height, width = noisy.shape[2:]
    prediction = pipeline.transformer(
        hidden_states=QwenImagePipeline._pack_latents(noisy, *noisy.shape),
        encoder_hidden_states=embeds,
        encoder_hidden_states_mask=mask,
        timestep=timesteps / 1000,
        img_shapes=[(1, height // 2, width // 2)] * len(noisy),
        return_dict=False,
    )[0]
    scale = pipeline.vae_scale_factor
    return QwenImagePipeline._unpack_latents(prediction, height * scale, width * scale, scale)[:, :, 0]


def call_z_image(pipeline: Any, noisy: torch.Tensor, timesteps: torch.Tensor, guidance: Any) -> torch.Tensor:
    embeds, _ = pipeline.encode_prompt([*CAPTIONS], do_classifier_free_guidance=False)
    listed = list(noisy.unsqueeze(2).unbind(dim=0))
    predictions = pipeline.transformer(listed, (1000 - timesteps) / 1000, embeds, return_dict=False)[0]
    return -torch.stack(predictions, dim=0).squeeze(2)


def call_lumina_2(pipeline: Any, noisy: torch.Tensor, timesteps: torch.Tensor, guidance: Any) -> torch.Tensor:
    """The script's sigma is the share of the image, its target the image without the noise."""
    embeds, mask, *_ = pipeline.encode_prompt(CAPTIONS, do_classifier_free_guidance=False)
    reversed_timesteps = (1000 - timesteps) / pipeline.scheduler.config.num_train_timesteps
    return -pipeline.transformer(
        hidden_states=noisy,
        encoder_hidden_states=embeds,
        encoder_attention_mask=mask,
        timestep=reversed_timesteps,
        return_dict=False,
    )[0]


def call_sana(pipeline: Any, noisy: torch.Tensor, timesteps: torch.Tensor, guidance: Any) -> torch.Tensor:
    embeds, mask, *_ = pipeline.encode_prompt(CAPTIONS, do_classifier_free_guidance=False, max_sequence_length=300)
    return pipeline.transformer(
        hidden_states=noisy,
        encoder_hidden_states=embeds,
        encoder_attention_mask=mask,
        timestep=timesteps,
        return_dict=False,
    )[0]


def call_wan(pipeline: Any, noisy: torch.Tensor, timesteps: torch.Tensor, guidance: Any) -> torch.Tensor:
    embeds, _ = pipeline.encode_prompt(CAPTIONS, do_classifier_free_guidance=False, max_sequence_length=512)
    return pipeline.transformer(noisy[:, :, None], timesteps, embeds, return_dict=False)[0][:, :, 0]


SCRIPT_CALLS: dict[str, Callable[..., torch.Tensor]] = {
    "StableDiffusion3Pipeline": call_sd3,
    "FluxPipeline": call_flux,
    "Flux2Pipeline": call_flux_2,
    "Flux2KleinPipeline": call_flux_2,
    "ChromaPipeline": call_chroma,
    "QwenImagePipeline": call_qwen_image,
    "ZImagePipeline": call_z_image,
    "Lumina2Pipeline": call_lumina_2,
    "SanaPipeline": call_sana,
    "WanPipeline": call_wan,
}


def mean_loss(pipeline: Any) -> float:
    records = PipelineLoss(pipeline)(batch(), DRAW)
    return sum(record.loss for record in records) / len(records)


@pytest.mark.parametrize("predicted", PREDICTED)
@pytest.mark.parametrize("make", [stable_diffusion, stable_diffusion_xl])
def test_parity_with_the_text_to_image_scripts(make: Callable[..., Any], predicted: str) -> None:
    """The mean of the per-example losses is the script's scalar, for each prediction type."""
    pipeline = make(ddpm(prediction_type=predicted))
    assert mean_loss(pipeline) == pytest.approx(script_diffusion_loss(pipeline).item(), rel=1e-5)


@pytest.mark.parametrize("name", FLOW)
def test_parity_with_the_dreambooth_scripts(name: str) -> None:
    """The mean of the per-example losses is the script's scalar, for each flow-matching model."""
    pipeline = PIPELINES[name]()
    assert mean_loss(pipeline) == pytest.approx(script_flow_loss(pipeline).item(), rel=1e-5)


@pytest.mark.parametrize("predicted", ["epsilon", "v_prediction"])
def test_min_snr_weight_is_a_component(predicted: str) -> None:
    """mean(weight * loss) is the script's scalar with --snr_gamma; the loss itself stays unweighted."""
    pipeline = stable_diffusion(ddpm(prediction_type=predicted))
    records = PipelineLoss(pipeline, snr_gamma=5)(batch(), DRAW)
    weighted = [record.components["min_snr_weight"] * record.loss for record in records]
    assert sum(weighted) / 4 == pytest.approx(script_diffusion_loss(pipeline, snr_gamma=5).item(), rel=1e-5)
    assert [record.loss for record in records] == [record.loss for record in PipelineLoss(pipeline)(batch(), DRAW)]


def test_min_snr_weight_of_a_sample_prediction() -> None:
    """A model that predicts the sample has the weight min(snr, gamma), equation 7 of the paper."""
    pipeline = stable_diffusion(ddpm(prediction_type="sample"))
    alphas = ddpm().alphas_cumprod
    for record in PipelineLoss(pipeline, snr_gamma=5)(batch(), DRAW):
        alpha = alphas[int(record.timestep or 0)].item()
        assert record.components["min_snr_weight"] == pytest.approx(min(alpha / (1 - alpha), 5), rel=1e-5)


def test_min_snr_weight_is_finite_at_zero_terminal_snr() -> None:
    """With rescaled betas the last timestep has an SNR of 0 and, predicting the noise, the weight 1."""
    pipeline = stable_diffusion(ddpm(rescale_betas_zero_snr=True))
    process = PipelineLoss(pipeline, snr_gamma=5)._process
    assert process.min_snr_weight(torch.tensor([999]), 5).tolist() == [1]


@pytest.mark.parametrize("options", [{"expand_timesteps": True}, {"transformer_2": wan().transformer}])
def test_a_wan_with_two_transformers_is_refused(options: dict[str, Any]) -> None:
    """Its losses would be those of another model on half of the timesteps."""
    with pytest.raises(ConfigError, match=r"Wan 2.2.*allowed: Wan 2.1"):
        PipelineLoss(wan(**options))
