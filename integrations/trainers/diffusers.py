"""From a loaded diffusers pipeline to the compute function of `evaluate_dataset`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.evaluate import Draw
from loss_logging.evaluation.tensor_cache import TensorCache, digest
from loss_logging.integrations.trainers.diffusers_captions import CaptionCache, Encoded, rows_of
from loss_logging.integrations.trainers.diffusers_draws import Asked, Compared, DrawLosses, Noised, joined
from loss_logging.integrations.trainers.diffusers_encodings import KeptEncodings, fingerprint
from loss_logging.integrations.trainers.diffusers_family_of import family_of
from loss_logging.integrations.trainers.diffusers_noise import noise_process
from loss_logging.records.per_example import compute_per_example_loss, per_example_loss
from loss_logging.records.record import SampleRecord
from loss_logging.support.warn import LOGGER

if TYPE_CHECKING:
    import torch

__all__ = ["Noised", "PipelineLoss"]


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
        cache: keeps the encodings of captions and images on disk, for the next evaluation.

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
        cache: TensorCache | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._family = family_of(pipeline, guidance_scale, max_sequence_length)
        self._process = noise_process(pipeline.scheduler)
        self._kept_captions = None if cache is None else KeptEncodings(cache, self._text_fingerprint)
        self._kept_images = None if cache is None else KeptEncodings(cache, self._vae_fingerprint)
        self._encode = CaptionCache(self._encoded_captions, cache_bytes)
        self._paired = paired
        self._snr_gamma = snr_gamma
        self._latents: tuple[torch.Tensor, int, torch.Tensor] | None = None
        self._is_evaluating = False
        self._most_rows: int | None = None  # of a forward; a number once more did not fit
        self._asked: Asked | None = None
        self._next = 0  # the draw that comes next if the batch stays the same
        self._ahead: dict[int, DrawLosses] = {}
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
        rivals = None if batch.get("rivals") is None else list(map(list, batch["rivals"]))
        losses = self._at(draw, batch, captions, rivals)
        weights = None
        if self._snr_gamma is not None:
            weights = {"min_snr_weight": self._process.min_snr_weight(losses.timesteps, self._snr_gamma)}
        return compute_per_example_loss(
            losses.own,
            paths=batch["paths"],
            datasets=batch["datasets"],
            captions=captions,
            timesteps=losses.timesteps.float(),
            loss_empty=losses.empty,
            components=weights,
            loss_rival=losses.rival,
            rivals=None if rivals is None else [next(iter(found), None) for found in rivals],
        )

    def _at(
        self, draw: Draw, batch: Mapping[str, Any], captions: list[str], rivals: list[list[str]] | None
    ) -> DrawLosses:
        """The losses of a draw. A batch that is asked for a second time in a row has its next draws computed, too."""
        latents, conditions = self._encoded_images(batch), self._family.image_conditions(batch)
        asked = Asked(latents, conditions, list(batch["paths"]), captions, rivals, draw.seed, draw.count)
        compared = Compared(captions, empty=self._paired or bool(rivals), rivals=rivals or None)
        again = asked.is_same(self._asked) and draw.index == self._next
        self._asked, self._next = asked, draw.index + 1
        if not again:
            self._ahead = {}  # of another batch, or of an evaluation that has ended
        if draw.index not in self._ahead:
            together = asked.draws_together(len(compared.rows)) if again else 1
            numbers = range(draw.index, min(draw.count, draw.index + together))
            self._ahead = dict(zip(numbers, self._compute(batch, compared, draw, numbers), strict=True))
        return self._ahead.pop(draw.index)

    def _compute(
        self, batch: Mapping[str, Any], compared: Compared, draw: Draw, numbers: Sequence[int]
    ) -> list[DrawLosses]:
        """The losses at several draws, in one forward."""
        import torch

        with self._evaluating():
            parts = [self.noised(batch, Draw(draw.seed, number, draw.count)) for number in numbers]
            index = torch.tensor(compared.rows, device=parts[0].noisy.device)
            repeated = joined([part.rows(index) for part in parts])
            losses = torch.split(self._in_parts(repeated, compared.captions * len(parts)), len(compared.rows))
        return [compared.split(own, part.timesteps) for own, part in zip(losses, parts, strict=True)]

    def _in_parts(self, noised: Noised, captions: Sequence[str]) -> torch.Tensor:
        """`losses` of as many captions at a time as fit into the memory of the device."""
        import torch

        rows = torch.arange(len(captions), device=noised.noisy.device)
        found: list[torch.Tensor] = []
        while sum(map(len, found)) < len(captions):
            part = rows[sum(map(len, found)) :][: self._most_rows]
            try:
                found.append(self.losses(noised.rows(part), [captions[row] for row in part.tolist()]))
            except torch.cuda.OutOfMemoryError:
                if len(part) == 1:
                    raise
                self._most_rows = -(-len(part) // 2)
                LOGGER.info("a forward of %d captions does not fit into memory; now %d", len(part), self._most_rows)
        return torch.cat(found)

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
        import torch

        pixels: torch.Tensor = _pixel_values(batch, self.multiple)
        if self._latents is None or self._latents[0] is not pixels or self._latents[1] != pixels._version:
            with self._evaluating():
                if self._kept_images is None:
                    latents = self._to_latents(pixels)
                else:
                    content = [digest(str(tuple(row.shape)), row.float().cpu().contiguous().numpy()) for row in pixels]
                    rows = self._kept_images(content, lambda places: {"latents": self._to_latents(pixels[places])})
                    latents = torch.stack([row["latents"] for row in rows]).to(self._family.device)
            self._latents = (pixels, pixels._version, latents)
        return self._latents[2]

    def _to_latents(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._family.encode_images(pixels.to(self._family.device, self._pipeline.vae.dtype)).float()

    def _vae_fingerprint(self) -> str:
        return fingerprint([self._pipeline.vae], type(self._family), self._family.device.type)

    def _encoded_captions(self, captions: list[str]) -> Iterable[Encoded]:
        if self._kept_captions is None:
            return rows_of(self._family.encode_captions(captions))
        return self._kept_captions(
            captions, lambda places: self._family.encode_captions([captions[place] for place in places])
        )

    def _text_fingerprint(self) -> str:
        family = self._family
        images = {family.denoiser_name, "vae", "scheduler"}
        parts = [part for name, part in self._pipeline.components.items() if name not in images]
        return fingerprint(parts, type(family), type(self._pipeline), family.lengths, family.device.type)

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Every model in evaluation mode and without gradients, and back in the mode it was in. Nests."""
        import torch

        if self._is_evaluating:
            yield
            return

        models = (model for model in self._pipeline.components.values() if isinstance(model, torch.nn.Module))
        training = [module for model in models for module in model.modules() if module.training]
        # Not by the modules' own __setattr__, which first asks whether a number is a parameter, a buffer or a module.
        for module in training:
            object.__setattr__(module, "training", False)
        self._is_evaluating = True
        try:
            with torch.no_grad():
                yield
        finally:
            self._is_evaluating = False
            for module in training:
                object.__setattr__(module, "training", True)

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
