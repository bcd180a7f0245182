"""Hugging Face's Trainer, on real small models."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from records import by_step, component

from loss_logging import TrainConfig, read_report
from loss_logging.errors import LossLoggingError

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from loss_logging.integrations.trainers.transformers import log_losses  # noqa: E402

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


def trainer_of(folder: Path, model: Any, data: Any, **options: Any) -> Scalars:
    arguments: dict[str, Any] = {"max_steps": 6, "per_device_train_batch_size": 4, "save_strategy": "no"}
    arguments |= {"report_to": [], "use_cpu": True, "disable_tqdm": True, "dataloader_pin_memory": False}
    args = transformers.TrainingArguments(output_dir=str(folder), **(arguments | options))
    return Scalars(model=model, args=args, train_dataset=data)


def config_of(folder: Path, **options: Any) -> TrainConfig:
    return TrainConfig(job_name="run", save_root=folder, loggers=[], reporter="inline", **options)


@pytest.mark.parametrize(("model", "counts_items"), [(language_model, True), (masked_model, False)])
def test_token_models_add_up_to_the_scalar(model: Any, counts_items: bool, tmp_path: Path) -> None:
    """Each loss is the mean over the example's tokens; weighted by their number they give the scalar."""
    trainer = trainer_of(tmp_path, model(), Texts())
    log_losses(trainer, config_of(tmp_path), path="file", dataset="source", caption="text")
    trainer.train()
    steps = by_step(tmp_path)
    assert sorted(steps) == [1, 2, 3, 4, 5, 6]
    for step, (scalar, items) in enumerate(trainer.scalars, 1):
        total = sum(row["loss"] * component(row, "tokens") for row in steps[step])
        tokens = sum(component(row, "tokens") for row in steps[step])
        assert total / (items if counts_items else tokens) == pytest.approx(scalar, rel=1e-5)
    rows = [row for step in steps.values() for row in step]
    assert {row["path"] for row in rows} == {f"{i}.txt" for i in range(24)}
    for row in rows:
        number = int(row["path"].removesuffix(".txt"))
        assert (row["dataset"], row["caption"]) == ("books" if number % 2 else "web", f"sentence {number}")


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.long)])
def test_images_add_up_to_the_scalar(workers: int, tmp_path: Path) -> None:
    """The mean of the examples' losses is the scalar, also when workers load them; an item's number is its name."""
    trainer = trainer_of(tmp_path, image_model(), Images(), dataloader_num_workers=workers)
    log_losses(trainer, config_of(tmp_path))
    trainer.train()
    steps = by_step(tmp_path)
    for step, (scalar, _) in enumerate(trainer.scalars, 1):
        assert sum(row["loss"] for row in steps[step]) / 4 == pytest.approx(scalar, rel=1e-5)
    assert {row["path"] for step in steps.values() for row in step} == {str(i) for i in range(24)}


def test_gradient_accumulation_adds_up(tmp_path: Path) -> None:
    """With tokens counted over accumulated batches, the losses of a step still give the sum of its scalars."""
    trainer = trainer_of(tmp_path, language_model(), Texts(), gradient_accumulation_steps=2, max_steps=3)
    log_losses(trainer, config_of(tmp_path), path="file")
    trainer.train()
    steps = by_step(tmp_path)
    assert {step: len(rows) for step, rows in steps.items()} == {1: 8, 2: 8, 3: 8}
    for step, rows in steps.items():
        (first, items), (second, _) = trainer.scalars[2 * step - 2 : 2 * step]
        assert items > 0
        total = sum(row["loss"] * component(row, "tokens") for row in rows)
        assert total / items == pytest.approx(first + second, rel=1e-5)


def test_training_is_bit_for_bit_the_same(tmp_path: Path) -> None:
    """The weights after training are those of the same run without us."""
    weights = []
    for watched in (False, True):
        trainer = trainer_of(tmp_path / str(watched), language_model(), Texts())
        if watched:
            log_losses(trainer, config_of(tmp_path), path="file")
        trainer.train()
        weights.append(trainer.model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_it_reports_at_saves_and_resumes_from_a_checkpoint(tmp_path: Path) -> None:
    """A report at each save; what comes after a checkpoint is logged once, however often training starts from there."""
    for resume in (None, str(tmp_path / "checkpoint-2")):
        trainer = trainer_of(tmp_path, image_model(), Images(), save_strategy="steps", save_steps=2, max_steps=6)
        losses = log_losses(trainer, config_of(tmp_path))
        trainer.train(resume_from_checkpoint=resume)
    reports = [read_report(path) for path in losses.config.report_paths()]
    assert [report.job.step for report in reports] == [2, 4, 6]
    assert [report.global_.count for report in reports] == [8, 16, 24]
    assert reports[-1].job.resumed_from == 2


def test_a_loss_of_ones_own_is_not_guessed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Losses that do not add up to the scalar are not logged, and the warning names the way out, which works."""

    def halved(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
        return torch.nn.functional.cross_entropy(outputs["logits"], labels) / 2

    trainer = trainer_of(tmp_path / "a", image_model(), Images())
    trainer.compute_loss_func = halved
    log_losses(trainer, config_of(tmp_path / "a"))
    trainer.train()
    assert by_step(tmp_path / "a") == {}
    assert "give log_losses(per_example=...)" in warning(caplog)
    trainer = trainer_of(tmp_path / "b", image_model(), Images())
    trainer.compute_loss_func = halved

    def per_example(outputs: Any, inputs: Any) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(outputs["logits"], inputs["labels"], reduction="none") / 2

    log_losses(trainer, config_of(tmp_path / "b"), per_example=per_example)
    trainer.train()
    for step, rows in by_step(tmp_path / "b").items():
        assert sum(row["loss"] for row in rows) / 4 == pytest.approx(trainer.scalars[step - 1][0], rel=1e-5)


def test_streams_are_named_by_their_order(tmp_path: Path) -> None:
    """A dataset without numbers works: its examples are counted."""

    class Stream(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            return iter([Images()[i] for i in range(24)])

    trainer = trainer_of(tmp_path, image_model(), Stream())
    log_losses(trainer, config_of(tmp_path))
    trainer.train()
    assert [row["path"] for rows in by_step(tmp_path).values() for row in rows] == [str(i) for i in range(24)]


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A column with a typo is an error that lists those that there are."""
    trainer = trainer_of(tmp_path, language_model(), Texts())
    log_losses(trainer, config_of(tmp_path), path="flie")
    with pytest.raises(LossLoggingError, match=r"no column 'flie'; it has .*file"):
        trainer.train()


def test_a_trainer_that_never_comes_by_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A Trainer whose data no longer passes by us is warned about after 20 steps, instead of silence."""
    trainer = trainer_of(tmp_path, image_model(), Images(), max_steps=25)
    log_losses(trainer, config_of(tmp_path))
    trainer.train_dataset = Images()
    trainer.train()
    assert "20 steps have ended and no batch came by" in warning(caplog)


def warning(caplog: pytest.LogCaptureFixture) -> str:
    """The one warning of ours."""
    (found,) = [r.getMessage() for r in caplog.records if r.name == "loss_logging" and r.levelno == logging.WARNING]
    return found
