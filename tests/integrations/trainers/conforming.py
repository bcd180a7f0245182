"""Trainings of real trainers with our adapters, as the conformance suite asks for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from loss_logging.testing import Task, Trained


class Images(torch.utils.data.Dataset[Any]):
    """Noise with a class, a path, a dataset and a caption."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(index))
        names = {"path": f"{index}.png", "dataset": "odd" if index % 2 else "even", "caption": f"image {index}"}
        return {"image": image, "label": index % 3, **names}


def train_lightning(task: Task) -> Trained:
    """A classifier in Lightning, with its checkpoints. Ranks are processes that do not speak, each with its own."""
    import lightning.pytorch as lightning
    from lightning.pytorch.callbacks import ModelCheckpoint

    from loss_logging.integrations.trainers.lightning import LossLoggingCallback

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.1), torch.nn.Linear(192, 3))
            self.scalars: dict[int, float] = {}
            self.examples = 0

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = F.cross_entropy(self.layers(batch["image"]), batch["label"])
            step = self.trainer.global_step + 1
            if task.unknown and step == 2:
                loss = loss + self.layers[2].weight.square().sum()
            self.scalars[step] = float(loss.detach())
            self.examples += len(batch["path"])
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=0.01)

    folder = task.folder / os.environ.get("RANK", "0")
    module = Module()
    callbacks: list[Any] = [
        ModelCheckpoint(folder, filename="{step}", every_n_train_steps=task.save_every, save_top_k=-1)
    ]
    if task.config is not None:
        callbacks.append(LossLoggingCallback(task.config))
    trainer = lightning.Trainer(
        max_steps=task.steps, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder, callbacks=callbacks,
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(Images(), batch_size=4, shuffle=False)
    trainer.fit(module, loader, ckpt_path=task.resume_from and str(folder / f"step={task.resume_from}.ckpt"))
    return Trained(module.state_dict(), module.scalars, module.examples)


def train_transformers(task: Task) -> Trained:
    """A classifier of images by Hugging Face's Trainer, whose loss at step 2 may be one that nobody knows."""
    import transformers

    from loss_logging.integrations.trainers.transformers import log_losses

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = torch.nn.Linear(192, 3)

        def forward(self, image: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            logits = self.layer(image.flatten(1))
            return {"loss": F.cross_entropy(logits, labels), "logits": logits}

    scalars: dict[int, float] = {}
    examples = 0

    class Trainer(transformers.Trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **more: Any) -> Any:
            nonlocal examples
            loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **more)
            step = self.state.global_step + 1
            if task.unknown and step == 2:
                loss = outputs["loss"] = loss + model.layer.weight.square().sum()
            scalars[step] = float(loss.detach())
            examples += len(inputs["labels"])
            return (loss, outputs) if return_outputs else loss

    folder = task.folder / os.environ.get("RANK", "0")
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=task.steps, save_steps=task.save_every, per_device_train_batch_size=4,
        report_to=[], disable_tqdm=True, use_cpu=True, remove_unused_columns=False, dataloader_pin_memory=False,
    )  # fmt: skip
    collate: Callable[[Any], Any] = lambda rows: {  # noqa: E731
        "image": torch.stack([row["image"] for row in rows]),
        "labels": torch.tensor([row["label"] for row in rows]),
    }
    model = Model()
    trainer = Trainer(model, arguments, train_dataset=Images(), data_collator=collate)
    if task.config is not None:
        log_losses(trainer, task.config, path="path", dataset="dataset", caption="caption")
    trainer.train(resume_from_checkpoint=task.resume_from and str(folder / f"checkpoint-{task.resume_from}"))
    return Trained(model.state_dict(), scalars, examples)
