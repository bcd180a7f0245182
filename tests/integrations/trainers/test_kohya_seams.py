"""The seams of kohya's trainers: what passes by there is logged, or counted."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from kohya_runs import Base
from records import by_step

from loss_logging import read_report

pytest.importorskip("accelerate")


def test_a_subclass_that_takes_whatever_it_is_given_is_logged(tmp_path: Path) -> None:
    """The base's own signature says what is in which place, where a subclass has ``*args``."""
    from loss_logging.integrations.trainers.kohya_run import Run
    from loss_logging.integrations.trainers.kohya_seams import see_musubi

    class Mine(Base):
        def process_batch(self, *args: Any, **kwargs: Any) -> Any:
            return super().process_batch(*args, **kwargs)

        def compute_loss(self, *whatever: Any) -> Any:
            return super().compute_loss(*whatever)

    args = SimpleNamespace(output_dir=str(tmp_path), output_name="a")
    trainer = Mine()
    run = Run({"loss_logging": {"loggers": [], "reporter": "inline"}}, args, trainer)
    see_musubi(trainer, run)
    names = {"paths": ["a", "b"], "datasets": ["d"] * 2, "captions": ["", ""]}
    for step in range(3):
        trainer.train(names, step)
    run.close()
    assert [[row["loss"] for row in rows] for rows in by_step(tmp_path).values()] == [[1.0, 9.0]] * 3


def test_what_could_not_be_logged_is_counted_in_the_report(tmp_path: Path) -> None:
    """A batch without names and one whose losses are not known, with the reason of each."""
    from loss_logging.integrations.trainers.kohya_run import Run
    from loss_logging.integrations.trainers.kohya_seams import see_musubi

    class Strange(Base):
        def process_batch(self, batch: Any, network: Any, accelerator: Any, global_step: int) -> Any:
            if global_step < 2:
                return super().process_batch(batch, network, accelerator, global_step)
            return torch.ones(()), {}

    trainer = Strange()
    run = Run(
        {"loss_logging": {"loggers": [], "reporter": "inline"}},
        SimpleNamespace(output_dir=str(tmp_path), output_name="a"),
        trainer,
    )
    see_musubi(trainer, run)
    names = {"paths": ["a", "b"], "datasets": ["d"] * 2, "captions": ["", ""]}
    for step, found in enumerate([names, {"error": ["no folder"]}, names, names]):
        trainer.train(found, step)
    run.close()
    (path,) = (tmp_path / "loss_logging").glob("*.json")
    warnings = read_report(path).warnings
    assert any("1 batch was not logged" in line and "which images it is of: no folder" in line for line in warnings)
    assert any("2 batches were not logged: process_batch did not call compute_loss" in line for line in warnings)


@pytest.mark.parametrize("is_cached", [False, True])
def test_sd_scripts_is_asked_for_rivals_where_it_can_encode_them(is_cached: bool, tmp_path: Path) -> None:
    """Half of the paired steps compare with other captions of the set; with cached texts, with the empty one."""
    from loss_logging.evidence.rivals import Rivals
    from loss_logging.integrations.trainers.kohya_run import Run
    from loss_logging.integrations.trainers.kohya_seams import see_sd_scripts

    file = tmp_path / "rivals.parquet"
    Rivals({("d", "a"): ("xxxx",)}).save(str(file))
    section = {"loggers": [], "reporter": "inline", "paired_fraction": 1, "rivals": str(file)}

    class Trainer:
        def process_batch(
            self, batch: Any, network: Any, accelerator: Any, args: Any, tokenize_strategy: Any, is_train: bool = True
        ) -> Any:
            loss = util.conditional_loss(torch.tensor([[float(len(one))] for one in batch["captions"]]), torch.zeros(2))
            return self.post_process_loss(loss.mean(1), None, torch.ones(2)).mean()

        def post_process_loss(self, loss: Any, args: Any, timesteps: Any) -> Any:
            return loss

    util: Any = SimpleNamespace(conditional_loss=lambda pred, target: pred.square(), DatasetGroup=object)
    trainer = Trainer()
    run = Run({"loss_logging": section}, SimpleNamespace(output_dir=str(tmp_path), output_name="a"), trainer)
    step = 0
    see_sd_scripts(trainer, run, util, lambda loss, batch: loss, lambda: step)
    network = SimpleNamespace(save_weights=lambda: None)
    accelerator = SimpleNamespace(
        unwrap_model=lambda model: model, trackers=[], is_main_process=True, device=torch.device("cpu")
    )
    names = {"paths": ["a", "b"], "datasets": ["d"] * 2, "captions": ["one", "three"]}
    cached = [torch.zeros(2, 1)] if is_cached else None
    batch = {"loss_logging": names, "captions": names["captions"], "text_encoder_outputs_list": cached}
    args = SimpleNamespace(masked_loss=False)
    for step in range(8):  # noqa: B007, it is read
        trainer.process_batch(batch, network, accelerator, args, None)
    run.close()
    rows = [rows for _, rows in sorted(by_step(tmp_path).items())]
    assert [row["loss"] for of_step in rows for row in of_step] == [9, 25] * 8
    rivals = {(row["loss_rival"], row["rival"]) for of_step in rows for row in of_step if row["path"] == "a"}
    assert rivals == ({(None, None)} if is_cached else {(None, None), (16.0, "xxxx")})


def test_what_is_not_as_expected_at_a_seam_does_not_stop_the_training(caplog: pytest.LogCaptureFixture) -> None:
    """A prediction and a target of different shapes, a batch without names: the loss comes back, and why is said."""
    from loss_logging.integrations.trainers.kohya_run import Run
    from loss_logging.integrations.trainers.kohya_seams import see_musubi

    class Trainer:
        def process_batch(self, batch: Any, network: Any, accelerator: Any, global_step: int) -> Any:
            output = SimpleNamespace(
                pred=torch.ones(2, 3), target=torch.zeros(2, 3, 1) if global_step else torch.ones(2, 3)
            )
            return self.compute_loss(None, output, torch.ones(2))

        def compute_loss(self, args: Any, output: Any, timesteps: Any) -> Any:
            return output.pred.mean(), {}

    for step, reason in ((0, "which images it is of"), (1, "shape (2, 3), and the target (2, 3, 1)")):
        trainer = Trainer()
        see_musubi(trainer, Run({"loss_logging": True}, None, trainer))
        with caplog.at_level(logging.DEBUG, "loss_logging"):
            loss, _ = trainer.process_batch({}, None, None, step)
        assert float(loss) == 1
        assert reason in caplog.text
