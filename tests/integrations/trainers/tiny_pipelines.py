"""Randomly initialised pipelines of a few thousand parameters, one for each class, made without a download."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    PNDMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
)

WIDTH = 16
CHAT = (
    "{% for message in messages %}{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{{ message['content'][0]['text'] }}{% endif %}{% endfor %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, between <s> and </s>."""
    tokens = ["<s>", "</s>", "<pad>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=77,
        chat_template=CHAT,
    )


def ddpm(**options: Any) -> DDPMScheduler:
    """The scheduler that Stable Diffusion is trained with; the pipelines warn about another offset and clipping."""
    trained = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    return DDPMScheduler(**trained, steps_offset=1, clip_sample=False, **options)


def stable_diffusion(scheduler: Any = None) -> StableDiffusionPipeline:
    torch.manual_seed(0)
    return StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=CLIPTextModel(clip_config()),
        tokenizer=tokenizer(),
        unet=unet(WIDTH),
        scheduler=scheduler or PNDMScheduler.from_config(ddpm().config, skip_prk_steps=True),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl(scheduler: Any = None) -> StableDiffusionXLPipeline:
    torch.manual_seed(0)
    time_width = 4
    return StableDiffusionXLPipeline(
        vae=autoencoder(),
        text_encoder=CLIPTextModel(clip_config()),
        text_encoder_2=CLIPTextModelWithProjection(clip_config()),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        unet=unet(
            2 * WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=time_width,
            projection_class_embeddings_input_dim=6 * time_width + WIDTH,
        ),
        scheduler=scheduler or ddpm(),
        add_watermarker=False,
    )


def stable_diffusion_3(scheduler: Any = None) -> StableDiffusion3Pipeline:
    torch.manual_seed(0)
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            caption_projection_dim=16,
            joint_attention_dim=2 * WIDTH,
            pooled_projection_dim=2 * WIDTH,
            pos_embed_max_size=8,
        ),
        scheduler=scheduler or FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(shift_factor=0.0609),
        text_encoder=CLIPTextModelWithProjection(clip_config()),
        tokenizer=tokenizer(),
        text_encoder_2=CLIPTextModelWithProjection(clip_config()),
        tokenizer_2=tokenizer(),
        text_encoder_3=T5EncoderModel(t5_config(2 * WIDTH)),
        tokenizer_3=tokenizer(),
    )


def flux(scheduler: Any = None) -> FluxPipeline:
    torch.manual_seed(0)
    return FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=1,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=True,
        ),
        scheduler=scheduler or FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=autoencoder(shift_factor=0.1159),
        text_encoder=CLIPTextModel(clip_config()),
        tokenizer=tokenizer(),
        text_encoder_2=T5EncoderModel(t5_config(WIDTH)),
        tokenizer_2=tokenizer(),
    )


def flux_2(scheduler: Any = None) -> Flux2Pipeline:
    torch.manual_seed(0)
    text = {
        "model_type": "mistral",
        "vocab_size": 512,
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "num_hidden_layers": 30,  # the pipeline reads layers 10, 20 and 30
        "head_dim": WIDTH,
    }
    vision = {
        "model_type": "pixtral",
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_attention_heads": 1,
        "num_hidden_layers": 1,
        "image_size": 30,
        "patch_size": 6,
    }
    config = Mistral3Config(text_config=text, vision_config=vision, image_token_index=1)
    return Flux2Pipeline(
        scheduler=scheduler or FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder_flux_2(),
        text_encoder=Mistral3ForConditionalGeneration(config),
        tokenizer=tokenizer(),
        transformer=transformer_flux_2(guidance_embeds=True),
    )


def flux_2_klein(scheduler: Any = None) -> Flux2KleinPipeline:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=512,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_attention_heads=1,
        num_key_value_heads=1,
        num_hidden_layers=27,  # the pipeline reads layers 9, 18 and 27
        head_dim=WIDTH,
    )
    return Flux2KleinPipeline(
        scheduler=scheduler or FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder_flux_2(),
        text_encoder=Qwen3ForCausalLM(config),
        tokenizer=tokenizer(),
        transformer=transformer_flux_2(guidance_embeds=False),
    )


PIPELINES: dict[str, Callable[..., Any]] = {
    make.__name__: make
    for make in (stable_diffusion, stable_diffusion_xl, stable_diffusion_3, flux, flux_2, flux_2_klein)
}
FLOW = ("stable_diffusion_3", "flux", "flux_2", "flux_2_klein")


def autoencoder(**options: Any) -> AutoencoderKL:
    """Halves height and width."""
    return AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        scaling_factor=1.5,
        **options,
    )


def autoencoder_flux_2() -> AutoencoderKLFlux2:
    """Halves height and width; its batch statistics are not those of a fresh one."""
    made = AutoencoderKLFlux2(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
    )
    made.bn.running_mean.normal_()
    made.bn.running_var.uniform_(0.5, 2)
    return made


def unet(cross_attention_dim: int, **options: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(4, 8),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=cross_attention_dim,
        attention_head_dim=2,
        norm_num_groups=2,
        **options,
    )


def transformer_flux_2(guidance_embeds: bool) -> Flux2Transformer2DModel:
    return Flux2Transformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=1,
        joint_attention_dim=3 * WIDTH,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=guidance_embeds,
    )


def clip_config() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=512,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        projection_dim=WIDTH,
        num_attention_heads=2,
        num_hidden_layers=2,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )


def t5_config(width: int) -> T5Config:
    return T5Config(vocab_size=512, d_model=width, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
