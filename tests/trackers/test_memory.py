from __future__ import annotations

from pathlib import Path

from inline_logger import log, logger

from loss_logging.trackers.memory import MemoryBackend


def test_it_remembers_what_a_run_tells_a_tracker(tmp_path: Path) -> None:
    """Every report and every row of scalars in order, and that the run is over."""
    backend = MemoryBackend()
    with logger(tmp_path, log_every=2, loggers=[backend]) as losses:
        for step in (1, 2, 3):
            log(losses, step, loss=float(step))
        losses.save_step(3).result(30)
    assert [report.job.step for report in backend.reports] == [3]
    assert backend.scalars[0] == (2, {"loss_logging/loss/d": 1.5})
    assert backend.closed
    assert backend.requirements().trainer_process
