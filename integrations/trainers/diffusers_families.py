"""How each family of pipelines encodes images and captions, and how its denoiser is called: Stable Diffusion and Flux.

Each follows diffusers' training script for that family.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch

__all__ = ["Family", "Flux", "Flux2", "StableDiffusion3", "StableDiffusionXL"]


class Family:
    """A pipeline's VAE, text encoders and denoiser behind three calls; the base is Stable Diffusion 1 and 2.

    Args:
        pipeline: the loaded pipeline.
        guidance_scale: given to a denoiser that is distilled for guidance (Flux).
        max_sequence_length: tokens that T5 and language models see of a caption; the pipeline's own if None.
    """

    denoiser_name: ClassVar[str] = "unet"
    patch: ClassVar[int] = 1
    """Latents are taken in squares of so many on a side."""

    def __init__(self, pipeline: Any, guidance_scale: float, max_sequence_length: int | None) -> None:
        self.pipeline = pipeline
        self.denoiser = getattr(pipeline, self.denoiser_name)
        self.guidance_scale = guidance_scale
        self.lengths = {} if max_sequence_length is None else {"max_sequence_length": max_sequence_length}

    @property
    def multiple(self) -> int:
        """Heights and widths of images, in pixels, must be a multiple of this."""
        return int(self.pipeline.vae_scale_factor) * self.patch

    @property
    def resolution(self) -> int:
        """The side of the square images, in pixels, that the pipeline makes by itself."""
        return int(self.denoiser.config.sample_size) * int(self.pipeline.vae_scale_factor)

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, C, h, w), normalised; the mode of the VAE's distribution, so no noise."""
        config = self.pipeline.vae.config
        latents = self.pipeline.vae.encode(pixels).latent_dist.mode()
        normalised: torch.Tensor = (latents - (getattr(config, "shift_factor", None) or 0)) * config.scaling_factor
        return normalised

    def encode_captions(self, captions: list[str]) -> dict[str, torch.Tensor]:
        """What the denoiser is given of each caption, by name; each (B, ...)."""
        embeds, _ = self.pipeline.encode_prompt(captions, self.device, 1, False)
        return {"embeds": embeds}

    def image_conditions(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:  # noqa: ARG002
        """What the denoiser is told about each image beside its latents, by name; each (B, ...), on any device."""
        return {}

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """The denoiser's prediction, in the shape of ``noisy``, (B, C, h, w)."""
        prediction: torch.Tensor = self.denoiser(
            noisy, timesteps, encoder_hidden_states=conditions["embeds"], return_dict=False
        )[0]
        return prediction

    @property
    def device(self) -> torch.device:
        """Where models run: with offloading, the device that they are moved to. To find it takes milliseconds."""
        device: torch.device = self.pipeline._execution_device
        return device

    def guidance(self, noisy: torch.Tensor) -> torch.Tensor | None:
        """(B,) guidance scales; None for a denoiser that takes none."""
        import torch

        if not getattr(self.denoiser.config, "guidance_embeds", False):
            return None
        return torch.full((len(noisy),), self.guidance_scale, device=noisy.device)


class StableDiffusionXL(Family):
    """Two text encoders, and the size and crop of each image as a condition."""

    def encode_captions(self, captions: list[str]) -> dict[str, torch.Tensor]:
        embeds, _, pooled, _ = self.pipeline.encode_prompt(
            captions, device=self.device, do_classifier_free_guidance=False
        )
        return {"embeds": embeds, "pooled": pooled}

    def image_conditions(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        import torch

        size = torch.tensor(batch["pixel_values"].shape[-2:]).expand(len(batch["paths"]), 2)
        original = torch.as_tensor(batch.get("original_sizes", size))
        corner = torch.as_tensor(batch.get("crop_top_lefts", torch.zeros_like(size)))
        return {"time_ids": torch.cat([original, corner, size], dim=1)}

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        prediction: torch.Tensor = self.denoiser(
            noisy,
            timesteps,
            encoder_hidden_states=conditions["embeds"],
            added_cond_kwargs={"text_embeds": conditions["pooled"], "time_ids": conditions["time_ids"].to(noisy)},
            return_dict=False,
        )[0]
        return prediction


class StableDiffusion3(Family):
    """Two CLIPs and a T5 in front of a transformer."""

    denoiser_name = "transformer"

    @property
    def multiple(self) -> int:
        return int(self.pipeline.vae_scale_factor) * int(self.denoiser.config.patch_size)

    def encode_captions(self, captions: list[str]) -> dict[str, torch.Tensor]:
        embeds, _, pooled, _ = self.pipeline.encode_prompt(
            captions, None, None, device=self.device, do_classifier_free_guidance=False, **self.lengths
        )
        return {"embeds": embeds, "pooled": pooled}

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        prediction: torch.Tensor = self.denoiser(
            hidden_states=noisy,
            timestep=timesteps,
            encoder_hidden_states=conditions["embeds"],
            pooled_projections=conditions["pooled"],
            return_dict=False,
        )[0]
        return prediction


class Flux(Family):
    """Latents packed into a sequence, with positions."""

    denoiser_name = "transformer"
    patch = 2

    @property
    def resolution(self) -> int:
        return int(self.pipeline.default_sample_size) * int(self.pipeline.vae_scale_factor)

    def encode_captions(self, captions: list[str]) -> dict[str, torch.Tensor]:
        embeds, pooled, _ = self.pipeline.encode_prompt(captions, device=self.device, **self.lengths)
        return {"embeds": embeds, "pooled": pooled}

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        batch_size, channels, height, width = noisy.shape
        embeds = conditions["embeds"]
        packed = self.denoiser(
            hidden_states=self.pipeline._pack_latents(noisy, batch_size, channels, height, width),
            timestep=timesteps / 1000,  # the transformer multiplies it again
            guidance=self.guidance(noisy),
            pooled_projections=conditions["pooled"],
            encoder_hidden_states=embeds,
            txt_ids=embeds.new_zeros(embeds.shape[1], 3),
            img_ids=self.pipeline._prepare_latent_image_ids(
                batch_size, height // 2, width // 2, noisy.device, noisy.dtype
            ),
            return_dict=False,
        )[0]
        prediction: torch.Tensor = self.pipeline._unpack_latents(packed, height, width, vae_scale_factor=1)
        return prediction


class Flux2(Flux):
    """Latents in patches, normalised by the VAE's batch statistics; a language model reads the caption."""

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        latents: torch.Tensor = self.pipeline._encode_vae_image(pixels, generator=None)
        return latents

    def encode_captions(self, captions: list[str]) -> dict[str, torch.Tensor]:
        embeds, positions = self.pipeline.encode_prompt(captions, device=self.device, **self.lengths)
        return {"embeds": embeds, "positions": positions}

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        positions = self.pipeline._prepare_latent_ids(noisy).to(noisy.device)
        packed = self.denoiser(
            hidden_states=self.pipeline._pack_latents(noisy),
            timestep=timesteps / 1000,  # the transformer multiplies it again
            guidance=self.guidance(noisy),
            encoder_hidden_states=conditions["embeds"],
            txt_ids=conditions["positions"],
            img_ids=positions,
            return_dict=False,
        )[0]
        prediction: torch.Tensor = self.pipeline._unpack_latents_with_ids(packed, positions)
        return prediction
