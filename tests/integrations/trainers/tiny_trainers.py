"""Hugging Face's Trainer on small models and small data."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from loss_logging import TrainConfig, read_report

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")


WORDS = 50


class Texts(torch.utils.data.Dataset[Any]):
    """Sentences of 4 to 12 tokens, some of them padded and some ignored, with columns that the model does not take."""

    def __init__(self, n: int = 24) -> None:
        torch.manual_seed(0)
        self.items = [self._item(i, int(torch.randint(4, 13, ()))) for i in range(n)]

    @staticmethod
    def _item(i: int, length: int) -> dict[str, Any]:
        tokens = torch.randint(1, WORDS, (length,)).tolist()
        labels = [-100 if k % 5 == 2 else token for k, token in enumerate(tokens)]
        pad = 12 - length
        return {
            "input_ids": tokens + [0] * pad,
            "attention_mask": [1] * length + [0] * pad,
            "labels": labels + [-100] * pad,
            "file": f"{i}.txt",
            "source": "books" if i % 2 else "web",
            "text": f"sentence {i}",
        }

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]


class Images(torch.utils.data.Dataset[Any]):
    """Noise with a class."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        return {"pixel_values": torch.rand(3, 16, 16, generator=generator), "labels": index % 3}


def language_model() -> Any:
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=WORDS, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    return transformers.GPT2LMHeadModel(config)


def masked_model() -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=WORDS, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    return transformers.BertForMaskedLM(config)


def image_model(**options: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8,
        num_labels=3, **options,
    )  # fmt: skip
    return transformers.ViTForImageClassification(config)


class Scalars(transformers.Trainer):  # type: ignore[misc]
    """A Trainer that remembers each scalar loss and what it was divided by."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scalars: list[tuple[float, float]] = []

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch=num_items_in_batch)
        loss = found[0] if return_outputs else found
        if model.training:
            self.scalars.append((float(loss.detach()), float(num_items_in_batch or 0)))
        return found


def trainer_of(folder: Path, model: Any, data: Any, kind: Any = Scalars, **options: Any) -> Any:
    arguments: dict[str, Any] = {"max_steps": 6, "per_device_train_batch_size": 4, "save_strategy": "no"}
    arguments |= {"report_to": [], "use_cpu": True, "disable_tqdm": True, "dataloader_pin_memory": False}
    args = transformers.TrainingArguments(output_dir=str(folder), **(arguments | options))
    return kind(model=model, args=args, train_dataset=data)


def config_of(folder: Path, **options: Any) -> TrainConfig:
    return TrainConfig(job_name="run", save_root=folder, loggers=[], reporter="inline", **options)


def report_of(folder: Path) -> Any:
    """The last report."""
    return read_report(config_of(folder).report_paths()[-1])


def warning(caplog: pytest.LogCaptureFixture) -> str:
    """The one warning of ours."""
    (found,) = [r.getMessage() for r in caplog.records if r.name == "loss_logging" and r.levelno == logging.WARNING]
    return found
