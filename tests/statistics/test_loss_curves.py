from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import record, write

from loss_logging.records.log import RecordLog
from loss_logging.statistics.loss_curves import LossCurves, loss_curves


def test_windows_hold_the_means_that_numpy_gives(tmp_path: Path) -> None:
    """Of each dataset and of all, in windows of equally many steps; losses that are no numbers count nowhere."""
    rng = np.random.default_rng(0)
    rows = [
        record(dataset="ab"[i % 2], loss=float(rng.normal()) if i % 7 else float("nan"), step=1 + i // 4)
        for i in range(80)
    ]
    log = RecordLog(tmp_path)
    write(log, rows)
    curves = loss_curves(log, 4)
    assert (curves.width, curves.steps) == (5, [5, 10, 15, 20])
    for name in ("a", "b", None):
        curve = curves.curves[name]
        for place, n, mean, error in zip(curve.places, curve.n, curve.means, curve.errors, strict=True):
            those = [
                row["loss"]
                for row in rows
                if (row["step"] - 1) // 5 == place and name in (None, row["dataset"]) and np.isfinite(row["loss"])
            ]
            assert n == len(those)
            assert mean == pytest.approx(np.mean(those))
            assert error == pytest.approx(np.std(those, ddof=1) / len(those) ** 0.5)


def test_a_curve_ends_where_it_is_asked_to(tmp_path: Path) -> None:
    """And an empty log has none."""
    log = RecordLog(tmp_path)
    assert loss_curves(log, 3) == LossCurves()
    write(log, [record(loss=float(step), step=step) for step in range(1, 10)])
    assert loss_curves(log, 100, through=4).curves[None].means == [1.0, 2.0, 3.0, 4.0]
    assert loss_curves(log, 1).curves[None].means == [5.0]
