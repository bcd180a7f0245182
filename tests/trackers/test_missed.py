from __future__ import annotations

from pathlib import Path

from inline_logger import log, logger

from loss_logging import TrainConfig
from loss_logging.reports.report import LossReport
from loss_logging.trackers.ledger import Ledger
from loss_logging.trackers.missed import all_missed, missed_at_the_end


def run(root: Path) -> TrainConfig:
    """Steps 1 to 30 with reports at 10 and 20, and scalars every 5."""
    with logger(root, log_every=5) as losses:
        for step in range(1, 31):
            log(losses, step, loss=float(step))
            if step in (10, 20):
                losses.save_step(step).result(30)
    return losses.config


def test_what_a_new_tracker_has_missed_is_everything(tmp_path: Path) -> None:
    """Reports by step from their files, and a row of means for each window that no report has."""
    missed = all_missed(run(tmp_path), Ledger.of(run(tmp_path / "other"), "new"))
    assert list(missed.reports) == [10, 20]
    assert [row.step for row in missed.scalars if row.step not in missed.reports] == [5, 15, 25, 30]
    assert missed.first == 5
    unreadable: list[tuple[int, str]] = []
    missed.reports[20].write_text("{")
    rows = list(missed.rows(lambda step, why: unreadable.append((step, why))))
    assert [row.step for row in rows] == [5, 10, 15, 25, 30]
    assert isinstance(rows[1].payload, LossReport)
    assert rows[0].payload == {"loss_logging/loss/d": 3.0}
    assert [step for step, _ in unreadable] == [20]


def test_at_the_end_nothing_older_than_what_arrived_is_missing(tmp_path: Path) -> None:
    """A tracker shows things in the order of their arrival."""
    config = run(tmp_path)
    ledger = Ledger.of(config, "known")
    ledger.add_scalars(15)
    missed = missed_at_the_end(config, ledger, through=30)
    assert list(missed.reports) == [20]
    assert [row.step for row in missed.scalars if row.step != 20] == [25, 30]
