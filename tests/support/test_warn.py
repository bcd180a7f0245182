"""loss_logging/support/warn.py"""

from __future__ import annotations

from pathlib import Path

import pytest

from loss_logging import LossLogger
from loss_logging.support.warn import warn_once


def test_a_second_run_in_one_process_is_told_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A kind of trouble is said once in a run, and again in the next one of the same process, as in a notebook."""
    for job in ("first", "second"):
        with LossLogger(job_name=job, save_root=tmp_path, loggers=[], reporter="inline") as losses:
            losses.log_batch(1, [0.5], paths=["1.png"], datasets="cats", captions=["a cat"])
            warn_once("trouble", f"trouble in {job}")
            warn_once("trouble", f"trouble in {job}")
    assert caplog.messages == ["trouble in first", "trouble in second"]
