"""A LoRA script of sd-scripts as users write them: its trainer, datasets, loop and LoRA, around a tiny random model.

It takes the arguments of ``train_network.py``; REAL_CHECKOUT and REAL_FOUND in the environment say where that is, and
where to write what the loop saw.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, os.environ["REAL_CHECKOUT"])

import torch
import train_network
from diffusers import AutoencoderKL, UNet2DConditionModel
from library import strategy_sd
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

WIDTH = 16


def tokenizer() -> Any:
    """A token is a word."""
    words = ["<s>", "</s>", "<unk>", "number", "of", *map(str, range(9)), "cats", "dogs"]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=77, **special)


class Tokens(strategy_sd.SdTokenizeStrategy):
    """The strategy of sd-scripts, with a tokenizer that needs no download."""

    def __init__(self) -> None:
        self.tokenizer, self.max_length = tokenizer(), 77


class Watched:
    """Keeps what the loop saw; ``process_batch`` is overridden as users do it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Any] = []

    def process_batch(self, *args: Any, **kwargs: Any) -> Any:
        loss = super().process_batch(*args, **kwargs)  # type: ignore[misc]
        if kwargs.get("is_train", True):
            batch = args[0]
            images = batch.get("images")
            pixels = None if images is None else images.mean((1, 2, 3)).tolist()
            shape = None if images is None else list(images.shape[2:])
            masks = batch.get("conditioning_images")
            seen = {"loss": loss.item(), "pixels": pixels, "captions": list(batch["captions"]), "shape": shape}
            self.found.append(seen | {"masks": None if masks is None else masks.mean((1, 2, 3)).tolist()})
        return loss


def start(parser: Any, trainer: Any) -> None:
    """Train, and write it; with workers that are spawned as on Windows and macOS, if REAL_SPAWN is set."""
    if os.environ.get("REAL_SPAWN"):
        torch.multiprocessing.set_start_method("spawn")
    trainer.train(train_network.train_util.read_config_from_file(parser.parse_args(), parser))
    Path(os.environ["REAL_FOUND"]).write_text(json.dumps({"batches": trainer.found}), encoding="utf-8")


class TinyTrainer(Watched, train_network.NetworkTrainer):
    """Only the models are other ones."""

    def get_tokenize_strategy(self, args: Any) -> Any:
        return Tokens()

    def load_target_model(self, args: Any, weight_dtype: Any, accelerator: Any) -> Any:
        torch.manual_seed(0)
        text = CLIPTextConfig(
            vocab_size=16, hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=1, num_attention_heads=2,
            bos_token_id=0, eos_token_id=1,
        )  # fmt: skip
        vae = AutoencoderKL(
            block_out_channels=(4,) * 4, norm_num_groups=2, latent_channels=4,
            down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        )  # fmt: skip
        unet = UNet2DConditionModel(
            sample_size=16, block_out_channels=(8, 16), norm_num_groups=4, cross_attention_dim=WIDTH,
            attention_head_dim=4, layers_per_block=1, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )  # fmt: skip
        return "tiny", CLIPTextModel(text), vae, unet


if __name__ == "__main__":
    start(train_network.setup_parser(), TinyTrainer())
