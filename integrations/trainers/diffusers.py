"""From a loaded diffusers pipeline to the compute function of `evaluate_dataset`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.evaluate import Draw
from loss_logging.integrations.trainers.diffusers_captions import CaptionCache, Encoded
from loss_logging.integrations.trainers.diffusers_family_of import family_of
from loss_logging.integrations.trainers.diffusers_noise import noise_process
from loss_logging.records.per_example import compute_per_example_loss, per_example_loss
from loss_logging.records.record import SampleRecord

if TYPE_CHECKING:
    import torch

__all__ = ["Noised", "PipelineLoss"]


@dataclass(frozen=True)
class Noised:
    """A batch at one draw, before the model has seen a caption: what every caption of it shares.

    ``noisy`` and ``target`` are (B, C, h, w) float32, ``timesteps`` is (B,); ``conditions`` is what the denoiser is
    told about each image.
    """

    noisy: torch.Tensor
    target: torch.Tensor
    timesteps: torch.Tensor
    conditions: Encoded


class PipelineLoss:
    """The unweighted training loss of a diffusers pipeline, per example: a compute function for `evaluate_dataset`.

    It takes StableDiffusionPipeline (1.x, 2.x), StableDiffusionXLPipeline, StableDiffusion3Pipeline, FluxPipeline,
    Flux2Pipeline, Flux2KleinPipeline, ChromaPipeline, QwenImagePipeline, ZImagePipeline, Lumina2Pipeline, SanaPipeline
    and WanPipeline (2.1, single images), and classes derived from them, with the LoRA weights that are loaded. Models
    run in evaluation mode and without gradients and are left as they were. No random number is drawn: noise and
    timestep come from the draw, and numbers do not depend on the batch but in the last digits. On the same noise the
    mean over a batch is the loss of diffusers' own training scripts. Timesteps are on the model's own scale, 0 to 1000.

    A batch is a mapping with ``paths``, ``captions``, ``datasets`` (B each, or one dataset name) and ``pixel_values``,
    a tensor (B, 3, H, W) in [-1, 1]. With ``rivals``, B lists of captions, these are in one forward with the own
    caption and the empty one. SDXL is also told ``original_sizes`` and ``crop_top_lefts``, (B, 2) each, height
    or top first; by default the size of ``pixel_values`` and (0, 0).

    Args:
        pipeline: the loaded pipeline, on its device.
        paired: also compute ``loss_empty``, with the empty caption at the same noise and timestep.
        snr_gamma: keep the weight of min-SNR (Hang et al. 2023, arXiv 2303.09556) as the component ``min_snr_weight``;
            the loss stays unweighted.
        guidance_scale: what a denoiser distilled for guidance is told (Flux); 3.5 in diffusers' scripts.
        max_sequence_length: tokens that T5 and language models see of a caption; the pipeline's own by default.
        cache_bytes: most host memory for captions that are encoded.

    Raises:
        ConfigError: the pipeline or its scheduler is of another kind, or ``snr_gamma`` does not fit it.
        LossLoggingError: ``paired``, and the pipeline cannot encode the empty caption.

    Example: ``evaluate_dataset(PipelineLoss(pipeline, paired=True), loader, paired=True, draws=4)``; a complete one is
    in docs/evaluate.md.
    """

    def __init__(
        self,
        pipeline: Any,
        *,
        paired: bool = False,
        snr_gamma: float | None = None,
        guidance_scale: float = 3.5,
        max_sequence_length: int | None = None,
        cache_bytes: int = 1 << 30,
    ) -> None:
        self._pipeline = pipeline
        self._family = family_of(pipeline, guidance_scale, max_sequence_length)
        self._process = noise_process(pipeline.scheduler)
        self._encode = CaptionCache(self._family.encode_captions, cache_bytes)
        self._paired = paired
        self._snr_gamma = snr_gamma
        self._latents: tuple[torch.Tensor, int, torch.Tensor] | None = None
        if snr_gamma is not None:
            self._check_snr_gamma(snr_gamma)
        if paired:
            self._check_empty_caption()

    @property
    def timestep_scale(self) -> float:
        """The end of the scale that the records' timesteps are on: 1000, the model's own."""
        return self._process.timestep_scale

    @property
    def resolution(self) -> int:
        """The side of the square images, in pixels, that the pipeline makes by itself."""
        return self._family.resolution

    @property
    def multiple(self) -> int:
        """Heights and widths of images, in pixels, must be a multiple of this."""
        return self._family.multiple

    def __call__(self, batch: Mapping[str, Any], draw: Draw) -> list[SampleRecord]:
        """One record per example, in the order of the batch.

        Raises:
            ValueError: ``pixel_values`` is missing or has a shape that the model cannot take.
        """
        captions = list(batch["captions"])
        noised = self.noised(batch, draw)
        rivals = batch.get("rivals")
        own, empty, others = self._compared(noised, captions, rivals) if rivals else (None, None, None)
        weights = None
        if self._snr_gamma is not None:
            weights = {"min_snr_weight": self._process.min_snr_weight(noised.timesteps, self._snr_gamma)}
        return compute_per_example_loss(
            self.losses(noised, captions) if own is None else own,
            paths=batch["paths"],
            datasets=batch["datasets"],
            captions=captions,
            timesteps=noised.timesteps.float(),
            loss_empty=self.losses(noised, [""] * len(captions)) if self._paired and empty is None else empty,
            components=weights,
            loss_rival=others,
            rivals=None if rivals is None else [next(iter(found), None) for found in rivals],
        )

    def _compared(
        self, noised: Noised, captions: list[str], rivals: Sequence[Sequence[str]]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(B,) losses with the own captions and the empty one, and means over the rivals', in one forward."""
        import torch

        rows = list(range(len(captions)))
        at = [*rows, *rows, *(row for row, found in enumerate(rivals) for _ in found)]
        index = torch.tensor(at, device=noised.noisy.device)
        repeated = Noised(
            noised.noisy[index],
            noised.target[index],
            noised.timesteps[index],
            {name: values[index.to(values.device)] for name, values in noised.conditions.items()},
        )
        losses = self.losses(repeated, [*captions, *[""] * len(rows), *(other for found in rivals for other in found)])
        own, empty, others = losses[: len(rows)], losses[len(rows) : 2 * len(rows)], losses[2 * len(rows) :]
        total = torch.zeros_like(own).index_add_(0, index[2 * len(rows) :], others)
        return own, empty, total / torch.tensor([len(found) for found in rivals], device=own.device)  # 0 / 0 is NaN

    def noised(self, batch: Mapping[str, Any], draw: Draw) -> Noised:
        """The batch's images at the noise and timesteps of ``draw``."""
        paths = batch["paths"]
        with self._evaluating():
            latents = self._encoded_images(batch)
            noise = draw.noise(latents.shape[1:], paths).to(latents.device)
            timesteps = self._process.timesteps(draw.timesteps(paths)).to(latents.device)
            return Noised(
                noisy=self._process.add_noise(latents, noise, timesteps),
                target=self._process.target(latents, noise, timesteps),
                timesteps=timesteps,
                conditions=self._family.image_conditions(batch),
            )

    def losses(self, noised: Noised, captions: Sequence[str]) -> torch.Tensor:
        """(B,) float32 losses with these captions, whichever they are, at the noise of ``noised``."""
        with self._evaluating():
            denoiser = self._family.denoiser
            encoded = self._encode(captions, noised.noisy.device)
            prediction = self._family.predict(
                noised.noisy.to(denoiser.dtype), noised.timesteps, noised.conditions | encoded
            )
            return per_example_loss((prediction.float() - noised.target) ** 2)

    def _encoded_images(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """(B, C, h, w) float32. Those of the last batch are kept: the draws of a batch come one after the other."""
        pixels: torch.Tensor = _pixel_values(batch, self.multiple)
        if self._latents is None or self._latents[0] is not pixels or self._latents[1] != pixels._version:
            vae = self._pipeline.vae
            latents = self._family.encode_images(pixels.to(self._family.device, vae.dtype)).float()
            self._latents = (pixels, pixels._version, latents)
        return self._latents[2]

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Every model in evaluation mode and without gradients, and back in the mode it was in."""
        import torch

        models = (model for model in self._pipeline.components.values() if isinstance(model, torch.nn.Module))
        training = [module for model in models for module in model.modules() if module.training]
        for module in training:
            module.training = False
        try:
            with torch.no_grad():
                yield
        finally:
            for module in training:
                module.training = True

    def _check_snr_gamma(self, gamma: float) -> None:
        import torch

        if not gamma > 0:
            raise ConfigError(f"snr_gamma is {gamma!r}; allowed: None, or a number above 0, such as 5")
        self._process.min_snr_weight(torch.zeros(1, dtype=torch.long), gamma)

    def _check_empty_caption(self) -> None:
        """Without a sound encoding of the empty caption every caption_mismatch would be wrong, and quietly so."""
        try:
            with self._evaluating():
                encoded = self._encode([""], self._family.device)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise LossLoggingError(_no_empty_caption(f"{type(error).__name__}: {error}")) from error
        for name, tensor in encoded.items():
            if not tensor.numel() or not bool(tensor.isfinite().all()):
                raise LossLoggingError(_no_empty_caption(f"{name} has shape {tuple(tensor.shape)} or is not finite"))


def _no_empty_caption(reason: str) -> str:
    return f"the pipeline cannot encode the empty caption ({reason}), which paired=True needs; use paired=False"


def _pixel_values(batch: Mapping[str, Any], multiple: int) -> torch.Tensor:
    pixels = batch.get("pixel_values")
    shape = tuple(getattr(pixels, "shape", ()))
    if pixels is None or len(shape) != 4 or shape[:2] != (len(batch["paths"]), 3):
        raise ValueError(
            f"batch['pixel_values'] has shape {shape or None}; expected ({len(batch['paths'])}, 3, height, width), a "
            "tensor in [-1, 1] with an image for each of batch['paths']"
        )
    if shape[2] % multiple or shape[3] % multiple:
        raise ValueError(f"batch['pixel_values'] has shape {shape}; height and width must be multiples of {multiple}")
    checked: torch.Tensor = pixels
    return checked
