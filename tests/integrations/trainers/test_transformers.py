"""Hugging Face's Trainer, on real small models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from records import by_step
from tiny_trainers import Images, Texts, config_of, image_model, language_model, trainer_of, warning

from loss_logging import read_report

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from loss_logging.integrations.trainers.transformers import log_losses  # noqa: E402


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


def test_a_trainer_that_never_comes_by_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A Trainer whose data does not pass by us is warned about after 20 steps, instead of silence."""

    class OwnLoader(transformers.Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(Images(), batch_size=4)

    trainer = trainer_of(tmp_path, image_model(), Images(), OwnLoader, max_steps=25)
    log_losses(trainer, config_of(tmp_path))
    trainer.train()
    assert "20 steps have ended and no batch came by" in warning(caplog)


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


@pytest.mark.long
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
