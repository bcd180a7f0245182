"""More families: Chroma, Qwen-Image, Z-Image, Lumina 2, Sana, and Wan for single images.

Each follows diffusers' training script for that family, and its pipeline where there is none (Chroma, Wan).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loss_logging.errors import ConfigError
from loss_logging.integrations.trainers.diffusers_families import Family, Flux

if TYPE_CHECKING:
    import torch

__all__ = ["Chroma", "Lumina2", "QwenImage", "Sana", "Wan", "ZImage"]


class _Transformer(Family):
    """A transformer in the place of the UNet."""

    denoiser_name = "transformer"

    @property
    def resolution(self) -> int:
        """As diffusers' pipelines have it, where it is not the transformer's."""
        return int(getattr(self.pipeline, "default_sample_size", 128)) * int(self.pipeline.vae_scale_factor)


class Chroma(Flux):
    """Flux without CLIP; padding of the caption is masked out, but for one token."""

    def encode_captions(self, captions: list[str]) -> dict[str, torch.Tensor]:
        encoded = self.pipeline.encode_prompt(
            captions, device=self.device, do_classifier_free_guidance=False, **self.lengths
        )
        return {"embeds": encoded[0], "mask": encoded[2]}

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        pipeline, embeds = self.pipeline, conditions["embeds"]
        batch_size, channels, height, width = noisy.shape
        packed = pipeline._pack_latents(noisy, batch_size, channels, height, width)
        prediction = self.denoiser(
            hidden_states=packed,
            timestep=timesteps / 1000,  # the transformer multiplies it again
            encoder_hidden_states=embeds,
            txt_ids=embeds.new_zeros(embeds.shape[1], 3),
            img_ids=pipeline._prepare_latent_image_ids(batch_size, height // 2, width // 2, noisy.device, noisy.dtype),
            attention_mask=pipeline._prepare_attention_mask(
                batch_size=batch_size,
                sequence_length=packed.shape[1],
                dtype=noisy.dtype,
                attention_mask=conditions["mask"],
            ),
            return_dict=False,
        )[0]
        unpacked: torch.Tensor = pipeline._unpack_latents(prediction, height, width, vae_scale_factor=1)
        return unpacked


class _VideoVae(_Transformer):
    """The VAE of a video model, with one frame, and a mean and deviation for each of its channels."""

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        import torch

        config = self.pipeline.vae.config
        latents = self.pipeline.vae.encode(pixels.unsqueeze(2)).latent_dist.mode().squeeze(2)
        mean, deviation = (
            torch.tensor(values, device=latents.device, dtype=latents.dtype).view(1, -1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        normalised: torch.Tensor = (latents - mean) / deviation
        return normalised


class QwenImage(_VideoVae):
    """Latents packed into a sequence; captions are as long as they are, with a mask."""

    patch = 2

    def encode_captions(self, captions: list[str]) -> dict[str, torch.Tensor]:
        embeds, mask = self.pipeline.encode_prompt(captions, device=self.device, **self.lengths)
        return {"embeds": embeds, "mask": embeds.new_ones(embeds.shape[:2]).long() if mask is None else mask}

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        batch_size, channels, height, width = noisy.shape
        packed = self.denoiser(
            hidden_states=self.pipeline._pack_latents(noisy, batch_size, channels, height, width),
            timestep=timesteps / 1000,  # the transformer multiplies it again
            encoder_hidden_states=conditions["embeds"],
            encoder_hidden_states_mask=conditions["mask"],
            img_shapes=[(1, height // 2, width // 2)] * batch_size,
            return_dict=False,
        )[0]
        unpacked: torch.Tensor = self.pipeline._unpack_latents(packed, height, width, vae_scale_factor=1)
        return unpacked.squeeze(2)


class ZImage(_Transformer):
    """Time runs from noise to data, and the prediction has the opposite sign; a list of captions of any length."""

    patch = 2

    def encode_captions(self, captions: list[str]) -> dict[str, torch.Tensor]:
        import torch

        embeds, _ = self.pipeline.encode_prompt(
            [*captions], self.device, do_classifier_free_guidance=False, **self.lengths
        )
        masks = [torch.ones(len(one), device=one.device, dtype=torch.bool) for one in embeds]
        pad = torch.nn.utils.rnn.pad_sequence
        return {"embeds": pad(embeds, batch_first=True), "mask": pad(masks, batch_first=True)}

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        import torch

        pairs = zip(conditions["embeds"], conditions["mask"], strict=True)
        predictions = self.denoiser(
            [*noisy.unsqueeze(2).unbind()], (1000 - timesteps) / 1000, [e[m] for e, m in pairs], return_dict=False
        )[0]
        return -torch.stack(predictions).squeeze(2)


class _MaskedPrompt(_Transformer):
    """A caption's embedding with the mask of its tokens, and a transformer that is given both."""

    @property
    def multiple(self) -> int:
        return int(self.pipeline.vae_scale_factor) * int(self.denoiser.config.patch_size)

    def encode_captions(self, captions: list[str]) -> dict[str, torch.Tensor]:
        embeds, mask, _, _ = self.pipeline.encode_prompt(
            captions, do_classifier_free_guidance=False, device=self.device, **self.lengths
        )
        return {"embeds": embeds, "mask": mask}

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        prediction: torch.Tensor = self.denoiser(
            hidden_states=noisy,
            timestep=timesteps,
            encoder_hidden_states=conditions["embeds"],
            encoder_attention_mask=conditions["mask"],
            return_dict=False,
        )[0]
        return prediction


class Lumina2(_MaskedPrompt):
    """Time runs from noise to data, and the prediction has the opposite sign."""

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        return -super().predict(noisy, 1 - timesteps / 1000, conditions)


class Sana(_MaskedPrompt):
    """A VAE without a distribution. Captions are encoded without the long instruction, as in training."""

    @property
    def resolution(self) -> int:
        return int(self.denoiser.config.sample_size) * int(self.pipeline.vae_scale_factor)

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        latents: torch.Tensor = vae.encode(pixels).latent * vae.config.scaling_factor
        return latents


class Wan(_VideoVae):
    """Wan 2.1 on single images; Wan 2.2 has two transformers, or a timestep for each place, and is refused.

    Raises:
        ConfigError: it is a Wan 2.2.
    """

    def __init__(self, pipeline: Any, guidance_scale: float, max_sequence_length: int | None) -> None:
        if pipeline.transformer_2 is not None or pipeline.config.expand_timesteps:
            raise ConfigError(
                "pipeline is a Wan 2.2, with two transformers or a timestep for each place; allowed: Wan 2.1"
            )
        super().__init__(pipeline, guidance_scale, max_sequence_length or 512)

    @property
    def multiple(self) -> int:
        return int(self.pipeline.vae_scale_factor_spatial) * int(self.denoiser.config.patch_size[1])

    @property
    def resolution(self) -> int:
        return 480

    def encode_captions(self, captions: list[str]) -> dict[str, torch.Tensor]:
        embeds, _ = self.pipeline.encode_prompt(
            captions, do_classifier_free_guidance=False, device=self.device, **self.lengths
        )
        return {"embeds": embeds}

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        prediction: torch.Tensor = self.denoiser(
            hidden_states=noisy.unsqueeze(2),
            timestep=timesteps,
            encoder_hidden_states=conditions["embeds"],
            return_dict=False,
        )[0]
        return prediction.squeeze(2)
