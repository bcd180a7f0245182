"""Models over two ranks (gloo): FSDP2 and DistributedDataParallel, also compiled or by Accelerate; no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from checkouts import ROOT
from records import by_step

from loss_logging import read_report

DRIVER = Path(__file__).parent / "drivers" / "sharded.py"


def train(out: Path, mode: str) -> list[dict[str, Any]]:
    """What each of the ranks has printed."""
    out.mkdir()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, DRIVER, str(rank), out / "store", out, mode], env=environment, stdout=subprocess.PIPE
        )
        for rank in range(2)
    ]
    said = [rank.communicate(timeout=600)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0]
    return [json.loads(text.splitlines()[-1]) for text in said]


@pytest.mark.real
@pytest.mark.parametrize("kind", ["fsdp2", "fsdp2 compiled", "ddp", "ddp compiled", "accelerate"])
def test_a_model_over_two_ranks_trains_as_without_us(kind: str, tmp_path: Path) -> None:
    """Weights and buffers to the bit, with pairs on half of the steps; parity; one report on both ranks."""
    plain, logged = train(tmp_path / "plain", f"plain {kind}"), train(tmp_path / "logged", f"logged {kind}")
    assert [one["weights"] for one in logged] == [one["weights"] for one in plain]
    assert [one["scalars"] for one in logged] == [one["scalars"] for one in plain]
    for one in logged:
        assert one["means"] == pytest.approx(one["scalars"], rel=1e-6)
    steps = by_step(tmp_path / "logged")
    assert {step: len(rows) for step, rows in steps.items()} == dict.fromkeys(range(1, 9), 8)
    paired = {step: {row["loss_empty"] is not None for row in rows} for step, rows in steps.items()}
    assert {len(found) for found in paired.values()} == {1}
    assert {True, False} == set().union(*paired.values())
    (report,) = (tmp_path / "logged" / "loss_logging").glob("*.json")
    assert read_report(report).global_.count == 64
