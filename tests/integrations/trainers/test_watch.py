from __future__ import annotations

from pathlib import Path

import pytest

from loss_logging import LossLogger
from loss_logging.integrations.trainers.watch import Watch


def test_silence_is_told_after_some_steps_and_once(caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing was logged by then; a trainer that did log is left alone."""
    quiet, logging = Watch("kohya", "update it"), Watch("musubi", "update it")
    logging.logged()
    for step in range(1, 60):
        quiet.step_ended(step)
        logging.step_ended(step)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == (
        "kohya: no per-example losses: 20 steps have ended and no batch came by; update it. Training goes on."
    )


def test_what_was_missed_is_counted_in_the_next_report(tmp_path: Path) -> None:
    """By reason, with its steps and examples, each once; the first is warned about at once."""
    watch = Watch("kohya", "update it")
    with LossLogger(job_name="run", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        for step in (3, 4, 9):
            watch.missed("a batch without names", step, examples=2)
        watch.count("a loss that is not finite")
        watch.note(losses)
        losses.log_batch(1, [0.5], paths=["1.png"], datasets="d", captions=["a cat"])
        path = losses.save_step(9).result(30)
        watch.note(losses)
    assert path is not None
    text = path.read_text()
    assert "kohya, steps 3 to 9: 3 batches were not logged (6 examples): a batch without names" in text
    assert "kohya: 1 batch was not logged: a loss that is not finite" in text
