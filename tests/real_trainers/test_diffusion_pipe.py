"""diffusion-pipe: its own script, datasets, loader and saver on DeepSpeed's engine, with the launcher and without."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkouts import checkout
from pictures import paint, value_of
from records import by_step

from loss_logging import read_report


@pytest.mark.real
@pytest.mark.parametrize("more", ["", "uncond_fraction = 0.3\nhuber_delta = 0.5\n"])
def test_it_trains_as_without_us_and_every_row_is_of_its_image(
    more: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Weights to the bit, parity of the scalar, and the file of each row by the pixels; no row of the evaluation."""
    trainer = checkout(pytestconfig, "diffusion-pipe")
    paths = paint(tmp_path / "images", {"cats": 5, "dogs": 3, "held": 2})
    plain, logged = (
        trainer.run("diffusion_pipe", tmp_path / mode, mode, tmp_path / "images", more) for mode in ("plain", "logged")
    )
    assert logged == plain
    left, right = (sorted((tmp_path / mode / "run").rglob("model.pt")) for mode in ("plain", "logged"))
    assert len(left) == len(right) >= 2
    for one, other in zip(left, right, strict=True):
        ours = torch.load(other)
        assert all(torch.equal(tensor, ours[name]) for name, tensor in torch.load(one).items())
    (run,) = (tmp_path / "logged" / "run").iterdir()
    steps = by_step(run)
    assert sorted(steps) == [*range(1, 1 + len(logged["scalars"]))]
    pulled = iter(logged["batches"])
    for step, scalar in enumerate(logged["scalars"], 1):
        batch, rows = next(pulled), steps[step]
        assert sum(row["loss"] for row in rows) / len(rows) == pytest.approx(scalar, rel=1e-5)
        assert [row["caption"] for row in rows] == batch["captions"]
        assert [value_of(Path(row["path"])) for row in rows] == pytest.approx(batch["pixels"], abs=0.01)
        for row in rows:
            path = Path(row["path"])
            assert path in paths
            assert row["dataset"] == path.parent.name != "held"
            assert row["caption"] in ("", path.with_suffix(".txt").read_text())
    report = read_report(max((run / "loss_logging").glob("*.json")))
    assert report.job.step == len(logged["scalars"])
    assert not [line for line in report.warnings if "not logged" in line]
