"""The Trackio backend, beyond what the conformance suite checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sample_report import HOSTILE

from loss_logging.integrations.loggers.trackio import TrackioBackend
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig

trackio = pytest.importorskip("trackio")


def test_captions_are_not_markdown(
    tmp_path: Path, config: TrainConfig, make_report: Callable[[int], LossReport]
) -> None:
    """Trackio renders cells as markdown: a caption becomes neither an image nor a link, and figures stay numbers."""
    from trackio.sqlite_storage import SQLiteStorage

    backend = TrackioBackend.from_config(config, project=tmp_path.name)
    backend.write(make_report(10))
    backend.close()
    (row,) = SQLiteStorage.get_logs(tmp_path.name, "cats")
    cells = row["loss_logging/flagged_captions"]["_value"]
    assert len(cells) == config.max_table_rows
    assert HOSTILE[0].startswith("![")
    assert cells[0]["caption"].startswith("&#33;&#91;x&#93;&#40;http&#58;")
    assert cells[1]["loss"] == pytest.approx(0.1)
    assert cells[0]["loss"] is None


def test_what_was_just_written_may_be_lost(tmp_path: Path, config: TrainConfig) -> None:
    """Until Trackio has handed it over, a write does not count as delivered."""
    backend = TrackioBackend.from_config(config, project=tmp_path.name)
    backend.write_scalars(10, {"loss_logging/loss/cats": 0.5})
    assert backend.unsettled() == [0]
    backend.close()
