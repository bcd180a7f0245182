"""The losses of a model's examples: they add up to the scalar, or are not logged and counted."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from records import by_step, component
from tiny_trainers import (
    WORDS,
    Images,
    Scalars,
    Texts,
    config_of,
    image_model,
    language_model,
    masked_model,
    report_of,
    trainer_of,
    warning,
)

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from loss_logging.integrations.trainers.token_losses import ModelLosses  # noqa: E402
from loss_logging.integrations.trainers.transformers import log_losses  # noqa: E402


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
    batch, examples = report_of(tmp_path).warnings
    assert "step 1: 1 batch was not logged (4 examples): the loss is 0 or no number" in batch
    assert "losses are NaN or infinite, and in no figure but their number: 5 of 28" in examples
    assert not [record for record in caplog.records if record.name == "loss_logging"]


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
