"""Stand-in for musubi-tuner's NetworkTrainer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from multiprocessing import Value
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from musubi_tuner.dataset.image_video_dataset import DatasetGroup, ImageDataset


@dataclass
class DiTOutput:
    """What the model gives."""

    pred: torch.Tensor
    target: torch.Tensor


class Network(torch.nn.Module):
    """The LoRA."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(0.1)
        self.layers = torch.nn.Sequential(torch.nn.Conv3d(4, 16, 1), torch.nn.SiLU(), torch.nn.Conv3d(16, 4, 1))

    def forward(self, x: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return self.layers(self.dropout(x) + text.view(len(x), 4, 1, 1, 1))

    def save_weights(self, file: str, dtype: Any, metadata: dict[str, str]) -> None:
        """A checkpoint."""
        torch.save(self.state_dict(), file)


def collate(examples: list[Any]) -> Any:
    """The one batch."""
    return examples[0]


class NetworkTrainer:
    """The trainer; a subclass calls its model."""

    architecture: str = "wan"
    architecture_full_name: str = "wan"
    blocks_to_swap = 0

    def process_sample_prompts(self, args: Any, accelerator: Any, sample_prompts: str) -> list[dict[str, Any]]:
        """In a subclass."""
        raise NotImplementedError

    def load_transformer(
        self,
        accelerator: Any,
        args: Any,
        dit_path: str,
        attn_mode: str,
        split_attn: bool,
        loading_device: str,
        dit_weight_dtype: Any,
    ) -> Any:
        """The model that the network is for."""

    def call_dit(
        self,
        args: Any,
        accelerator: Any,
        transformer_arg: Any,
        latents: torch.Tensor,
        batch: dict[str, Any],
        noise: torch.Tensor,
        noisy_model_input: torch.Tensor,
        timesteps: torch.Tensor,
        network_dtype: Any,
        **kwargs: Any,
    ) -> DiTOutput:
        """In a subclass."""
        raise NotImplementedError

    def process_batch(
        self,
        args: Any,
        accelerator: Any,
        transformer: Any,
        network: Any,
        batch: dict[str, Any],
        latents: torch.Tensor,
        noise: torch.Tensor,
        noise_scheduler: Any,
        dit_dtype: Any,
        network_dtype: Any,
        vae: Any,
        global_step: int,
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """From a batch to its scalar."""
        timesteps = torch.rand(len(latents)) * 1000
        share = (timesteps / 1000).view(-1, 1, 1, 1, 1)
        noisy = (1 - share) * latents + share * noise
        output = self.call_dit(
            args, accelerator, transformer, latents, batch, noise, noisy, timesteps, network_dtype, network=network
        )
        return self.compute_loss(args, output, timesteps, noise_scheduler, dit_dtype, network_dtype, global_step)

    def compute_loss(
        self,
        args: Any,
        output: DiTOutput,
        timesteps: torch.Tensor,
        noise_scheduler: Any,
        dit_dtype: Any,
        network_dtype: Any,
        global_step: int,
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """A weighted squared error."""
        loss = torch.nn.functional.mse_loss(output.pred.to(network_dtype), output.target, reduction="none")
        loss = loss * (1 + timesteps / 1000).view(-1, 1, 1, 1, 1)
        return loss.mean(), {}

    def train(self, args: Any) -> None:
        """Train, save, and write every batch to batches0.json."""
        set_seed(7)
        epoch_value = Value("i", 0)
        folders = sorted(Path(args.train_data_dir).iterdir())
        datasets = [ImageDataset(str(folder), epoch_value) for folder in folders]
        for dataset in datasets:
            dataset.prepare_for_training()
        group = DatasetGroup(datasets)
        accelerator = Accelerator(cpu=True)
        if args.sample_prompts:
            self.process_sample_prompts(args, accelerator, args.sample_prompts)
        self.load_transformer(accelerator, args, "", "torch", False, "cpu", None)
        network = Network()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
        loader = torch.utils.data.DataLoader(
            group, batch_size=1, shuffle=True, collate_fn=collate, num_workers=args.max_data_loader_n_workers
        )
        network, optimizer, loader = accelerator.prepare(network, optimizer, loader)
        batches: list[Any] = []
        global_step = 0
        while global_step < args.max_train_steps:
            epoch_value.value += 1
            for batch in loader:
                with accelerator.accumulate(network):
                    latents = batch["latents"]
                    noise = torch.randn_like(latents)
                    loss, _ = self.process_batch(
                        args,
                        accelerator,
                        None,
                        network,
                        batch,
                        latents,
                        noise,
                        None,
                        torch.float32,
                        torch.float32,
                        None,
                        global_step,
                    )
                    accelerator.backward(loss)
                    optimizer.step()
                    optimizer.zero_grad()
                global_step += 1
                batches.append({"loss": loss.detach().item(), "latents": latents.flatten(1)[:, 0].tolist()})
                if global_step % args.save_every_n_steps == 0:
                    name = f"{args.output_name}-step{global_step:08d}.pt"
                    accelerator.unwrap_model(network).save_weights(f"{args.output_dir}/{name}", None, {})
                if global_step >= args.max_train_steps:
                    break
        accelerator.end_training()
        Path(args.output_dir, "batches0.json").write_text(json.dumps(batches))
        accelerator.unwrap_model(network).save_weights(f"{args.output_dir}/{args.output_name}.pt", None, {})
