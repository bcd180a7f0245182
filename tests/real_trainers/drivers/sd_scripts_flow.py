"""As sd_scripts_tiny.py, for Stable Diffusion 3 and Flux: ``sd3_train_network.py`` and ``flux_train_network.py``.

REAL_FAMILY in the environment is sd3 or flux.
"""

from __future__ import annotations

import os
from typing import Any

import flux_train_network
import sd3_train_network
import torch
from library import flux_models, sd3_models, strategy_flux, strategy_sd3
from sd_scripts_tiny import WIDTH, Watched, start, tokenizer
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

LENGTH = 24


def clip(kind: Any) -> Any:
    """CLIP."""
    return kind(
        CLIPTextConfig(
            vocab_size=16, hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
            projection_dim=WIDTH, bos_token_id=0, eos_token_id=1,
        )
    ).eval()  # fmt: skip


def t5(width: int) -> Any:
    """T5."""
    return T5EncoderModel(
        T5Config(
            vocab_size=16, d_model=width, d_ff=8, d_kv=8, num_layers=1, num_heads=1, pad_token_id=1,
            feed_forward_proj="gated-gelu",
        )
    ).eval()  # fmt: skip


class Sd3Tokens(strategy_sd3.Sd3TokenizeStrategy):
    """With tokenizers that need no download."""

    def __init__(self) -> None:
        self.t5xxl_max_length = LENGTH
        self.clip_l, self.clip_g, self.t5xxl = (tokenizer() for _ in range(3))


class FluxTokens(strategy_flux.FluxTokenizeStrategy):
    """The same."""

    def __init__(self) -> None:
        self.t5xxl_max_length = LENGTH
        self.clip_l, self.t5xxl = tokenizer(), tokenizer()


class TinySd3(Watched, sd3_train_network.Sd3NetworkTrainer):
    """Only the models are other ones."""

    def get_tokenize_strategy(self, args: Any) -> Any:
        return Sd3Tokens()

    def load_target_model(self, args: Any, weight_dtype: Any, accelerator: Any) -> Any:
        torch.manual_seed(0)
        self.model_type, self.is_swapping_blocks = "sd3m", False
        vae = sd3_models.SDVAE()
        vae.encoder = sd3_models.VAEEncoder(ch=32, ch_mult=(1, 1, 1, 1), num_res_blocks=1)
        del vae.decoder
        model = sd3_models.create_sd3_mmdit(
            sd3_models.SD3Params(
                patch_size=2, depth=2, num_patches=1024, pos_embed_max_size=32, adm_in_channels=2 * WIDTH,
                qk_norm=None, x_block_self_attn_layers=[], context_embedder_in_features=4096,
                context_embedder_out_features=128, model_type="sd3m",
            )
        )  # fmt: skip
        torch.nn.init.normal_(model.final_layer.linear.weight, std=0.1)
        torch.nn.init.normal_(model.pos_embed)  # which is read from the checkpoint, and else is whatever was there
        texts = [clip(CLIPTextModelWithProjection), clip(CLIPTextModelWithProjection), t5(4096)]
        return "sd3m", texts, vae, model


class TinyFlux(Watched, flux_train_network.FluxNetworkTrainer):
    """Only the models are other ones."""

    def get_tokenize_strategy(self, args: Any) -> Any:
        self.is_schnell = False
        return FluxTokens()

    def load_target_model(self, args: Any, weight_dtype: Any, accelerator: Any) -> Any:
        torch.manual_seed(0)
        model = flux_models.Flux(
            flux_models.FluxParams(
                in_channels=64, vec_in_dim=WIDTH, context_in_dim=WIDTH, hidden_size=32, mlp_ratio=2.0, num_heads=2,
                depth=1, depth_single_blocks=1, axes_dim=[4, 6, 6], theta=10_000, qkv_bias=True, guidance_embed=True,
            )
        )  # fmt: skip
        torch.nn.init.normal_(model.final_layer.linear.weight, std=0.1)
        vae = flux_models.AutoEncoder(
            flux_models.AutoEncoderParams(
                resolution=32, in_channels=3, ch=32, out_ch=3, ch_mult=[1, 1, 1, 1], num_res_blocks=1, z_channels=16,
                scale_factor=0.3611, shift_factor=0.1159,
            )
        )  # fmt: skip
        return "flux1", [clip(CLIPTextModel), t5(WIDTH)], vae, model


if __name__ == "__main__":
    if os.environ["REAL_FAMILY"] == "sd3":
        start(sd3_train_network.setup_parser(), TinySd3())
    else:
        start(flux_train_network.setup_parser(), TinyFlux())
