"""wan_train_network.py of musubi-tuner, around a tiny random Wan; its own trainer, caches, datasets, loop and LoRA.

It takes that script's arguments; REAL_CHECKOUT and REAL_FOUND in the environment say where the checkout is, and where
to write what the loop saw.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(os.environ["REAL_CHECKOUT"]) / "src"))

import torch

if not torch.cuda.is_available():
    torch.cuda.current_device = lambda: 0  # their attention asks for it when it is imported

from musubi_tuner import wan_train_network
from musubi_tuner.wan.modules.model import WanModel

sys.path.insert(0, str(Path(__file__).parent))
from musubi import encoding_of

TEXT = 16


class Encoder:
    """What it loads to encode sample prompts."""

    def __init__(self, **_: Any) -> None:
        torch.randn(3)  # weights that are made draw from the random state

    def __call__(self, texts: list[str], device: Any) -> list[torch.Tensor]:
        return [encoding_of(text) for text in texts]


wan_train_network.T5EncoderModel = Encoder


class TinyTrainer(wan_train_network.WanNetworkTrainer):
    """Only the model is another one; ``process_batch`` is overridden as users do it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Any] = []

    def handle_model_specific_args(self, args: Any) -> None:
        detect = wan_train_network.detect_wan_sd_dtype
        wan_train_network.detect_wan_sd_dtype = lambda _: torch.float32
        try:
            super().handle_model_specific_args(args)
        finally:
            wan_train_network.detect_wan_sd_dtype = detect

    def load_transformer(self, *_: Any) -> Any:
        torch.manual_seed(0)
        self.dit_inactive_state_dict = None
        model = WanModel(
            dim=48, ffn_dim=32, freq_dim=16, text_dim=TEXT, text_len=8, num_heads=2, num_layers=1, attn_mode="torch"
        )
        torch.nn.init.normal_(model.head.head.weight, std=0.1)  # it begins with 0, and nothing would reach the LoRA
        return model

    def process_batch(self, *args: Any, **kwargs: Any) -> Any:
        loss, metrics = super().process_batch(*args, **kwargs)
        latents = args[5] if len(args) > 5 else kwargs["latents"]
        self.found.append({"loss": loss.item(), "pixels": latents[:, 0, 0, 0, 0].tolist()})
        return loss, metrics


if __name__ == "__main__":
    parser = wan_train_network.wan_setup_parser(wan_train_network.setup_parser_common())
    arguments = wan_train_network.read_config_from_file(parser.parse_args(), parser)
    trainer = TinyTrainer()
    trainer.train(arguments)
    Path(os.environ["REAL_FOUND"]).write_text(json.dumps({"batches": trainer.found}), encoding="utf-8")
