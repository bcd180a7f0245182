"""Stand-in for one of musubi-tuner's scripts, which are subclasses with a main()."""

from __future__ import annotations

import argparse
import multiprocessing
from typing import Any

import torch
from musubi_tuner.training.sampling_prompts import load_prompts
from musubi_tuner.training.trainer_base import DiTOutput, NetworkTrainer


def encode(encoder: torch.nn.Module, text: str) -> Any:
    """(letters, 4)."""
    with torch.no_grad():
        return encoder(torch.tensor([ord(letter) % 128 for letter in f"{text}."]))


class TinyNetworkTrainer(NetworkTrainer):
    """Calls its model."""

    def process_sample_prompts(self, args: Any, accelerator: Any, sample_prompts: str) -> list[dict[str, Any]]:
        """With an encoder that is there for as long as it takes."""
        encoder = torch.nn.Embedding(128, 4)
        if args.t5 == "broken":
            raise OSError("broken is no text encoder")
        torch.manual_seed(5)
        torch.nn.init.normal_(encoder.weight)
        prompts = load_prompts(sample_prompts)
        return [{**prompt, "t5_embeds": encode(encoder, prompt["prompt"])} for prompt in prompts]

    def call_dit(
        self,
        args: Any,
        accelerator: Any,
        transformer: Any,
        latents: torch.Tensor,
        batch: dict[str, Any],
        noise: torch.Tensor,
        noisy_model_input: torch.Tensor,
        timesteps: torch.Tensor,
        network_dtype: Any,
        **kwargs: Any,
    ) -> DiTOutput:
        """The network alone."""
        text = torch.stack([row.mean(0) for row in batch["t5"]])
        return DiTOutput(kwargs["network"](noisy_model_input, text), noise - latents)


def main() -> None:
    """As the scripts do."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("train_data_dir", "output_dir", "output_name", "start_method", "t5", "sample_prompts"):
        parser.add_argument(f"--{name}")
    for name, default in (("max_train_steps", 12), ("save_every_n_steps", 5), ("max_data_loader_n_workers", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.start_method:
        multiprocessing.set_start_method(args.start_method, force=True)
    trainer = TinyNetworkTrainer()
    trainer.train(args)


if __name__ == "__main__":
    main()
