"""Hugging Face's Trainer, on real small models."""

from __future__ import annotations

import copy
import logging
import math
import re
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

from loss_logging.integrations.trainers.token_losses import ModelLosses  # noqa: E402
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


def trainer_of(folder: Path, model: Any, data: Any, kind: Any = Scalars, **options: Any) -> Any:
    arguments: dict[str, Any] = {"max_steps": 6, "per_device_train_batch_size": 4, "save_strategy": "no"}
    arguments |= {"report_to": [], "use_cpu": True, "disable_tqdm": True, "dataloader_pin_memory": False}
    args = transformers.TrainingArguments(output_dir=str(folder), **(arguments | options))
    return kind(model=model, args=args, train_dataset=data)


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


@pytest.mark.parametrize(
    ("workers", "names"),
    [
        (0, [str(i) for i in range(24)]),
        (2, [f"{worker}/{i}" for worker in range(2) for i in range(12)]),
    ],
)
def test_streams_are_named_by_their_order(workers: int, names: list[str], tmp_path: Path) -> None:
    """A dataset without numbers works: its examples are counted, by each worker under names of its own."""

    class Stream(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            worker = torch.utils.data.get_worker_info()
            mine = range(24) if worker is None else range(worker.id, 24, worker.num_workers)
            return iter([Images()[i] for i in mine])

    trainer = trainer_of(tmp_path, image_model(), Stream(), dataloader_num_workers=workers)
    log_losses(trainer, config_of(tmp_path))
    trainer.train()
    assert sorted(row["path"] for rows in by_step(tmp_path).values() for row in rows) == sorted(names)


def test_a_stream_is_shuffled_as_without_us(tmp_path: Path) -> None:
    """It is told of each epoch, and its examples come in the same order and number."""

    class Stream(torch.utils.data.IterableDataset[Any]):
        def __init__(self) -> None:
            self.epoch = 0
            self.done: list[Any] = []

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch
            self.done.append(f"epoch {epoch}")

        def __len__(self) -> int:
            return 8

        def __iter__(self) -> Iterator[Any]:
            for i in torch.randperm(8, generator=torch.Generator().manual_seed(self.epoch)).tolist():
                self.done.append(i)
                yield Images()[i]

    plain, watched = Stream(), Stream()
    for stream in (plain, watched):
        trainer = trainer_of(tmp_path, image_model(), stream, max_steps=-1, num_train_epochs=3)
        if stream is watched:
            log_losses(trainer, config_of(tmp_path))
        trainer.train()
        assert trainer.state.global_step == 6
    assert "epoch 2" in plain.done
    assert watched.done == plain.done


def test_a_dataset_is_asked_for_whole_batches_as_without_us(tmp_path: Path) -> None:
    """A transform of several items at once, such as those of ``datasets``, sees the batches that it saw before."""

    class Batches(Images):
        def __init__(self) -> None:
            self.asked: list[list[int]] = []

        def __getitems__(self, indices: list[int]) -> list[Any]:
            self.asked.append(indices)
            return [self[i] for i in indices]

    plain, watched = Batches(), Batches()
    for data in (plain, watched):
        trainer = trainer_of(tmp_path, image_model(), data)
        if data is watched:
            log_losses(trainer, config_of(tmp_path))
        trainer.train()
    assert [len(indices) for indices in plain.asked] == [4] * 6
    assert watched.asked == plain.asked
    assert [[int(row["path"]) for row in rows] for rows in by_step(tmp_path).values()] == plain.asked


def test_a_batch_stays_what_the_collator_made_of_it(tmp_path: Path) -> None:
    """A compute_loss that takes the parts of a BatchEncoding as its attributes goes on doing so, and is logged."""

    class ByAttribute(transformers.Trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            outputs = model(inputs.pixel_values, labels=inputs.labels)
            return (outputs.loss, outputs) if return_outputs else outputs.loss

    trainer = trainer_of(tmp_path, image_model(), Images(), ByAttribute)
    collate = trainer.data_collator
    trainer.data_collator = lambda features: transformers.BatchEncoding(collate(features))
    log_losses(trainer, config_of(tmp_path))
    trainer.train()
    assert {step: len(rows) for step, rows in by_step(tmp_path).items()} == dict.fromkeys(range(1, 7), 4)


def test_a_stream_that_rank_0_reads_for_all_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On several ranks its names would not get through; the error has the option that is to be set, which works."""

    class Stream(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            return iter([Images()[i] for i in range(24)])

    monkeypatch.setattr(transformers.TrainingArguments, "world_size", 2)
    with pytest.raises(LossLoggingError, match=r'accelerator_config={"dispatch_batches": False}'):
        log_losses(trainer_of(tmp_path, image_model(), Stream()), config_of(tmp_path))
    options = {"accelerator_config": {"dispatch_batches": False}}
    log_losses(trainer_of(tmp_path, image_model(), Stream(), **options), config_of(tmp_path)).close()


class TwoGpus(torch.nn.Module):
    """As DataParallel: one scalar for each GPU, and the logits of both."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.module = model

    def forward(self, **whole: Any) -> dict[str, torch.Tensor]:
        halves = [self.module(**{name: value.chunk(2)[i] for name, value in whole.items()}) for i in range(2)]
        losses = torch.cat([half["loss"].reshape(1) for half in halves])
        return {"loss": losses, "logits": torch.cat([half["logits"] for half in halves])}


class Replicas(transformers.Trainer):  # type: ignore[misc]
    """As on two GPUs that share each batch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.args._n_gpu = 2
        self.scalars: list[tuple[float, float]] = []

    def _wrap_model(self, model: Any, *_: Any, **__: Any) -> Any:
        return model if isinstance(model, TwoGpus) else TwoGpus(model)

    def compute_loss(self, model: Any, inputs: Any, *args: Any, num_items_in_batch: Any = None) -> Any:
        loss = super().compute_loss(model, inputs, *args, num_items_in_batch=num_items_in_batch)
        assert loss.shape == (2,)
        self.scalars.append((float(loss.detach().mean()), float(num_items_in_batch[0])))
        return loss


def test_several_gpus_of_one_process_add_up(tmp_path: Path) -> None:
    """Where there is one scalar for each GPU, the losses are found by their mean, which the Trainer takes."""
    trainer = trainer_of(tmp_path, language_model(), Texts(), Replicas, max_steps=3)
    log_losses(trainer, config_of(tmp_path), path="file")
    trainer.train()
    steps = by_step(tmp_path)
    assert {step: len(rows) for step, rows in steps.items()} == {1: 4, 2: 4, 3: 4}
    for step, (scalar, items) in enumerate(trainer.scalars, 1):
        total = sum(row["loss"] * component(row, "tokens") for row in steps[step])
        assert total / items == pytest.approx(scalar, rel=1e-5)


class Apart(transformers.Trainer):  # type: ignore[misc]
    """Computes its loss without the model that it is given."""

    def compute_loss(self, model: Any, inputs: Any, *_: Any, **__: Any) -> Any:
        logits = model.classifier(model.vit(inputs["pixel_values"])[0][:, 0])
        return torch.nn.functional.cross_entropy(logits, inputs["labels"])


def broken(outputs: Any, inputs: Any) -> torch.Tensor:
    """A user's function."""
    raise ValueError("my own mistake")


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        (Apart, {}, "compute_loss did not call the model that it was given"),
        (Scalars, {"per_example": broken}, "ValueError: my own mistake"),
    ],
)
def test_losses_that_cannot_be_had_do_not_reach_training(
    kind: Any, options: dict[str, Any], reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The weights become those of a training without us; one warning and every report say why nothing is logged."""
    weights = []
    for watched in (False, True):
        trainer = trainer_of(tmp_path, image_model(), Images(), kind)
        if watched:
            log_losses(trainer, config_of(tmp_path), **options)
        trainer.train()
        weights.append(trainer.model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert reason in warning(caplog)
    assert by_step(tmp_path) == {}
    (line,) = report_of(tmp_path).warnings
    assert line == f"transformers.Trainer, steps 1 to 6: 6 batches were not logged (24 examples): {reason}"


class Sometimes(transformers.Trainer):  # type: ignore[misc]
    """Adds a term of its own at two steps."""

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        return loss + 1 if self.state.global_step in (0, 2) else loss


def test_after_a_batch_that_is_not_understood_more_in_a_row_must_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One more for each, as one alone may agree by chance; the later ones are logged, and the others are counted."""
    trainer = trainer_of(tmp_path, image_model(), Images(), Sometimes, max_steps=7)
    log_losses(trainer, config_of(tmp_path))
    trainer.train()
    assert {step: len(rows) for step, rows in by_step(tmp_path).items()} == {6: 4, 7: 4}
    reason = "the losses per example do not add up to the scalar, or their kind is unknown"
    assert reason in warning(caplog)
    assert report_of(tmp_path).warnings == [
        f"transformers.Trainer, steps 1 to 5: 5 batches were not logged (20 examples): {reason}"
    ]


def test_losses_that_are_never_understood_are_looked_for_no_longer(tmp_path: Path) -> None:
    """After 20 batches, so that a long training does not pay for it at each step; all of them are counted."""
    trainer = trainer_of(tmp_path, image_model(), Images(), max_steps=25)
    trainer.compute_loss_func = lambda outputs, labels, **_: outputs["logits"].square().mean() + labels.sum() * 0
    seen: list[int] = []
    log_losses(trainer, config_of(tmp_path))
    find = ModelLosses.__call__

    def counted(*args: Any, **kwargs: Any) -> Any:
        seen.append(trainer.state.global_step)
        return find(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelLosses, "__call__", counted)
        trainer.train()
    assert seen == [*range(20)]
    (line,) = report_of(tmp_path).warnings
    assert "steps 1 to 25: 25 batches were not logged (100 examples)" in line


def test_a_trainers_logged_loss_can_be_the_sum_over_the_accumulated_batches(tmp_path: Path) -> None:
    """Models that take num_items_in_batch and leave it alone, as BLIP's do: ours is the mean of the examples."""
    torch.manual_seed(0)
    text = {"vocab_size": WORDS, "hidden_size": 16, "encoder_hidden_size": 16, "intermediate_size": 16}
    text |= {"num_hidden_layers": 1, "num_attention_heads": 2, "bos_token_id": 1, "sep_token_id": 2, "pad_token_id": 0}
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 16, "patch_size": 8}
    config = transformers.BlipConfig(text_config=text, vision_config=vision, label_smoothing=0.0)
    model = transformers.BlipForConditionalGeneration(config)

    class Captioned(Images):
        def __getitem__(self, index: int) -> dict[str, Any]:
            tokens = [1, 3 + index % 40, 4, 5, 2]
            pixels = super().__getitem__(index)["pixel_values"]
            return {"pixel_values": pixels, "input_ids": tokens, "attention_mask": [1] * 5, "labels": tokens}

    options = {"gradient_accumulation_steps": 3, "max_steps": 1, "logging_steps": 1, "logging_first_step": True}
    trainer = trainer_of(tmp_path, model, Captioned(), **options)
    log_losses(trainer, config_of(tmp_path))
    trainer.train()
    (rows,) = by_step(tmp_path).values()
    assert len(rows) == 12
    mean = sum(row["loss"] for row in rows) / 12
    assert trainer.state.log_history[0]["loss"] == pytest.approx(3 * mean, rel=1e-3)


def test_a_second_training_goes_on_unlogged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """train() once more trains as ever; the warning says how to log that one too."""
    trainer = trainer_of(tmp_path, image_model(), Images(), max_steps=3, save_strategy="steps", save_steps=2)
    log_losses(trainer, config_of(tmp_path))
    trainer.train()
    assert not [record for record in caplog.records if record.name == "loss_logging"]
    trainer.train()
    assert (len(trainer.scalars), trainer.state.global_step) == (6, 3)
    assert "call log_losses again" in warning(caplog)
    assert {step: len(rows) for step, rows in by_step(tmp_path).items()} == {1: 4, 2: 4, 3: 4}


def test_a_call_too_many_is_said_and_one_for_the_next_training_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first call's log has all losses; after the training, another call is for the next one."""
    trainer = trainer_of(tmp_path, image_model(), Images(), max_steps=2)
    losses = log_losses(trainer, config_of(tmp_path / "first"))
    assert log_losses(trainer, config_of(tmp_path / "second")) is losses
    assert "as that call said" in warning(caplog)
    trainer.train()
    caplog.clear()
    log_losses(trainer, config_of(tmp_path / "third"))
    trainer.train()
    assert not [record for record in caplog.records if record.name == "loss_logging"]
    logged = {name: {step: len(rows) for step, rows in by_step(tmp_path / name).items()} for name in ("first", "third")}
    assert logged == {"first": {1: 4, 2: 4}, "third": {1: 4, 2: 4}}
    assert not (tmp_path / "second").exists()


def test_examples_without_targets_have_no_loss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Their loss is NaN and not 0; a whole first batch of them decides nothing about those that follow."""
    texts = Texts(32)
    dead = {0, 1, 2, 3, 9, 24, 25, 26, 27}
    for i in dead:
        texts.items[i] |= {"labels": [-100] * 12}
    options = {"gradient_accumulation_steps": 2, "max_steps": 4, "train_sampling_strategy": "sequential"}
    trainer = trainer_of(tmp_path, language_model(), texts, **options)
    log_losses(trainer, config_of(tmp_path))
    trainer.train()
    rows = [row for rows in by_step(tmp_path).values() for row in rows]
    assert [int(row["path"]) for row in rows] == [*range(4, 32)]
    assert {int(row["path"]) for row in rows if math.isnan(row["loss"])} == dead - {0, 1, 2, 3}
    (line,) = report_of(tmp_path).warnings
    assert "step 1: 1 batch was not logged (4 examples): the loss is 0 or no number" in line
    assert not [record for record in caplog.records if record.name == "loss_logging"]


def test_a_column_that_is_not_there_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A column with a typo does not end the training: one warning and the report list those that there are."""
    trainer = trainer_of(tmp_path, language_model(), Texts(), max_steps=2)
    log_losses(trainer, config_of(tmp_path), path="flie")
    trainer.train()
    assert re.search(r"no column 'flie'; it has .*file", warning(caplog))
    assert "2 batches were not logged (8 examples): log_losses: the dataset has no" in report_of(tmp_path).warnings[0]


def test_a_column_of_a_table_is_looked_at_first(tmp_path: Path) -> None:
    """Where a dataset says which columns it has, a typo is an error of log_losses; a transform may add some."""
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_list(Texts().items)
    with pytest.raises(LossLoggingError, match=r"no column 'flie'; it has .*file"):
        log_losses(trainer_of(tmp_path, language_model(), table), config_of(tmp_path), path="flie")
    seen = table.with_transform(lambda rows: {**rows, "flie": rows["file"]})
    trainer = trainer_of(tmp_path, language_model(), seen, remove_unused_columns=False)
    trainer.data_collator = lambda features: transformers.default_data_collator(
        [{name: feature[name] for name in ("input_ids", "attention_mask", "labels")} for feature in features]
    )
    log_losses(trainer, config_of(tmp_path), path="flie")
    trainer.train()
    assert {row["path"] for rows in by_step(tmp_path).values() for row in rows} == {f"{i}.txt" for i in range(24)}


def test_a_trainer_that_never_comes_by_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A Trainer whose data does not pass by us is warned about after 20 steps, instead of silence."""

    class OwnLoader(transformers.Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(Images(), batch_size=4)

    trainer = trainer_of(tmp_path, image_model(), Images(), OwnLoader, max_steps=25)
    log_losses(trainer, config_of(tmp_path))
    trainer.train()
    assert "20 steps have ended and no batch came by" in warning(caplog)


def test_a_trainer_keeps_its_dataset_and_collator(tmp_path: Path) -> None:
    """They are the user's own before, during and after the training, for what looks at them; also a later dataset."""
    trainer = trainer_of(tmp_path, image_model(), Images())
    log_losses(trainer, config_of(tmp_path))
    data, collate = trainer.train_dataset, trainer.data_collator
    seen = []

    class Look(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            seen.append((trainer.train_dataset, trainer.data_collator))

    trainer.add_callback(Look())
    trainer.train()
    assert seen == [(data, collate)] * 6
    assert len(by_step(tmp_path)) == 6


@pytest.mark.parametrize("strategy", ["random", "sequential", "group_by_length", "batch_rebalance"])
def test_batches_are_drawn_as_without_us(strategy: str, tmp_path: Path) -> None:
    """Samplers that look at the dataset's kind and columns, or at the length of each item, draw what they drew."""
    datasets = pytest.importorskip("datasets")
    drawn = []
    for watched in (False, True):
        rows = [{**row, "length": (7 * i) % 24} for i, row in enumerate(Texts().items)]
        table = datasets.Dataset.from_list(rows)
        trainer = trainer_of(
            tmp_path, language_model(), table, train_sampling_strategy=strategy, label_names=["labels", "length"]
        )
        if watched:
            log_losses(trainer, config_of(tmp_path), path="file")
        loader = trainer.get_train_dataloader()
        torch.manual_seed(0)
        drawn.append([batch["input_ids"].tolist() for batch in loader])
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 6


def test_columns_that_nobody_needs_are_not_read(tmp_path: Path) -> None:
    """A column that the Trainer would have removed, such as pictures of which one is broken, is removed with us too."""
    datasets = pytest.importorskip("datasets")
    rows = [{**row, "picture": {"bytes": b"broken", "path": None}} for row in Texts().items]
    table = datasets.Dataset.from_list(rows).cast_column("picture", datasets.Image())
    trainer = trainer_of(tmp_path, language_model(), table)
    log_losses(trainer, config_of(tmp_path), path="file", caption="text")
    trainer.train()
    assert {step: len(rows) for step, rows in by_step(tmp_path).items()} == dict.fromkeys(range(1, 7), 4)


class Costly(transformers.Trainer):  # type: ignore[misc]
    """Its outputs cost a second forward, which draws random numbers."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss = model(**inputs).loss
        return (loss, model(**inputs)) if return_outputs else loss


class Refusing(transformers.Trainer):  # type: ignore[misc]
    """Has no outputs to give."""

    def compute_loss(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        return model(**inputs).loss


@pytest.mark.parametrize("kind", [Costly, Refusing])
def test_compute_loss_is_called_as_its_caller_calls_it(kind: Any, tmp_path: Path) -> None:
    """Nothing more is asked of it: with dropout the weights are those without us, and the losses are found."""
    weights = []
    for watched in (False, True):
        trainer = trainer_of(tmp_path / str(watched), language_model(), Texts(), kind)
        if watched:
            log_losses(trainer, config_of(tmp_path), path="file")
        trainer.train()
        weights.append(trainer.model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert {step: len(rows) for step, rows in by_step(tmp_path).items()} == dict.fromkeys(range(1, 7), 4)


def ragged() -> list[dict[str, Any]]:
    """The texts without their padding."""
    return [
        {name: value[: sum(row["attention_mask"])] for name, value in row.items() if name in ("input_ids", "labels")}
        | {"file": row["file"]}
        for row in Texts(28).items
    ]


def test_examples_of_one_row_have_the_losses_that_they_have_alone(tmp_path: Path) -> None:
    """The collator without padding: all examples are logged, with names, and each has the loss of a row of its own."""
    model = language_model()
    model.config.resid_pdrop = model.config.embd_pdrop = model.config.attn_pdrop = 0.0
    model = transformers.GPT2LMHeadModel(model.config)
    untrained = copy.deepcopy(model)
    trainer = trainer_of(tmp_path, model, ragged(), max_steps=2, per_device_train_batch_size=7)
    trainer.data_collator = transformers.DataCollatorWithFlattening()
    log_losses(trainer, config_of(tmp_path), path="file")
    trainer.train()
    steps = by_step(tmp_path)
    assert {step: len(rows) for step, rows in steps.items()} == {1: 7, 2: 7}
    texts = {row["file"]: row for row in ragged()}
    for row in steps[1]:
        tokens, labels = (torch.tensor([texts[row["path"]][name]]) for name in ("input_ids", "labels"))
        assert row["loss"] == pytest.approx(untrained(tokens, labels=labels).loss.item(), rel=1e-4)
    assert report_of(tmp_path).warnings == []


def test_a_collator_that_mixes_examples_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rows that are neither one for each example nor all of them in a row are not guessed at."""
    trainer = trainer_of(tmp_path, image_model(), Images(), max_steps=2)
    trainer.data_collator = lambda features: transformers.default_data_collator(features[:3])
    log_losses(trainer, config_of(tmp_path))
    trainer.train()
    reason = "the collator made 3 rows of 4 examples"
    assert reason in warning(caplog)
    assert report_of(tmp_path).warnings == [
        f"transformers.Trainer, steps 1 to 2: 2 batches were not logged (8 examples): {reason}"
    ]


@pytest.mark.parametrize("in_place", [False, True])
def test_a_compiled_model_is_compiled_once(in_place: bool, tmp_path: Path) -> None:
    """torch.compile sees the model that it saw without us, in one graph, and the losses are logged."""
    graphs = []
    for watched in (False, True):
        torch._dynamo.reset()
        count: list[int] = []

        def backend(graph: Any, _: Any, count: list[int] = count) -> Any:
            count.append(len(graph.graph.nodes))
            return graph.forward

        trainer = trainer_of(tmp_path / str(watched), image_model(), Images(), max_steps=3)
        if in_place:
            trainer.model.compile(backend=backend, fullgraph=True)
        else:
            wrap = trainer._wrap_model
            compiled = torch.compile(trainer.model, backend=backend, fullgraph=True)
            trainer._wrap_model = lambda *args, wrap=wrap, compiled=compiled, **options: compiled
        if watched:
            log_losses(trainer, config_of(tmp_path))
        trainer.train()
        graphs.append(count)
    assert graphs[0] == graphs[1] != []
    assert {step: len(rows) for step, rows in by_step(tmp_path).items()} == {1: 4, 2: 4, 3: 4}


def report_of(folder: Path) -> Any:
    """The last report."""
    return read_report(config_of(folder).report_paths()[-1])


def warning(caplog: pytest.LogCaptureFixture) -> str:
    """The one warning of ours."""
    (found,) = [r.getMessage() for r in caplog.records if r.name == "loss_logging" and r.levelno == logging.WARNING]
    return found


# --- what a person has excluded -----------------------------------------------------------------------------------

EXCLUDED = (3, 17)


class Stream(torch.utils.data.IterableDataset[Any]):
    """Sentences as they come, divided between the workers by their numbers."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = torch.utils.data.get_worker_info()
        of, mine = (1, 0) if worker is None else (worker.num_workers, worker.id)
        return (item for item in self.items if int(item["file"].removesuffix(".txt")) % of == mine)


def table(items: list[dict[str, Any]]) -> Any:
    """Of `datasets`."""
    return pytest.importorskip("datasets").Dataset.from_list(items)


def texts(items: list[dict[str, Any]]) -> Texts:
    """Of torch."""
    made = Texts()
    made.items = items
    return made


def trained(tmp_path: Path, data: Any, exclude: str | None, options: Any, **names: Any) -> dict[str, torch.Tensor]:
    """The weights of a training, logged where there is a list, which may be empty."""
    trainer = trainer_of(tmp_path, language_model(), data, **options)
    if exclude is not None:
        tmp_path.mkdir(exist_ok=True)
        (tmp_path / "exclude.txt").write_text(exclude, encoding="utf-8")
        log_losses(trainer, config_of(tmp_path, exclude=tmp_path / "exclude.txt"), **names)
    trainer.train()
    weights: dict[str, torch.Tensor] = trainer.model.state_dict()
    return weights


@pytest.mark.parametrize(
    ("kind", "names", "options"),
    [
        (table, {}, {}),
        (table, {"path": "file", "dataset": "source", "caption": "text"}, {}),
        (texts, {}, {}),
        (Stream, {"path": "file", "dataset": "source"}, {}),
        (Stream, {"path": "file", "dataset": "source"}, {"dataloader_num_workers": 2}),
    ],
    ids=["table by number", "table by column", "torch by number", "stream", "stream of workers"],
)
def test_what_is_excluded_is_not_trained_on(kind: Any, names: Any, options: Any, tmp_path: Path) -> None:
    """Weights are those of a dataset without it, items keep their names, and the report says how many it was; an
    empty list changes nothing."""
    items = Texts().items
    listed = "".join(f"{i}.txt\n" if "path" in names else f"{i}\n" for i in EXCLUDED)
    rest = [item for i, item in enumerate(items) if i not in EXCLUDED]
    with_list = trained(tmp_path / "a", kind(items), listed, options, **names)
    without = trained(tmp_path / "b", kind(rest), None, options)
    assert all(torch.equal(tensor, without[name]) for name, tensor in with_list.items())
    logged = {row["path"] for rows in by_step(tmp_path / "a").values() for row in rows}
    assert logged <= {f"{i}.txt" if "path" in names else f"{i}" for i in range(24) if i not in EXCLUDED}
    assert max(map(len, logged)) == (6 if "path" in names else 2)  # the last ones are called as they were
    report = read_report(config_of(tmp_path / "a").report_paths()[-1])
    assert report.excluded == ({"books": 2} if "dataset" in names else {"train": 2})
    assert not report.warnings
    whole = trained(tmp_path / "c", kind(items), "", options, **names)
    plain = trained(tmp_path / "d", kind(items), None, options)
    assert all(torch.equal(tensor, plain[name]) for name, tensor in whole.items())


def test_items_that_alone_know_their_path(tmp_path: Path) -> None:
    """None of them is loaded for it: the report says that the list was not heard, and a subset made by hand is."""
    (tmp_path / "exclude.txt").write_text("3.txt\n", encoding="utf-8")
    for by_hand in (False, True):
        data = Texts()
        trainer = trainer_of(tmp_path, language_model(), data)
        config = config_of(tmp_path, exclude=tmp_path / "exclude.txt")
        losses = log_losses(trainer, config, path="file", caption="text")
        if by_hand:
            paths = [item["file"] for item in data.items]
            trainer.train_dataset = losses.exclusions.subset(trainer.train_dataset, paths)
        trainer.train()
        report = read_report(config.report_paths()[-1])
        assert report.excluded == ({"train": 1} if by_hand else {})
        assert len([sentence for sentence in report.warnings if "nothing is left out" in sentence]) == 1 - by_hand
