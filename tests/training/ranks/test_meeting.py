from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from loss_logging import TrainConfig
from loss_logging.trackers.delivery import Dispatcher
from loss_logging.training.messages import Start
from loss_logging.training.reporter_client import ReporterProcess


def test_a_wide_reply_that_breaks_off(tmp_path: Path) -> None:
    """A process killed in the middle of a reply is noticed, and its thread ends in order."""
    config = TrainConfig(job_name="run", save_root=tmp_path, loggers=[])
    client = ReporterProcess(Start(config.to_dict(), [], 1, "r", None, -1, False), Dispatcher([], config))
    child = subprocess.Popen(
        [sys.executable, "-c", 'print(\'{"type": "Saved", "step": 1, "pa\', end=\'\')'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    client._read(child)
    assert child.returncode == 0
    assert client.close(1, 20) == []
