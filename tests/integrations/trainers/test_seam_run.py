"""loss_logging/integrations/trainers/seam_run.py"""

from __future__ import annotations

import functools
import logging
from pathlib import Path

import pytest
from records import by_step

from loss_logging.integrations.trainers.seam_run import SeamRun
from loss_logging.integrations.trainers.watch import Watch


class Run(SeamRun):
    """Of a trainer that has made one step."""

    step = 1


def test_two_adapters_at_once_are_one_log_and_a_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The newer one writes the run from there on. The other one says so, and its trainer saves and ends as ever."""
    section = {"loss_logging": {"reporter": "inline"}}
    runs = [Run(section, Watch(trainer, "name another folder")) for trainer in ("NetworkTrainer", "SimpleTuner")]

    def log(run: Run, path: int) -> None:
        run.begin(functools.partial(run.logger, [], "cats", str(tmp_path), {}))
        run.log(lambda losses: losses.log_batch(1, [1.0], paths=[path], datasets="d", captions=["a cat"]))

    with caplog.at_level(logging.WARNING):
        for path, run in enumerate([*runs, runs[0]]):
            log(run, path)
        for run in reversed(runs):
            run.close()
    assert [row["path"] for rows in by_step(tmp_path).values() for row in rows][-1] == "1"
    (said,) = [line for line in caplog.messages if "no per-example losses" in line]
    assert said.startswith("NetworkTrainer")
    assert "another one of this process writes its run" in said
    assert said.endswith("Training goes on.")
