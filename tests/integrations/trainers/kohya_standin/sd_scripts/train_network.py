"""Stand-in for sd-scripts' train_network.py: its seams and order of calls, around a small model that truly trains."""

from __future__ import annotations

import argparse
import json
import multiprocessing
from multiprocessing import Value
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from library import train_util
from library.custom_train_functions import apply_masked_loss


class Network(torch.nn.Module):
    """The LoRA."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(0.1)
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(4, 16, 3, padding=1), torch.nn.Conv2d(16, 4, 3, padding=1))

    def forward(self, x: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return self.layers(self.dropout(x) + text.view(len(x), 4, 1, 1))

    def save_weights(self, file: str, dtype: Any, metadata: dict[str, str]) -> None:
        """A checkpoint."""
        torch.save(self.state_dict(), file)


class NetworkTrainer:
    """The trainer."""

    def get_noise_pred_and_target(
        self, args: Any, accelerator: Any, latents: torch.Tensor, text: torch.Tensor, network: Any, is_train: bool
    ) -> Any:
        """Noise, timesteps, a prediction, and a weight per example."""
        noise = torch.randn_like(latents)
        timesteps = torch.randint(0, 1000, (len(latents),))
        share = (timesteps / 1000).view(-1, 1, 1, 1)
        with torch.set_grad_enabled(is_train):
            prediction = network((1 - share) * latents + share * noise, text)
        return prediction, noise, timesteps, 0.5 + share

    def post_process_loss(self, loss: torch.Tensor, args: Any, timesteps: torch.Tensor, noise_scheduler: Any) -> Any:
        """Weights by timestep."""
        return loss * (1 + timesteps / 2000)

    def process_batch(
        self,
        batch: dict[str, Any],
        text_encoders: Any,
        unet: Any,
        network: Any,
        vae: Any,
        noise_scheduler: Any,
        vae_dtype: Any,
        weight_dtype: Any,
        accelerator: Any,
        args: Any,
        text_encoding_strategy: Any,
        tokenize_strategy: Any,
        is_train: bool = True,
        train_text_encoder: bool = True,
        train_unet: bool = True,
    ) -> torch.Tensor:
        """From a batch to its scalar loss."""
        conditions = batch["text_encoder_outputs_list"]
        if conditions is None:
            conditions = text_encoding_strategy.encode_tokens(tokenize_strategy, text_encoders, batch["input_ids_list"])
        prediction, target, timesteps, weighting = self.get_noise_pred_and_target(
            args, accelerator, batch["latents"], conditions[0], network, is_train
        )
        loss = train_util.conditional_loss(prediction.float(), target.float(), args.loss_type, "none", None)
        loss = loss * weighting
        if args.masked_loss or batch["alpha_masks"] is not None:
            loss = apply_masked_loss(loss, batch)
        loss = loss.mean(dim=[1, 2, 3]) * batch["loss_weights"]
        loss = self.post_process_loss(loss, args, timesteps, noise_scheduler)
        return loss.mean()

    def on_validation_step_end(
        self, args: Any, accelerator: Any, network: Any, text_encoders: Any, unet: Any, batch: Any, weight_dtype: Any
    ) -> None:
        """Swapped blocks go back."""

    def train(self, args: argparse.Namespace) -> None:
        """Train, save, and write every batch to batches0.json."""
        set_seed(7)
        group = train_util.DatasetGroup(_datasets(args))
        epoch_value, step_value = Value("i", 0), Value("i", 0)
        workers = args.max_data_loader_n_workers
        collator = train_util.collator_class(epoch_value, step_value, None if workers else group)
        accelerator = Accelerator(
            cpu=True,
            gradient_accumulation_steps=args.gradient_accumulation_steps,
            log_with=args.log_with,
            project_dir=args.output_dir,
        )
        tokens, encoding = train_util.TokenizeStrategy(), train_util.TextEncodingStrategy()
        train_util.TokenizeStrategy._strategy, train_util.TextEncodingStrategy._strategy = tokens, encoding
        text_encoder = torch.nn.Embedding(128, 4).requires_grad_(False)
        if args.cache_text_encoder_outputs:
            caching = train_util.TextEncoderOutputsCachingStrategy(args.cache_text_encoder_outputs_to_disk)
            train_util.TextEncoderOutputsCachingStrategy._strategy = caching
            group.new_cache_text_encoder_outputs([text_encoder], accelerator)
        network = Network()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
        loader = torch.utils.data.DataLoader(
            group, batch_size=1, shuffle=True, collate_fn=collator, num_workers=workers, persistent_workers=False
        )
        network, optimizer, loader = accelerator.prepare(network, optimizer, loader)
        if args.resume:
            accelerator.load_state(args.resume)
        if accelerator.is_main_process:
            accelerator.init_trackers("network_train")
        batches: list[Any] = []
        step, epoch = 0, 0

        def process(batch: Any, is_train: bool) -> torch.Tensor:
            return self.process_batch(
                batch,
                [] if args.cache_text_encoder_outputs else [text_encoder],
                None,
                network,
                None,
                None,
                None,
                None,
                accelerator,
                args,
                encoding,
                tokens,
                is_train=is_train,
                train_text_encoder=False,
                train_unet=True,
            )

        def save(name: str) -> None:
            accelerator.unwrap_model(network).save_weights(f"{args.output_dir}/{name}", None, {})

        while step < args.max_train_steps:
            epoch += 1
            epoch_value.value = epoch
            for batch in loader:
                step_value.value = step
                with accelerator.accumulate(network):
                    loss = process(batch, True)
                    accelerator.backward(loss)
                    optimizer.step()
                    optimizer.zero_grad()
                batches.append({"loss": loss.detach().item(), "latents": batch["latents"].flatten(1)[:, 0].tolist()})
                if not accelerator.sync_gradients:
                    continue
                step += 1
                accelerator.log({"loss/current": batches[-1]["loss"]}, step=step)
                if step % args.save_every_n_steps == 0:
                    accelerator.wait_for_everyone()
                    if accelerator.is_main_process:
                        save(f"{args.output_name}-step{step:08d}.pt")
                        if args.save_state:
                            accelerator.save_state(f"{args.output_dir}/{args.output_name}-{step:08d}-state")
                    process(batch, False)
                if step >= args.max_train_steps:
                    break
        accelerator.end_training()
        rank = accelerator.process_index
        Path(args.output_dir, f"batches{rank}.json").write_text(json.dumps(batches))
        if accelerator.is_main_process:
            if args.save_state:
                accelerator.save_state(f"{args.output_dir}/{args.output_name}-state")
            save(f"{args.output_name}.pt")


def _datasets(args: argparse.Namespace) -> list[train_util.BaseDataset]:
    subsets = [
        SimpleNamespace(
            image_dir=str(folder),
            is_reg=folder.name.endswith("reg"),
            caption_dropout_rate=args.caption_dropout_rate,
            alpha_mask=args.alpha_mask,
            metadata_file=args.in_json,
            num_repeats=1,
            cache_info=False,
        )
        for folder in sorted(Path(args.train_data_dir).iterdir())
    ]
    if args.in_json:
        subset = SimpleNamespace(**vars(subsets[0]) | {"image_dir": args.train_data_dir})
        return [train_util.FineTuningDataset([subset], args.train_batch_size, args.prior_loss_weight)]
    kind = train_util.ControlNetDataset if args.conditioning_data_dir else train_util.DreamBoothDataset
    for subset in subsets if args.conditioning_data_dir else ():
        subset.conditioning_data_dir = args.conditioning_data_dir
    return [kind(subsets, args.train_batch_size, args.prior_loss_weight)]


def setup_parser() -> argparse.ArgumentParser:
    """The arguments, of which nothing may be unknown."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in (
        "train_data_dir",
        "output_dir",
        "output_name",
        "resume",
        "log_with",
        "start_method",
        "conditioning_data_dir",
        "in_json",
    ):
        parser.add_argument(f"--{name}")
    for name, default in (("train_batch_size", 3), ("max_train_steps", 12), ("save_every_n_steps", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--max_data_loader_n_workers", type=int, default=0)
    parser.add_argument("--gradient_accumulation_steps", type=int, default=1)
    parser.add_argument("--prior_loss_weight", type=float, default=1.0)
    parser.add_argument("--caption_dropout_rate", type=float, default=0.0)
    parser.add_argument("--loss_type", default="l2")
    caches = ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk")
    for name in ("masked_loss", "alpha_mask", "save_state", *caches):
        parser.add_argument(f"--{name}", action="store_true")
    return parser


if __name__ == "__main__":
    args = setup_parser().parse_args()
    torch.set_num_threads(1)
    if args.start_method:
        multiprocessing.set_start_method(args.start_method, force=True)
    trainer = NetworkTrainer()
    trainer.train(args)
