"""The loss of a pipeline of diffusers: the draw decides everything, and nothing is left behind."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import (
    DDPMScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from diffusers_batches import CAPTIONS, DRAW, PATHS, batch
from tiny_pipelines import (
    PIPELINES,
    ddpm,
    flux,
    stable_diffusion,
    stable_diffusion_3,
    stable_diffusion_xl,
)

from loss_logging import evaluate_dataset
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.evaluate import Draw
from loss_logging.integrations.trainers.diffusers import PipelineLoss

pytestmark = pytest.mark.xdist_group("diffusers")  # whose pipelines are made once


@pytest.fixture(scope="module", params=PIPELINES)
def pipeline(request: pytest.FixtureRequest) -> Any:
    """A pipeline of each class."""
    return PIPELINES[request.param]()


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
