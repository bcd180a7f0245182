from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until
from wandb_file import OfflineRun, finished, history

from loss_logging.integrations.loggers.wandb import WandbBackend
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.trackers.delivery import Delivery

wandb = pytest.importorskip("wandb")

MakeReport = Callable[[int], LossReport]
LOSS = "loss_logging/loss/cats"
STEP = "loss_logging/step"


def charted_and_tabled(found: OfflineRun) -> list[tuple[int, float]]:
    """Every (step, loss) of ours in the run, from the history's rows and from the table of uncharted ones."""
    pairs = [(row[STEP], row[LOSS]) for row in found.rows_with(LOSS)]
    for row in found.rows_with("loss_logging/uncharted"):
        table = found.table(row["loss_logging/uncharted"])
        step, loss = table["columns"].index("step"), table["columns"].index(LOSS)
        pairs += [(values[step], values[loss]) for values in table["data"]]
    return sorted(pairs)


def test_a_row_has_arrived_when_it_is_in_the_runs_file(config: TrainConfig) -> None:
    """What W&B's process holds in memory only is unsettled, and settled soon after, while the run is still open."""
    backend = WandbBackend.from_config(config, project="ours", mode="offline")
    backend.write_scalars(10, {LOSS: 0.5})
    assert backend.unsettled() == [0]
    wait_until(lambda: not backend.unsettled())
    assert [row[STEP] for run in history(Path(config.save_root), unfinished=1) for row in run] == [10]
    backend.close()


def explicit_steps(run: Any, step: int) -> None:
    run.log({"train/loss": 1.0 / step}, step=step)
    run.log({"train/lr": 0.1 * step}, step=step)


def own_counter(run: Any, step: int) -> None:
    run.log({"train/loss": 1.0 / step, "train/lr": 0.1 * step})


def two_calls_a_row(run: Any, step: int) -> None:
    run.log({"train/loss": 1.0 / step}, commit=False)
    run.log({"train/lr": 0.1 * step})


@pytest.mark.parametrize("every", [1, pytest.param(10, marks=pytest.mark.long)], ids=["often", "rarely"])
@pytest.mark.parametrize("log", [explicit_steps, own_counter, two_calls_a_row])
def test_trainers_rows_and_ours_all_survive(
    log: Callable[[Any, int], None], every: int, config: TrainConfig, trainers_run: Any, make_report: MakeReport
) -> None:
    """In the trainer's run every row of the trainer keeps its step and values, and every value of ours arrives.

    Ours come in bursts of five from another thread, as the reporter sends them, while the trainer logs every step, or
    every tenth.
    """
    delivery = Delivery(WandbBackend(run=trainers_run), config)
    report = make_report(200)
    ours = []
    for step in range(1, 201):
        time.sleep(0.002)
        if step % every == 0:
            log(trainers_run, step)
        if step % 5 == 0:
            ours += [(s, float(s)) for s in range(step - 4, step + 1)]
            for s in range(step - 4, step + 1):
                delivery.write_scalars(s, {LOSS: float(s)})
    delivery.write(report)
    assert delivery.close(timeout=30) is None
    final_step = {"step": 200} if log is explicit_steps else {}
    trainers_run.log({"train/final": 1.0}, **final_step)  # what scripts do once the training is over

    found = finished(trainers_run)
    steps = range(every, 201, every)
    rows = found.rows_with("train/loss")
    assert [(row["train/loss"], row["train/lr"]) for row in rows] == [(1.0 / s, pytest.approx(0.1 * s)) for s in steps]
    assert [row["_step"] for row in rows] == (list(steps) if log is explicit_steps else list(range(len(steps))))
    assert len(found.rows_with("train/final")) == 1
    assert charted_and_tabled(found) == sorted([*ours, (200, report.recent["cats"])])
    assert found.rows_with("loss_logging/loss_histogram/cats")
    assert found.rows_with("loss_logging/flagged_captions")
    charted = [row[STEP] for row in found.rows_with(LOSS)]
    assert charted == sorted(charted), "the x axis runs backwards"


def test_bursts_are_spread_over_the_trainers_rows(config: TrainConfig, trainers_run: Any) -> None:
    """Where the trainer logs as often as we do, every row of ours gets into the charts, however late it comes."""
    delivery = Delivery(WandbBackend(run=trainers_run), config)
    for step in range(1, 16):
        trainers_run.log({"train/loss": float(step)}, step=step)
        if step == 5:
            for s in range(1, 6):
                delivery.write_scalars(s, {LOSS: float(s)})
        time.sleep(0.15)
    assert delivery.close(timeout=30) is None
    found = finished(trainers_run)
    assert [(row[STEP], row[LOSS]) for row in found.rows_with(LOSS)] == [(s, float(s)) for s in range(1, 6)]
    assert [row["train/loss"] for row in found.rows] == [float(s) for s in range(1, 16)]
    assert not found.rows_with("loss_logging/uncharted")


def test_rows_that_the_trainer_left_no_time_for_are_said(config: TrainConfig, trainers_run: Any) -> None:
    """When the trainer finishes its run first, closing names how many rows were still waiting, without blocking."""
    backend = WandbBackend(run=trainers_run)
    delivery = Delivery(backend, config)
    for step in (1, 2, 3):
        delivery.write_scalars(step, {LOSS: 0.5})
    wait_until(lambda: len(getattr(backend._rows, "_waiting", ())) >= 2)
    trainers_run.finish()
    undelivered = delivery.close(timeout=60)
    assert undelivered is not None
    assert "2 rows were still waiting" in undelivered.reason
