from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from event_files import read, scalars

from loss_logging.integrations.loggers.cells import clean_name
from loss_logging.integrations.loggers.tensorboard import TensorBoardBackend
from loss_logging.integrations.loggers.tensorboard_events import EventWriter
from loss_logging.runs.config import TrainConfig


def test_files_opened_in_one_second_are_read_in_the_order_of_opening(tmp_path: Path) -> None:
    """Whoever opens a file later is read later, however many files the same second sees."""
    names = []
    for _ in range(12):
        writer = EventWriter(tmp_path)
        names += [path.name for path in tmp_path.iterdir() if path.name not in names]
        writer.close()
    assert sorted(names) == names


def test_a_dataset_name_that_cannot_be_encoded_is_written(config: TrainConfig) -> None:
    """A lone surrogate in a dataset's name is replaced instead of raising, and tells it from others."""
    backend = TensorBoardBackend.from_config(config)
    backend.write_scalars(1, {"loss_logging/loss/\udcff my cats": 0.5})
    backend.close()
    events = read(Path(config.save_root) / "loss_logging" / "tensorboard" / "cats")
    assert scalars(events, clean_name("loss_logging/loss/\udcff my cats")) == [(1, 0.5)]


def test_own_files_need_neither_torch_nor_tensorflow(tmp_path: Path) -> None:
    """Writing files of our own imports no framework, however many are installed."""
    code = (
        "import sys; from loss_logging.integrations.loggers.tensorboard import TensorBoardBackend as B; "
        f"b = B(log_dir={str(tmp_path)!r}); b.write_scalars(1, {{'a': 1.0}}); b.close(); "
        "print(sorted({'torch', 'tensorflow', 'tensorboardX'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
