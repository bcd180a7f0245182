"""OneTrainer: its own script, data loader, trainer and LoRA, with the launcher and without."""

from __future__ import annotations

import json
import math
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
        {"text_encoder": {"train": True, "weight_dtype": "FLOAT_32", "dropout_probability": 0.3}},
    ],
)
def test_it_trains_as_without_us_and_every_row_is_of_its_image(
    options: dict[str, Any], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Weights to the bit, parity of the scalar, and the file, concept and prompt of each row."""
    trainer = checkout(pytestconfig, "OneTrainer")
    paths = paint(tmp_path / "images", {"cats": 5, "dogs": 3})
    for path in paths[::3]:
        path.with_suffix(".txt").write_text("", encoding="utf-8")
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
    same, other = set(), set()
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
            if row["loss_empty"] is not None:  # at the same noise and timestep: only the caption is another one
                (same if math.isclose(row["loss_empty"], row["loss"], rel_tol=1e-6) else other).add(row["caption"])
    assert "" in same
    assert other
    assert "" not in other
    assert same == {""} or "text_encoder" in options  # whose dropout is that of both forwards
    reports = sorted((tmp_path / "logged" / "run" / "loss_logging").glob("*.json"))
    assert read_report(reports[-1]).job.step == len(logged["batches"])
    warnings = read_report(reports[-1]).warnings
    assert not [line for line in warnings if "not logged" in line or "no losses" in line]
