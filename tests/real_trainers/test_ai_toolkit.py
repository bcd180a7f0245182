"""ai-toolkit: a job of its own type and of ours, with its own loader, trainer and LoRA."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from checkouts import checkout, same_files
from pictures import paint, value_of
from records import by_step, component

from loss_logging import read_report


@pytest.mark.real
@pytest.mark.parametrize(
    ("kind", "train"), [("sd_trainer", {}), ("diffusion_trainer", {"snr_gamma": 5.0, "gradient_accumulation": 2})]
)
def test_it_trains_as_without_us_and_every_row_is_of_its_image(
    kind: str, train: dict[str, Any], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Weights to the bit, also with the paired forward; parity; the file of each row by the pixels trained on."""
    trainer = checkout(pytestconfig, "ai-toolkit")
    paths = paint(tmp_path / "images", {"cats": 5, "dogs": 3})
    plain, logged = (
        trainer.run("ai_toolkit", tmp_path / mode, mode, tmp_path / "images", kind, json.dumps(train))
        for mode in ("plain", "logged")
    )
    assert logged == plain
    same_files(tmp_path / "plain" / "run" / "tiny", tmp_path / "logged" / "run" / "tiny")
    rows = iter([row for _, rows in sorted(by_step(tmp_path / "logged" / "run" / "tiny").items()) for row in rows])
    paired = 0
    for batch in logged["batches"]:
        mine = [next(rows) for _ in batch["pixels"]]
        weighted = sum(component(row, "weighted_loss") for row in mine) / len(mine)
        assert weighted == pytest.approx(batch["loss"], rel=1e-5)
        assert [value_of(Path(row["path"])) for row in mine] == pytest.approx(batch["pixels"], abs=0.01)
        for row in mine:
            path = Path(row["path"])
            assert path in paths
            assert (row["dataset"], row["caption"].strip()) == (path.parent.name, path.with_suffix(".txt").read_text())
            paired += row["loss_empty"] is not None
    assert next(rows, None) is None
    assert paired
    reports = sorted((tmp_path / "logged" / "run" / "tiny" / "loss_logging").glob("*.json"))
    assert not [line for line in read_report(reports[-1]).warnings if "not logged" in line]
