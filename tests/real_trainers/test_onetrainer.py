"""OneTrainer: its own script, data loader, trainer and LoRA, with the launcher and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from checkouts import checkout
from pictures import paint
from records import by_step, component

from loss_logging import read_report


@pytest.mark.real
@pytest.mark.parametrize(
    "options",
    [
        {"loss_weight_fn": "MIN_SNR_GAMMA", "loss_weight_strength": 5.0, "gradient_accumulation_steps": 2},
        {"latent_caching": False, "mae_strength": 0.5},
    ],
)
def test_it_trains_as_without_us_and_every_row_is_of_its_image(
    options: dict[str, Any], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Weights to the bit, parity of the scalar, and the file, concept and prompt of each row."""
    trainer = checkout(pytestconfig, "OneTrainer")
    paths = paint(tmp_path / "images", {"cats": 5, "dogs": 3})
    plain, logged = (
        trainer.run("onetrainer", tmp_path / mode, mode, tmp_path / "images", json.dumps(options))
        for mode in ("plain", "logged")
    )
    assert logged == plain
    assert logged["batches"]
    left, right = (safetensors.torch.load_file(tmp_path / mode / "lora.safetensors") for mode in ("plain", "logged"))
    assert all(torch.equal(tensor, right[name]) for name, tensor in left.items())
    steps = by_step(tmp_path / "logged" / "run")
    assert sorted(steps) == [*range(1, 1 + len(logged["batches"]))]
    for step, batch in enumerate(logged["batches"], 1):
        rows = steps[step]
        assert [row["path"] for row in rows] == batch["paths"]
        weighted = sum(component(row, "weighted") for row in rows) / len(rows)
        assert weighted == pytest.approx(batch["loss"], rel=1e-5)
        for row in rows:
            path = Path(row["path"])
            assert path in paths
            assert row["dataset"] == {"cats": "pets", "dogs": "dogs"}[path.parent.name]
            assert row["caption"] == path.with_suffix(".txt").read_text()
            assert 0 <= row["timestep"] < 1000
    reports = sorted((tmp_path / "logged" / "run" / "loss_logging").glob("*.json"))
    assert read_report(reports[-1]).job.step == len(logged["batches"])
    assert not [line for line in read_report(reports[-1]).warnings if "not logged" in line]
