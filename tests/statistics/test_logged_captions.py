from __future__ import annotations

from pathlib import Path

import pytest
from configs import build
from helpers import record, write

from loss_logging.errors import LossLoggingError
from loss_logging.records.log import RecordLog
from loss_logging.statistics.logged_captions import logged_captions


def test_the_last_caption_of_each_image_counts(tmp_path: Path) -> None:
    """By its absolute path; relative ones are below the folder, and what no file can be called is left out."""
    config = build(save_root=tmp_path)
    with pytest.raises(LossLoggingError, match="holds no records"):
        logged_captions(config, tmp_path)
    log = RecordLog(config.records_dir)
    log.folder.mkdir(parents=True, exist_ok=True)
    write(log, [record(path="a.png", caption="old", step=1), record(path="/b/../c.png", caption="a dog", step=1)])
    write(log, [record(path="a.png", caption="new", step=2), record(path="nul\0.png", step=2)])
    assert logged_captions(config, tmp_path) == {str(tmp_path / "a.png"): "new", "/c.png": "a dog"}


def test_a_log_without_a_whole_shard_holds_nothing(tmp_path: Path) -> None:
    """A damaged shard says nothing; where there is no other, that is an error and not an empty answer."""
    config = build(save_root=tmp_path)
    log = RecordLog(config.records_dir)
    log.folder.mkdir(parents=True, exist_ok=True)
    write(log, [record(step=1)]).write_bytes(b"PAR1")
    with pytest.raises(LossLoggingError, match="holds no records"):
        logged_captions(config, tmp_path)
