"""item_history: the records of a few items."""

from __future__ import annotations

from pathlib import Path

from loss_logging.records.columns import table_from_records
from loss_logging.records.log import RecordLog
from loss_logging.statistics.history import item_history


def test_history(tmp_path: Path) -> None:
    """The records of the items asked for, by step; of many records some, the first and last steps within reach."""
    log = RecordLog(tmp_path)
    rows = [
        {"path": path, "dataset": "d", "caption": "c", "loss": float(step), "step": step, "timestep": 0.5}
        for step in range(1_000)
        for path in ("a", "b")
    ]
    log.write(table_from_records(rows).to_batches())
    table = item_history(log, [("d", "a"), ("other", "b")], 100)
    steps = table["step"].to_pylist()
    assert set(table["path"].to_pylist()) == {"a"}
    assert set(table["of"].to_pylist()) == {1_000}
    assert len(steps) == 100
    assert steps == sorted(steps)
    assert steps[0] == 0
    assert steps[-1] >= 980
    assert item_history(log, [("d", "b")], 5_000)["loss"].to_pylist() == [float(step) for step in range(1_000)]
