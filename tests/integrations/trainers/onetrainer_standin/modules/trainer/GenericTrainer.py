# ruff: noqa: N999, as OneTrainer calls it
"""Stand-in for OneTrainer's GenericTrainer: its order of calls, around a small model that truly trains."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from random import Random
from typing import Any

import torch

from modules.modelSetup.mixin.ModelSetupDiffusionLossMixin import ModelSetupDiffusionLossMixin
from modules.util.TrainProgress import TrainProgress


class Model:
    """With a text encoder: a caption is the numbers of its letters."""

    def __init__(self) -> None:
        self.network = torch.nn.Conv2d(4, 4, 1)
        self.text_encoder = torch.nn.Embedding(128, 4)
        self.train_progress = TrainProgress()

    def tokenize(self, text: list[str]) -> torch.Tensor:
        """(B, 16)"""
        return torch.tensor([[*one.encode()[:16].ljust(16, b"\0")] for one in text])

    def encode_text(
        self,
        train_device: torch.device,
        batch_size: int = 1,
        rand: Random | None = None,
        text: str | list[str] | None = None,
        tokens: torch.Tensor | None = None,
        text_encoder_layer_skip: int = 0,
        text_encoder_dropout_probability: float | None = None,
        text_encoder_output: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(B, 16, 4); a caption that is dropped is zeros."""
        if tokens is None and text is not None:
            tokens = self.tokenize([text] if isinstance(text, str) else text)
        if text_encoder_output is None:
            text_encoder_output = self.text_encoder(tokens)
        if text_encoder_dropout_probability and rand is not None:
            kept = [rand.random() > text_encoder_dropout_probability for _ in range(batch_size)]
            text_encoder_output = text_encoder_output * torch.tensor(kept).float()[:, None, None]
        return text_encoder_output


class Setup(ModelSetupDiffusionLossMixin):
    """Of one model."""

    def predict(
        self, model: Any, batch: dict[str, Any], config: Any, train_progress: Any, *, deterministic: bool = False
    ) -> dict[str, Any]:
        """Noise and timesteps from a generator of its own."""
        generator = torch.Generator().manual_seed(0 if deterministic else train_progress.global_step)
        noise = torch.randn(batch["latent_image"].shape, generator=generator)
        timestep = torch.randint(0, 1000, (len(noise),), generator=generator)
        share = (timestep / 1000).view(-1, 1, 1, 1)
        text = model.encode_text(
            train_device=torch.device("cpu"),
            batch_size=len(noise),
            rand=Random(0 if deterministic else train_progress.global_step),
            tokens=batch["tokens"],
            text_encoder_output=None if config.train_text_encoder else batch["text_encoder_hidden_state"],
            text_encoder_dropout_probability=None if deterministic else config.dropout_probability,
        )
        noisy = (1 - share) * batch["latent_image"] + share * noise
        predicted = model.network(noisy + text.sum(1)[:, :, None, None] / 9)
        return {"loss_type": "target", "predicted": predicted, "target": noise, "timestep": timestep}

    def calculate_loss(self, model: Any, batch: dict[str, Any], data: dict[str, Any], config: Any) -> torch.Tensor:
        """The scalar."""
        losses = self._flow_matching_losses if config.flow else self._diffusion_losses
        return losses(batch=batch, data=data, config=config, train_device=torch.device("cpu")).mean()


class Saver:
    """Writes the weights."""

    def save(
        self, model: Any, model_type: Any, output_model_format: Any, output_model_destination: str, dtype: Any
    ) -> None:
        """As one file."""
        torch.save(model.network.state_dict(), output_model_destination)


class GenericTrainer:
    """The trainer."""

    def __init__(self, config: Any, callbacks: Any, commands: Any) -> None:
        self.config = config

    def start(self) -> None:
        """Load."""
        torch.manual_seed(0)
        self.model = Model()
        if self.config.continue_from:
            self.model.network.load_state_dict(torch.load(self.config.continue_from))
            self.model.train_progress.global_step = self.config.continue_step
        self.model_setup, self.model_saver = Setup(), Saver()

    def _batches(self, kinds: tuple[str, ...]) -> list[dict[str, Any]]:
        files = [
            (concept, path)
            for concept in self.config.concepts
            if concept["type"] in kinds
            for path in sorted(Path(concept["path"]).rglob("*.png"))
        ]
        size = self.config.batch_size
        groups = [files[i : i + size] for i in range(0, len(files) - size + 1, size)]
        prompts = [[path.with_suffix(".txt").read_text() for _, path in group] for group in groups]
        tokens = [self.model.tokenize(of) for of in prompts]
        return [
            {
                "image_path": [str(path) for _, path in group],
                "prompt": of,
                "tokens": own,
                "text_encoder_hidden_state": self.model.text_encoder(own).detach(),
                "concept_type": [concept["type"] for concept, _ in group],
                "loss_weight": torch.tensor([concept["loss_weight"] for concept, _ in group]),
                "latent_image": torch.stack([_latents(path.name) for _, path in group]),
                "latent_mask": torch.full((len(group), 1, 8, 8), 0.5),
            }
            for group, of, own in zip(groups, prompts, tokens, strict=True)
        ]

    def train(self) -> None:
        """The loop."""
        config, progress = self.config, self.model.train_progress
        optimizer = torch.optim.AdamW(self.model.network.parameters(), lr=1e-2)
        batches, held_out = self._batches(("STANDARD", "PRIOR_PREDICTION")), self._batches(("VALIDATION",))
        scalars: list[float] = []
        for i in range(progress.global_step, config.steps):
            if i and i % config.save_every == 0:
                path = Path(config.workspace_dir) / f"save-{i}.pt"
                self.model_saver.save(self.model, None, None, str(path), None)
            batch = batches[i % len(batches)]
            prior = [i for i, kind in enumerate(batch["concept_type"]) if kind == "PRIOR_PREDICTION"]
            with torch.no_grad():
                before = self.model_setup.predict(self.model, batch, config, progress) if prior else {}
            data = self.model_setup.predict(self.model, batch, config, progress)
            if prior:
                data["target"][prior] = 0.5 * before["predicted"][prior]
            loss = self.model_setup.calculate_loss(self.model, batch, data, config)
            scalars.append(loss.item())
            (loss / config.gradient_accumulation_steps).backward()
            if (i + 1) % config.gradient_accumulation_steps == 0:
                optimizer.step()
                optimizer.zero_grad()
            with torch.no_grad():
                for other in held_out:
                    data = self.model_setup.predict(self.model, other, config, progress, deterministic=True)
                    self.model_setup.calculate_loss(self.model, other, data, config)
            progress.next_step(config.batch_size)
        Path(config.workspace_dir, "scalars.json").write_text(json.dumps(scalars))

    def end(self) -> None:
        """The last model."""
        destination = Path(self.config.workspace_dir) / self.config.output_model_destination
        self.model_saver.save(self.model, None, None, str(destination), None)


def _latents(name: str) -> torch.Tensor:
    return torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
