"""loss_logging.integrations.trainers.diffusers"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import (
    ChromaPipeline,
    DDPMScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2Pipeline,
    FluxPipeline,
    QwenImagePipeline,
    SanaPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from diffusers.training_utils import compute_snr
from tiny_pipelines import (
    FLOW,
    PIPELINES,
    ddpm,
    flux,
    stable_diffusion,
    stable_diffusion_3,
    stable_diffusion_xl,
    wan,
)

from loss_logging import evaluate_dataset
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.evaluate import Draw
from loss_logging.integrations.trainers.diffusers import PipelineLoss

pytestmark = pytest.mark.xdist_group("diffusers")  # whose pipelines are made once

CAPTIONS = ["a cat", "two dogs", "", "a cat on a sofa"]
PATHS = ["cats/1.png", "dogs/1.png", "cats/2.png", "cats/3.png"]
PREDICTED = ("epsilon", "v_prediction", "sample")


def batch(places: list[int] | None = None) -> dict[str, Any]:
    """Some of four captioned images of 16 x 16 pixels, all by default."""
    places = list(range(len(PATHS))) if places is None else places
    pixels = torch.rand(len(PATHS), 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return {
        "paths": [PATHS[i] for i in places],
        "captions": [CAPTIONS[i] for i in places],
        "datasets": [PATHS[i].split("/")[0] for i in places],
        "pixel_values": pixels[places],
        "original_sizes": torch.tensor([[20, 30], [16, 16], [40, 40], [16, 32]])[places],
        "crop_top_lefts": torch.tensor([[0, 4], [0, 0], [0, 0], [0, 8]])[places],
    }


DRAW = Draw(seed=3, index=1, count=4)


@pytest.fixture(scope="module", params=PIPELINES)
def pipeline(request: pytest.FixtureRequest) -> Any:
    """A pipeline of each class."""
    return PIPELINES[request.param]()


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


# --- the draw decides everything --------------------------------------------------------------------------------------


def test_numbers_do_not_depend_on_batching_and_order(pipeline: Any) -> None:
    """Alone, in another batch or in another order, an item's losses are the same to float32 accuracy."""
    whole = {record.path: record for record in PipelineLoss(pipeline, paired=True)(batch(), DRAW)}
    for places in ([3, 0, 2, 1], [1], [2, 3]):
        for record in PipelineLoss(pipeline, paired=True)(batch(places), DRAW):
            assert record.loss == pytest.approx(whole[record.path].loss, rel=1e-4)
            assert record.loss_empty == pytest.approx(whole[record.path].loss_empty, rel=1e-4)
            assert (record.timestep, record.caption, record.dataset) == (
                whole[record.path].timestep,
                whole[record.path].caption,
                whole[record.path].dataset,
            )


def test_timesteps_are_on_the_models_own_scale(pipeline: Any) -> None:
    """Timesteps run from 0 to 1000, more noise for a later draw, and the scale is stated."""
    compute = PipelineLoss(pipeline)
    assert compute.timestep_scale == 1000
    by_draw = [[record.timestep or 0 for record in compute(batch(), Draw(0, index, 8))] for index in range(8)]
    for earlier, later in itertools.pairwise(by_draw):
        assert max(earlier) <= min(later)
    assert min(by_draw[0]) >= 0
    assert max(by_draw[-1]) <= 1000


def test_loss_empty_is_the_loss_with_the_empty_caption(pipeline: Any) -> None:
    """loss_empty is the loss of the same item under "" at the same draw; an item captioned "" has both alike."""
    records = PipelineLoss(pipeline, paired=True)(batch(), DRAW)
    empty = PipelineLoss(pipeline)(batch() | {"captions": [""] * 4}, DRAW)
    assert [record.loss_empty for record in records] == pytest.approx([record.loss for record in empty], rel=1e-6)
    assert records[2].loss == pytest.approx(records[2].loss_empty, rel=1e-5)
    assert abs(records[0].loss - (records[0].loss_empty or 0)) > 1e-6


def test_rivals_are_in_one_forward_with_the_own_and_the_empty_caption(pipeline: Any) -> None:
    """The denoiser is called once; the losses are those of each caption alone, of several rivals the mean."""
    compute = PipelineLoss(pipeline, paired=True)
    alone = compute(batch(), DRAW)
    rivals = [[CAPTIONS[1]], [], [CAPTIONS[0], CAPTIONS[3]], [CAPTIONS[0]]]
    calls: list[int] = []
    hook = compute._family.denoiser.register_forward_pre_hook(lambda *_: calls.append(1))
    records = compute(batch() | {"rivals": rivals}, DRAW)
    hook.remove()
    assert len(calls) == 1
    noised = compute.noised(batch(), DRAW)
    by_rival = [compute.losses(noised, [caption] * 4).tolist() for caption in CAPTIONS]
    for i, (record, expected) in enumerate(zip(records, alone, strict=True)):
        assert record.loss == pytest.approx(expected.loss, rel=1e-4)
        assert record.loss_empty == pytest.approx(expected.loss_empty, rel=1e-4)
        assert record.rival == next(iter(rivals[i]), None)
        found = [by_rival[CAPTIONS.index(rival)][i] for rival in rivals[i]]
        if found:
            assert record.loss_rival == pytest.approx(sum(found) / len(found), rel=1e-4)
        else:
            assert math.isnan(record.loss_rival or 0)


def test_other_captions_at_the_same_noise(pipeline: Any) -> None:
    """`losses` gives the losses of any captions at a noise that was drawn once."""
    compute = PipelineLoss(pipeline)
    noised = compute.noised(batch(), DRAW)
    swapped = compute.losses(noised, CAPTIONS[::-1])
    expected = [record.loss for record in compute(batch() | {"captions": CAPTIONS[::-1]}, DRAW)]
    assert swapped.tolist() == pytest.approx(expected, rel=1e-6)


def test_leaves_no_trace(pipeline: Any) -> None:
    """Modes, gradients, random state and the pipeline's scheduler are left as they were, dropout does not act."""
    denoiser = pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer
    denoiser.train()
    pipeline.vae.eval()
    scheduler, random_state = copy.deepcopy(pipeline.scheduler.__dict__), torch.get_rng_state()
    modes = [module.training for module in denoiser.modules()]
    compute = PipelineLoss(pipeline, paired=True)
    first = compute(batch(), DRAW)
    assert first == compute(batch(), DRAW)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert [module.training for module in denoiser.modules()] == modes
    assert all(modes)
    assert not pipeline.vae.training
    assert all(parameter.grad is None for parameter in denoiser.parameters())
    assert str(pipeline.scheduler.__dict__) == str(scheduler)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of EulerDiscreteScheduler itself
def test_a_samplers_state_does_not_matter() -> None:
    """The training noise is meant: neither the kind of sampler nor a call to set_timesteps changes a loss."""
    expected = PipelineLoss(stable_diffusion(ddpm()))(batch(), DRAW)
    sampler = EulerDiscreteScheduler.from_config(ddpm().config)
    sampler.set_timesteps(7)
    assert PipelineLoss(stable_diffusion(sampler))(batch(), DRAW) == expected


def test_flow_matching_with_a_unet() -> None:
    """Pipeline and noise are independent: a UNet with a flow-matching scheduler predicts noise - latents."""
    pipeline = stable_diffusion(FlowMatchEulerDiscreteScheduler())
    (record, *_) = PipelineLoss(pipeline)(batch(), DRAW)
    assert record.timestep == 1 + int(1000 * DRAW.timesteps(PATHS)[0])


def test_half_precision() -> None:
    """A pipeline in bfloat16 gives the losses of the one in float32, to its own accuracy."""
    expected = [record.loss for record in PipelineLoss(stable_diffusion_xl())(batch(), DRAW)]
    half = PipelineLoss(stable_diffusion_xl().to(torch.bfloat16), paired=True)(batch(), DRAW)
    assert [record.loss for record in half] == pytest.approx(expected, rel=0.02)


def test_changed_pixels_are_encoded_again() -> None:
    """Latents are kept for the draws of one batch, not for a tensor that a loader fills anew."""
    compute, given_batch = PipelineLoss(stable_diffusion()), batch()
    before = compute(given_batch, DRAW)
    given_batch["pixel_values"].neg_()
    assert compute(given_batch, DRAW) != before


def test_evaluate_dataset() -> None:
    """In evaluate_dataset the report ranks captions, and is the same for another batch size."""
    compute = PipelineLoss(stable_diffusion_3(), paired=True)
    reports = [
        evaluate_dataset(compute, [batch(places) for places in split], draws=4, paired=True, progress=False)
        for split in ([[0, 1, 2, 3]], [[0], [3, 2], [1]])
    ]
    for report in reports:
        assert report.global_.count == 16
        assert report.timestep_scale is None  # none is stated
        assert len(report.worst.caption_mismatch) == 3  # the caption of the fourth is empty
    for name, dataset in reports[0].datasets.items():
        for path, item in dataset.item_stats.items():
            other = reports[1].datasets[name].item_stats[path]
            assert item.average_loss == pytest.approx(other.average_loss, rel=1e-4)
            assert item.caption_mismatch == (
                other.caption_mismatch and pytest.approx(other.caption_mismatch, rel=0.02, abs=1e-5)
            )


# --- captions that are kept -------------------------------------------------------------------------------------------


def test_captions_are_encoded_once() -> None:
    """Over the draws of a batch each caption, the empty one too, is encoded once."""
    seen: list[str] = []

    class Counting(StableDiffusionPipeline):
        def encode_prompt(self, prompt: Any, *arguments: Any, **options: Any) -> Any:
            seen.extend(prompt)
            return super().encode_prompt(prompt, *arguments, **options)

    compute = PipelineLoss(Counting(**stable_diffusion().components, requires_safety_checker=False), paired=True)
    for index in range(4):
        compute(batch(), Draw(0, index, 4))
    assert sorted(seen) == sorted(CAPTIONS)


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["raises", "not finite", "no tokens"])
def test_an_empty_caption_that_cannot_be_encoded(fault: str) -> None:
    """It is an error from the start where loss_empty is asked for, and none where it is not."""

    class Refusing(StableDiffusionPipeline):
        def encode_prompt(self, prompt: Any, *arguments: Any, **options: Any) -> Any:
            embeds, rest = super().encode_prompt(prompt, *arguments, **options)
            if prompt == [""]:
                if fault == "raises":
                    raise ValueError("Prompt must not be empty")
                embeds = embeds * torch.nan if fault == "not finite" else embeds[:, :0]
            return embeds, rest

    pipeline = Refusing(**stable_diffusion().components, requires_safety_checker=False)
    with pytest.raises(LossLoggingError, match=r"cannot encode the empty caption .*; use paired=False"):
        PipelineLoss(pipeline, paired=True)
    assert PipelineLoss(pipeline)(batch([0, 1]), DRAW)


def test_unknown_pipelines_and_schedulers() -> None:
    """A pipeline, scheduler or prediction type that is not known is refused, and the allowed ones are named."""
    with pytest.raises(ConfigError, match=r"pipeline is a DDPMScheduler; allowed: StableDiffusionPipeline, .*Flux2"):
        PipelineLoss(DDPMScheduler())
    components = stable_diffusion(ddpm()).components
    components.pop("image_encoder", None)
    inpaint = StableDiffusionInpaintPipeline(**components, requires_safety_checker=False)
    with pytest.raises(ConfigError, match="StableDiffusionInpaintPipeline"):
        PipelineLoss(inpaint)
    with pytest.raises(ConfigError, match="EDMEulerScheduler; allowed"):
        PipelineLoss(stable_diffusion(EDMEulerScheduler()))
    with pytest.raises(ConfigError, match="prediction_type 'flow_prediction'"):
        PipelineLoss(stable_diffusion(EulerDiscreteScheduler(steps_offset=1, prediction_type="flow_prediction")))


@pytest.mark.parametrize(
    ("make", "gamma", "message"),
    [(flux, 5.0, "flow matching"), (stable_diffusion, 0.0, "above 0"), (stable_diffusion, -1.0, "above 0")],
)
def test_impossible_snr_gamma(make: Callable[..., Any], gamma: float, message: str) -> None:
    """snr_gamma with flow matching, or not above 0, is refused at once."""
    with pytest.raises(ConfigError, match=message):
        PipelineLoss(make(), snr_gamma=gamma)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (None, r"has shape None; expected \(4, 3, height, width\)"),
        (torch.zeros(3, 3, 16, 16), r"has shape \(3, 3, 16, 16\); expected \(4, 3"),
        (torch.zeros(4, 1, 16, 16), r"expected \(4, 3"),
        (torch.zeros(4, 3, 16, 18), r"must be multiples of 4"),
    ],
)
def test_impossible_pixels(pixels: Any, message: str) -> None:
    """Pixels that are missing, of another number, or of a size that the model cannot take are named."""
    with pytest.raises(ValueError, match=message):
        PipelineLoss(flux())(batch() | {"pixel_values": pixels}, DRAW)
