"""A small trainer with the interface of ai-toolkit's SDTrainer: its names, shapes and order of calls, and a real model.

Written from the interface at the commit that docs/ai_toolkit.md names. What it checkpoints is found and cleaned up by
the same patterns, and its loss is reduced by the same two means.
"""

from __future__ import annotations

import contextlib
import copy
import os
import random
import shutil
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

WORDS = 8


class PromptEmbeds:
    """Embeddings of B captions, (B, 1, WORDS)."""

    def __init__(self, text_embeds: torch.Tensor) -> None:
        self.text_embeds = text_embeds

    def clone(self) -> PromptEmbeds:
        return PromptEmbeds(self.text_embeds.clone())


def concat_prompt_embeds(prompt_embeds: list[PromptEmbeds], padding_side: str = "right") -> PromptEmbeds:
    assert padding_side == "right"
    return PromptEmbeds(torch.cat([embeds.text_embeds for embeds in prompt_embeds]))


class Unet(torch.nn.Module):
    """Predicts noise; dropout and batch norm make an extra forward felt, if it leaves a trace."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(4, 8, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(8)
        self.text = torch.nn.Linear(WORDS + 1, 8)
        self.dropout = torch.nn.Dropout(0.2)
        self.last = torch.nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, latents: torch.Tensor, timesteps: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        if latents.dim() == 5:  # (B, C, T, H, W): each frame for itself
            frames = [self(latents[:, :, i], timesteps, text) for i in range(latents.shape[2])]
            return torch.stack(frames, 2)
        condition = self.text(torch.cat([text[:, 0], timesteps[:, None] / 1000], 1))
        return self.last(self.dropout(self.norm(self.first(latents)) + condition[:, :, None, None]).relu())


class Model:
    """``self.sd``: what the trainer knows of the model."""

    encode_control_in_text_embeddings = False

    def __init__(self) -> None:
        self.unet = Unet()
        self.forwards = 0

    def encode_prompt(self, prompts: str | list[str]) -> PromptEmbeds:
        embeds = torch.zeros(1 if isinstance(prompts, str) else len(prompts), 1, WORDS)
        for row, prompt in enumerate([prompts] if isinstance(prompts, str) else prompts):
            for word in (prompt or "").split():
                embeds[row, 0, sum(map(ord, word)) % WORDS] += 1
        return PromptEmbeds(embeds)

    def predict_noise(self, latents: torch.Tensor, timestep: torch.Tensor, embeds: PromptEmbeds) -> torch.Tensor:
        self.forwards += 1
        return self.unet(latents, timestep, embeds.text_embeds)


class FileItem:
    """``batch.file_items[i]``."""

    def __init__(self, path: str, caption: str, dataset_config: Any) -> None:
        self.path, self.raw_caption, self.dataset_config = path, caption, dataset_config
        self.caption: str | None = caption
        self.caption_short = caption.split()[0] if caption else None
        self.is_reg, self.loss_multiplier = dataset_config.is_reg, dataset_config.loss_multiplier
        self._caption_was_dropped = False

    def load(self) -> None:
        """Decide on dropout, as at load time."""
        if random.random() < self.dataset_config.caption_dropout_rate:
            if self.dataset_config.cache_text_embeddings:
                self._caption_was_dropped = True  # and the caption stays
            else:
                self.caption = ""

    def latent(self) -> torch.Tensor:
        frames = self.dataset_config.num_frames
        shape = (4, 8, 8) if frames == 1 else (4, frames, 8, 8)
        return torch.randn(shape, generator=torch.Generator().manual_seed(sum(map(ord, self.path))))


class Batch:
    """``DataLoaderBatchDTO``."""

    def __init__(self, file_items: list[FileItem]) -> None:
        self.file_items = file_items
        self.latents = torch.stack([item.latent() for item in file_items])
        self.loss_multiplier_list = [item.loss_multiplier for item in file_items]
        self.audio_noise: torch.Tensor | None = None
        self.audio_pred = self.audio_target = None

    def get_is_reg_list(self) -> list[bool]:
        return [item.is_reg for item in self.file_items]


class AiToolkitDataset:
    """Draws items; one that cannot be read is replaced by a random other one."""

    def __init__(self, config: Any) -> None:
        self.dataset_config, self.epoch_num = config, 0
        self.file_list = [
            FileItem(f"{config.folder_path}/{name}", text, config)
            for name, text in [*config.files.items()] * config.num_repeats
        ]
        self.setup_epoch()

    def setup_epoch(self) -> None:
        if self.epoch_num == 0:
            self.cached = [item.path for item in self.file_list]
        self.epoch_num += 1

    def batch(self, size: int) -> Batch:
        return Batch([self._item(random.randrange(len(self.file_list))) for _ in range(size)])

    def _item(self, index: int) -> FileItem:
        item = copy.deepcopy(self.file_list[index])
        if "broken" in item.path:
            return self._item(random.randrange(len(self.file_list)))
        item.load()
        return item


class UILogger:
    """Collects, and commits by step, as ``toolkit.logging_aitk.UILogger`` and ``WandbLogger`` do."""

    def __init__(self) -> None:
        self._collected: dict[str, Any] = {}
        self.rows: dict[int, dict[str, Any]] = {}
        self.is_finished = False

    def start(self) -> None:
        pass

    def log(self, log_dict: dict[str, Any]) -> None:
        self._collected |= log_dict

    def commit(self, step: int) -> None:
        self.rows[step] = self._collected
        self._collected = {}

    def finish(self) -> None:
        self.is_finished = True


class ProgressBar:
    postfix = ""

    def set_postfix_str(self, text: str) -> None:
        self.postfix = text


DATASET = {
    "folder_path": None, "dataset_path": None, "is_reg": False, "loss_multiplier": 1.0, "caption_dropout_rate": 0.0,
    "cache_text_embeddings": False, "num_frames": 1, "num_repeats": 1,
}  # fmt: skip
TRAIN = {
    "steps": 6, "batch_size": 2, "gradient_accumulation": 1, "gradient_accumulation_steps": 1, "train_unet": True,
    "train_text_encoder": False, "unload_text_encoder": False, "short_and_long_captions": False,
    "do_guidance_loss": False, "snr_gamma": None, "batch_term": 0.0, "loss_type": "mse",
}  # fmt: skip
SAVE = {"save_every": 1000, "max_step_saves_to_keep": 2, "push_to_hub": False}
LOGGING = {"log_every": 1, "use_wandb": False}
MODEL = {"refiner_name_or_path": None, "arch": "sd1"}


class SDTrainer:
    def __init__(self, process_id: int, job: Any, config: OrderedDict[str, Any], **kwargs: Any) -> None:
        assert process_id == 0
        assert not kwargs
        self.job, self.config = job, config
        self.name = config.get("name", job.name)
        self.save_root = str(Path(config["training_folder"], self.name))
        Path(self.save_root).mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.get("training_seed", 0))
        random.seed(config.get("training_seed", 0))
        self.writer = config.get("writer")
        self.accelerator = SimpleNamespace(is_main_process=config.get("is_main_process", True))
        self.train_config = SimpleNamespace(**{**TRAIN, **config.get("train", {})})
        self.save_config = SimpleNamespace(**{**SAVE, **config.get("save", {})})
        self.logging_config = SimpleNamespace(**{**LOGGING, **config.get("logging", {})})
        self.model_config = SimpleNamespace(**{**MODEL, **config.get("model", {})})
        self.dataset_configs = [SimpleNamespace(**{**DATASET, **raw}) for raw in config["datasets"]]
        self.is_caching_text_embeddings = any(dataset.cache_text_embeddings for dataset in self.dataset_configs)
        embedding = config.get("embedding")
        self.embed_config = None if embedding is None else SimpleNamespace(**embedding)
        self.adapter = self.assistant_adapter = self.decorator = self.embedding = None
        self.cached_blank_embeds: PromptEmbeds | None = None
        self.additional_logs: dict[str, Any] = {}
        self.logger, self.progress_bar = UILogger(), ProgressBar()
        self.step_num = self.start_step = 0
        self.grad_accumulation_step, self.is_grad_accumulation_step = 1, False
        self.postfixes: list[str] = []
        self.scalars: list[float] = []

    # --- hooks

    def hook_before_train_loop(self) -> None:
        self.logger.start()
        if self.is_caching_text_embeddings:
            self.cached_blank_embeds = self.encode_static_prompt("")

    def end_step_hook(self) -> None:
        pass

    def encode_static_prompt(self, prompt: str) -> PromptEmbeds:
        return self.sd.encode_prompt(prompt)

    # --- one step

    def predict_noise(
        self,
        noisy_latents: torch.Tensor,
        timesteps: Any = 1,
        conditional_embeds: Any = None,
        unconditional_embeds: Any = None,
        batch: Any = None,
        is_primary_pred: bool = False,
        **kwargs: Any,
    ) -> torch.Tensor:
        assert unconditional_embeds is None
        assert not kwargs
        if batch.audio_noise is None:
            batch.audio_noise = torch.randn(2)  # models with sound draw once for a batch
        self.additional_logs["audio"] = float(batch.audio_noise.sum())
        return self.sd.predict_noise(noisy_latents, timesteps, conditional_embeds)

    def calculate_loss(
        self,
        noise_pred: torch.Tensor,
        noise: torch.Tensor,
        noisy_latents: torch.Tensor,
        timesteps: torch.Tensor,
        batch: Any,
        mask_multiplier: Any = 1.0,
        prior_pred: Any = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        loss_multiplier = torch.tensor(batch.loss_multiplier_list)
        additional_loss = self.train_config.batch_term * noise_pred.abs().mean()
        loss = torch.nn.functional.mse_loss(noise_pred.float(), noise.float(), reduction="none")
        loss = loss * mask_multiplier
        dims = [1, 2, 3, 4] if noise_pred.dim() == 5 else [1, 2, 3]
        prior_loss = None if prior_pred is None else ((noise_pred - prior_pred) ** 2).mean(dims)
        loss = loss.mean(dims)
        with contextlib.suppress(RuntimeError):  # 2B rows of B items
            loss = loss * loss_multiplier
        if prior_loss is not None:
            loss = loss + prior_loss
        if self.train_config.snr_gamma is not None:
            loss = loss * (self.train_config.snr_gamma / (1 + timesteps / 100))
        loss = loss.mean()
        self.additional_logs["loss/img"] = loss.item()
        return loss + additional_loss

    def process_general_training_batch(self, batch: Batch) -> Any:
        prompts = [item.caption for item in batch.file_items]
        is_double = self.train_config.short_and_long_captions and not any(batch.get_is_reg_list())
        if is_double:
            prompts += [item.caption_short for item in batch.file_items]
        noise = torch.randn_like(batch.latents)
        timesteps = torch.randint(1000, (len(batch.latents),))
        noisy = self._add_noise(batch.latents, noise, timesteps)
        if is_double:
            noisy, timesteps, noise = torch.cat([noisy, noisy]), timesteps.repeat(2), torch.cat([noise, noise])
        elif self.model_config.refiner_name_or_path is not None:
            late = torch.randint(800, 1000, timesteps.shape)
            noisy = torch.cat([noisy, self._add_noise(batch.latents, noise, late)])
            timesteps, noise, prompts = torch.cat([timesteps, late]), torch.cat([noise, noise]), prompts + prompts
        return noisy, noise, timesteps, prompts, None

    @staticmethod
    def _add_noise(latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        share = (timesteps / 1000).view(-1, *[1] * (latents.dim() - 1))
        return (1 - share) * latents + share * noise

    def train_single_accumulation(self, batch: Batch) -> torch.Tensor:
        noisy_latents, noise, timesteps, prompts, _ = self.process_general_training_batch(batch)
        embeds = self.sd.encode_prompt(prompts)
        for row, item in enumerate(batch.file_items):
            if item._caption_was_dropped:
                embeds.text_embeds[row] = self.cached_blank_embeds.text_embeds[0]
        if self.train_config.loss_type == "mean_flow":
            loss = (self.sd.predict_noise(noisy_latents, timesteps, embeds) - noise).square().mean()
        else:
            noise_pred = self.predict_noise(
                noisy_latents=noisy_latents, timesteps=timesteps, conditional_embeds=embeds,
                unconditional_embeds=None, batch=batch, is_primary_pred=True,
            )  # fmt: skip
            loss = self.calculate_loss(
                noise_pred=noise_pred, noise=noise, noisy_latents=noisy_latents, timesteps=timesteps, batch=batch,
                mask_multiplier=torch.ones(len(noisy_latents), *[1] * (noise.dim() - 1)), prior_pred=None,
            )  # fmt: skip
        loss.backward()
        return loss.detach()

    def hook_train_loop(self, batch: Any) -> OrderedDict[str, float]:
        batch_list = batch if isinstance(batch, list) else [batch]
        losses = [self.train_single_accumulation(batch) for batch in batch_list]
        if not self.is_grad_accumulation_step:
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        self.scalars.append(torch.stack(losses).mean().item())
        return OrderedDict({"loss": self.scalars[-1]})

    # --- the whole run

    def run(self) -> None:
        self.sd = Model()
        self.optimizer = torch.optim.AdamW(self.sd.unet.parameters(), lr=0.01)
        self._load(self.get_latest_save_path())
        self.hook_before_train_loop()
        plain = [AiToolkitDataset(config) for config in self.dataset_configs if not config.is_reg]
        reg = [AiToolkitDataset(config) for config in self.dataset_configs if config.is_reg]
        for step in range(self.start_step, self.train_config.steps):
            self.step_num = step
            is_save_step = step % self.save_config.save_every == 0
            sets = reg if reg and step % 2 == 0 and not is_save_step else plain
            size = self.train_config.batch_size
            batches = [random.choice(sets).batch(size) for _ in range(self.train_config.gradient_accumulation)]
            is_step = self.grad_accumulation_step >= self.train_config.gradient_accumulation_steps
            self.is_grad_accumulation_step = not is_step
            self.grad_accumulation_step = 0 if is_step else self.grad_accumulation_step
            loss_dict = None
            try:
                loss_dict = self.hook_train_loop(batches)
            except torch.cuda.OutOfMemoryError:
                self.optimizer.zero_grad(set_to_none=True)
            if loss_dict is not None:
                self.progress_bar.set_postfix_str(" ".join(f"{key}: {value:.3e}" for key, value in loss_dict.items()))
                self.postfixes.append(self.progress_bar.postfix)
            if step != self.start_step:
                if is_save_step:
                    self.save(step)
                self._log(loss_dict or {})
            if self.accelerator.is_main_process:
                self.logger.commit(step=step)
            self.step_num = step + 1
            self.grad_accumulation_step += 1
            self.end_step_hook()
        if self.accelerator.is_main_process:
            self.save()
            self.logger.finish()
        self.weights = copy.deepcopy(self.sd.unet.state_dict())
        del self.sd

    def _log(self, loss_dict: dict[str, float]) -> None:
        if not self.accelerator.is_main_process:
            return
        for key, value in loss_dict.items():
            if self.writer is not None:
                self.writer.add_scalar(f"{key}", value, self.step_num)
            self.logger.log({f"loss/{key}": value})
        self.logger.log(self.additional_logs)
        self.additional_logs = {}

    # --- checkpoints

    def save(self, step: int | None = None) -> None:
        if not self.accelerator.is_main_process:
            return
        number = "" if step is None else f"_{step:09d}"
        state = {"model": self.sd.unet.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step_num}
        torch.save(state, Path(self.save_root, f"{self.job.name}{number}.safetensors"))
        self.clean_up_saves()

    def clean_up_saves(self) -> None:
        keep = self.save_config.max_step_saves_to_keep
        found = sorted(Path(self.save_root).glob(f"{self.job.name}_*"), key=os.path.getctime)
        for path in [p for p in found if p.suffix == ".safetensors"][:-keep]:
            path.unlink()
        for path in [p for p in found if p.is_dir()][:-keep]:
            shutil.rmtree(path)

    def get_latest_save_path(self, name: str | None = None) -> Path | None:
        found = Path(self.save_root).glob(f"{name or self.job.name}*")
        return max(found, key=os.path.getctime, default=None)

    def _load(self, path: Path | None) -> None:
        if path is not None:
            with path.open("rb") as file:  # torch reads a path of this name as another format
                state = torch.load(file)
            self.sd.unet.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step_num = self.start_step = state["step"]


class DiffusionTrainer(SDTrainer):
    """The one of the UI: it can be told to save or to stop."""

    def end_step_hook(self) -> None:
        super().end_step_hook()
        if self.config.get("save_now") == self.step_num:
            self.save(self.step_num)
        if self.config.get("stop_at") == self.step_num:
            raise RuntimeError("Job stopped")
