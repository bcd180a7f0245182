"""Accelerate, in a real small training run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from records import by_step
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tracker_files import collect_garbage

from loss_logging import LossLogger, TrainConfig, per_example_loss, read_report

accelerate = pytest.importorskip("accelerate")

from loss_logging.integrations.trainers.accelerate import LossTracker, accelerate_loggers  # noqa: E402

HISTOGRAM = "loss_logging/loss_histogram/noise"


@pytest.fixture(autouse=True)
def one_accelerator_a_test() -> Iterator[None]:
    """Accelerate keeps its state for the whole process."""
    yield
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    collect_garbage()


def train(accelerator: Any, losses: LossLogger, items: Any = None) -> list[float]:
    """Six steps on noise, or on items; returns the scalars."""
    torch.manual_seed(0)
    images = torch.rand(24, 3, 8, 8)
    data = torch.utils.data.DataLoader(
        list(zip(range(24), images, strict=True)) if items is None else items, batch_size=4, shuffle=True
    )
    model = torch.nn.Conv2d(3, 3, 3, padding=1)
    model, optimizer, data = accelerator.prepare(model, torch.optim.AdamW(model.parameters()), data)
    scalars = []
    for step, (numbers, batch) in enumerate(data, 1):
        error = F.mse_loss(model(batch), batch, reduction="none")
        names = {"paths": [f"{number}.png" for number in numbers.tolist()], "captions": ["noise"] * len(batch)}
        losses.log_batch(step, per_example_loss(error), datasets="noise", **names)
        accelerator.backward(error.mean())
        optimizer.step()
        optimizer.zero_grad()
        accelerator.log({"train/loss": error.mean().item()}, step=step)
        scalars.append(error.mean().item())
    losses.save_step(6)
    return scalars


def test_as_one_of_its_trackers(tmp_path: Path) -> None:
    """get_tracker gives the LossLogger, whose losses add up to the scalars; end_training closes it with a report."""
    config = TrainConfig(job_name="run", save_root=tmp_path, loggers=[])
    accelerator = accelerate.Accelerator(cpu=True, log_with=[LossTracker(config)])
    accelerator.init_trackers("ours", config={"lr": 1e-3})
    scalars = train(accelerator, accelerator.get_tracker("loss_logging", unwrap=True))
    accelerator.end_training()
    steps = by_step(tmp_path)
    assert [sum(row["loss"] for row in steps[step]) / 4 for step in range(1, 7)] == pytest.approx(scalars, rel=1e-5)
    assert config.report_path(6).exists()


def test_its_trackers_are_taken_over(tmp_path: Path) -> None:
    """Our scalars and histograms appear in the files of accelerate's TensorBoard tracker; its own rows are intact."""
    accelerator = accelerate.Accelerator(cpu=True, log_with="tensorboard", project_dir=str(tmp_path / "logs"))
    accelerator.init_trackers("trainer")
    config = TrainConfig(job_name="run", save_root=tmp_path, loggers=accelerate_loggers(accelerator), log_every=2)
    with LossLogger(config) as losses:
        scalars = train(accelerator, losses)
    accelerator.log({"train/loss": 0.5}, step=7)
    accelerator.end_training()
    events = EventAccumulator(str(tmp_path / "logs" / "trainer"), size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx([*scalars, 0.5])
    assert [event.step for event in events.Histograms(HISTOGRAM)] == [6]
    assert events.Scalars("loss_logging/loss/noise")[-1].step == 6


def test_other_trackers_get_the_scalars(tmp_path: Path) -> None:
    """A tracker that only accelerate knows receives plain floats under our names."""

    class Tracker(accelerate.tracking.GeneralTracker):  # type: ignore[misc]
        name = "mine"
        requires_logging_directory = False
        rows: list[tuple[int, dict[str, Any]]] = []  # noqa: RUF012

        @property
        def tracker(self) -> Any:
            return self.rows

        def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
            self.rows.append((step or 0, values))

    accelerator = accelerate.Accelerator(cpu=True, log_with=[Tracker()])
    accelerator.init_trackers("trainer")
    config = TrainConfig(job_name="run", save_root=tmp_path, loggers=accelerate_loggers(accelerator), log_every=2)
    with LossLogger(config) as losses:
        train(accelerator, losses)
    ours = [(step, values) for step, values in Tracker.rows if "loss_logging/loss/noise" in values]
    assert ours[-1][0] == 6
    assert all(type(value) is float for _, values in ours for value in values.values())


def test_what_is_excluded_is_not_trained_on(tmp_path: Path) -> None:
    """A loader over the tracker's subset trains as one over a dataset without the items, and reports count them."""
    (tmp_path / "exclude.txt").write_text("3.png\n10.png\n", encoding="utf-8")
    config = TrainConfig(job_name="run", save_root=tmp_path, loggers=[], exclude=tmp_path / "exclude.txt")
    tracker = LossTracker(config)
    data = list(zip(range(24), torch.rand(24, 3, 8, 8, generator=torch.Generator().manual_seed(1)), strict=True))
    accelerator = accelerate.Accelerator(cpu=True, log_with=[tracker])
    accelerator.init_trackers("ours", config={"lr": 1e-3})
    subset = tracker.exclusions.subset(data, [f"{i}.png" for i in range(24)], "noise")
    with_list = train(accelerator, tracker.tracker, subset)
    accelerator.end_training()
    without = [one for one in data if one[0] not in (3, 10)]
    with LossLogger(job_name="plain", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        assert train(accelerator, losses, without) == with_list
    assert read_report(config.report_paths()[-1]).excluded == {"noise": 2}
    trained = {row["path"] for rows in by_step(tmp_path).values() for row in rows}
    assert trained == {f"{i}.png" for i in range(24) if i not in (3, 10)}
