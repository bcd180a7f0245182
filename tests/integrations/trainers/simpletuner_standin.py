"""What SimpleTuner's trainer calls, in its order: a stand-in with its names, and a small model that truly trains."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

accelerate = pytest.importorskip("accelerate")

CAPTIONS = [f"picture {i}" for i in range(6)]
COLLATE = "simpletuner.helpers.training.collate"
TRAINER, LOADER = "simpletuner.helpers.training.trainer", "simpletuner.helpers.data_backend.factory"
METADATA = "simpletuner.helpers.metadata.backends.base"


class Model:
    """What SimpleTuner calls a model foundation: it has the loss."""

    def __init__(self, config: SimpleNamespace) -> None:
        torch.manual_seed(0)
        self.config = config
        self.network = torch.nn.Conv2d(4, 4, 1)
        self.dropout = torch.nn.Dropout(0.1)

    def prepare_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Embeddings, noise and timesteps."""
        batch["encoder_hidden_states"] = batch["prompt_embeds"].to(dtype=self.config.weight_dtype)
        batch["added_cond_kwargs"] = {"text_embeds": batch["add_text_embeds"].to(dtype=self.config.weight_dtype)}
        latents = batch["latent_batch"]
        batch["noise"], batch["timesteps"] = torch.randn_like(latents), torch.rand(len(latents)) * 1000
        share = (batch["timesteps"] / 1000).view(-1, 1, 1, 1)
        batch["noisy_latents"] = (1 - share) * latents + share * batch["noise"]
        return batch

    def get_prediction_target(self, prepared_batch: dict[str, Any]) -> torch.Tensor:
        """The noise."""
        target: torch.Tensor = prepared_batch["noise"]
        return target

    def loss(self, prepared_batch: dict[str, Any], model_output: Any, apply_conditioning_mask: bool = True) -> Any:
        """The mean over all but the batch, weighted by timestep with snr_gamma, and the mean of these."""
        target = self.get_prediction_target(prepared_batch)
        loss = F.mse_loss(model_output["model_prediction"].float(), target.float(), reduction="none")
        if self.config.snr_gamma:
            loss = loss * (1 + prepared_batch["timesteps"] / 1000).view(-1, 1, 1, 1)
        return loss.mean(dim=[1, 2, 3]).mean()


class ModelWithLogs(Model):
    """As since 4: the trainer asks for figures, too, and some models have a loss of another kind there."""

    kind = "plain"

    def loss_with_logs(
        self, prepared_batch: dict[str, Any], model_output: Any, apply_conditioning_mask: bool = True
    ) -> tuple[torch.Tensor, dict[str, float] | None]:
        """The loss, or a sum of the video's own and the sound's."""
        if self.kind == "plain":
            return self.loss(prepared_batch, model_output, apply_conditioning_mask=apply_conditioning_mask), None
        sound = model_output["model_prediction"].abs().amax()
        return F.mse_loss(model_output["model_prediction"], prepared_batch["noise"]) + sound, {"sound": sound.item()}


class StateTracker:
    """Where the parts of SimpleTuner find each other."""

    has_empty = True

    @classmethod
    def get_default_text_embed_cache(cls) -> str:
        """The cache."""
        return "cache"

    @classmethod
    def get_model(cls) -> None:
        """The model."""


def compute_prompt_embeddings(prompt_entries: list[Any], text_embed_cache: Any, model: Any) -> dict[str, Any]:
    """(B, 2, 4) and (B, 4) for prompts whose embeddings are in the cache."""
    prompts = [entry["prompt"] for entry in prompt_entries]
    if not StateTracker.has_empty and set(prompts) == {""}:
        raise FileNotFoundError("no embedding")
    values = torch.tensor([[len(prompt), sum(map(ord, prompt)) % 7] for prompt in prompts], dtype=torch.float64)
    return {"prompt_embeds": values[:, :, None].expand(-1, -1, 4) / 7, "pooled_prompt_embeds": values.repeat(1, 2) / 9}


def collate_fn(batch: list[dict[str, Any]]) -> dict[str, Any]:
    """Drops the caption of every third sample, as its dropout does, and forgets the file names, as 3.1 does."""
    samples = batch[0]["training_samples"]
    for sample in samples:
        if int(Path(sample["image_path"]).stem) % 3 == 0:
            sample["instance_prompt_text"] = ""
    latents = [
        torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(int(Path(sample["image_path"]).stem)))
        for sample in samples
    ]
    records = [{"prompt": sample["instance_prompt_text"]} for sample in samples]
    encoding = compute_prompt_embeddings(records, StateTracker.get_default_text_embed_cache(), None)
    return {
        "latent_batch": torch.stack(latents),
        "text_encoder_output": encoding,
        "prompt_embeds": encoding["prompt_embeds"],
        "add_text_embeds": encoding["pooled_prompt_embeds"],
        "prompts": [sample["instance_prompt_text"] for sample in samples],
        "is_regularisation_data": batch[0]["is_regularisation_data"],
    }


class Trainer:
    """The order of calls of its training loop."""

    steps = 7
    calls_loss = True

    def __init__(self, out: Path, snr_gamma: float | None = None, step: int = 0) -> None:
        self.config = SimpleNamespace(output_dir=str(out), snr_gamma=snr_gamma, weight_dtype=torch.float32)
        self.model = Model(self.config)
        self.state = {"global_step": step}
        self.scalars: list[float] = []
        self.backends: list[Any] = []
        self.accelerator: Any = None

    def load_tracker(self, file: Path) -> None:
        spec = importlib.util.spec_from_file_location(f"simpletuner.custom_trackers.{file.stem}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        mine = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
        (tracker,) = [value for value in mine if isinstance(value, type)]
        self.accelerator = accelerate.Accelerator(cpu=True, log_with=[tracker("cats", logging_dir="logs")])

    def model_predict(self, prepared_batch: dict[str, Any], custom_timesteps: Any = None) -> Any:
        text = prepared_batch["encoder_hidden_states"].mean(1) + prepared_batch["added_cond_kwargs"]["text_embeds"]
        noisy = self.model.dropout(prepared_batch["noisy_latents"])
        return {"model_prediction": self.model.network(noisy + text[:, :, None, None])}

    def checkpoint_state_save(self, output_dir: str, suffix: str | None = None) -> str:
        path = Path(output_dir, f"checkpoint-{self.state['global_step']}")
        path.mkdir()
        return str(path)

    def init_data_backend(self) -> None:
        self.backends = [{"metadata_backend": MetadataBackend(name)} for name in ("cats", "reg")]
        for backend in self.backends:
            sys.modules[LOADER].FactoryRegistry()._handle_bucket_operations({}, backend, None)

    def samples(self, step: int) -> list[dict[str, Any]]:
        if not self.backends:
            return samples(step)
        backend = self.backends[step % 2]["metadata_backend"]
        paths = [path for bucket in backend.aspect_ratio_bucket_indices.values() for path in bucket]
        return batch_of([paths[(3 * step + i) % len(paths)] for i in range(3)], backend.id)

    def train(self) -> None:
        torch.manual_seed(3)
        self.accelerator.init_trackers("project", config={})
        optimizer = torch.optim.AdamW(self.model.network.parameters(), lr=1e-2)
        for i in range(self.state["global_step"], self.steps):
            batch = self.model.prepare_batch(sys.modules[LOADER].collate_fn(self.samples(i)))
            output = self.model_predict(prepared_batch=batch)
            given = {"prepared_batch": batch, "model_output": output, "apply_conditioning_mask": True}
            if self.calls_loss and isinstance(self.model, ModelWithLogs):
                loss, _ = self.model.loss_with_logs(**given)
            elif self.calls_loss:
                loss = self.model.loss(**given)
            else:
                loss = output["model_prediction"].square().mean()
            self.model.loss(batch, output)  # as a regulariser does
            self.accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            self.scalars.append(loss.item())
            self.state["global_step"] += 1
            self.accelerator.log({"train_loss": loss.item()}, step=self.state["global_step"])
            if self.state["global_step"] % 3 == 0:
                self.checkpoint_state_save(self.config.output_dir)
                with torch.no_grad():  # its evaluation
                    self.model.loss(batch, self.model_predict(batch))
        self.accelerator.end_training()


def trainer_class(steps: int, calls_loss: bool = True) -> Any:
    """A Trainer of its own, since the adapter changes the class."""
    members = {name: value for name, value in vars(Trainer).items() if name not in {"__dict__", "__weakref__"}}
    return type("Trainer", (), {**members, "steps": steps, "calls_loss": calls_loss})


def samples(step: int) -> list[dict[str, Any]]:
    """A batch of 3 of one data backend, every second one of regularisation images."""
    return batch_of([f"/data/{(3 * step + i) % 6}.png" for i in range(3)], "reg" if step % 2 else "cats")


def batch_of(paths: list[str], backend: str) -> list[dict[str, Any]]:
    rows = [
        {"image_path": path, "data_backend_id": backend, "instance_prompt_text": CAPTIONS[int(Path(path).stem)]}
        for path in paths
    ]
    return [{"training_samples": rows, "is_regularisation_data": backend == "reg"}]


class MetadataBackend:
    """The files of a data backend, by aspect ratio."""

    def __init__(self, name: str) -> None:
        self.id, self.read_only = name, False
        folder = "/data" if name == "cats" else "/data/reg"
        self.aspect_ratio_bucket_indices = {
            "1.0": [f"{folder}/{i}.png" for i in (0, 1, 2, 4)],
            "1.5": [f"{folder}/{i}.png" for i in (3, 5)],
        }

    def split_buckets_between_processes(
        self, gradient_accumulation_steps: int = 1, apply_padding: bool = False
    ) -> None:
        self.cached = {name: sorted(paths) for name, paths in self.aspect_ratio_bucket_indices.items()}


class FactoryRegistry:
    """Makes the backends; with an evaluation dataset, it splits no other."""

    def _handle_bucket_operations(
        self, backend: Any, init_backend: Any, conditioning_type: Any, skip_bucket_split: bool = False
    ) -> None:
        if init_backend["metadata_backend"].id == "cats":
            init_backend["metadata_backend"].split_buckets_between_processes()
