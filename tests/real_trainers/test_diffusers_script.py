"""The edit of docs/diffusers.md, in the script itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from checkouts import checkout
from records import by_step, component

from loss_logging import read_report
from loss_logging.captions.decisions import DECISIONS_FILE, Decision, DecisionFile


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Of the model that the script has saved."""
    return safetensors.torch.load_file(folder / "run" / "unet" / "diffusion_pytorch_model.safetensors")


@pytest.mark.real
@pytest.mark.parametrize("options", [[], ["--snr_gamma", "5"]])
def test_the_edit_changes_nothing_and_logs_everything(
    options: list[str], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Weights and scalars to the bit; paths, captions and losses of every batch; a report at each checkpoint."""
    trainer = checkout(pytestconfig, "diffusers")
    plain = trainer.run("diffusers_script", tmp_path / "plain", "plain", *options)
    logged = trainer.run("diffusers_script", tmp_path / "logged", "logged", *options)
    assert logged["scalars"] == plain["scalars"]
    left, right = weights(tmp_path / "plain"), weights(tmp_path / "logged")
    assert all(torch.equal(tensor, right[name]) for name, tensor in left.items())
    steps = by_step(tmp_path / "logged" / "run")
    assert sorted(steps) == [*range(1, 7)]
    for step, rows in steps.items():
        weighted = [component(row, "weighted") if options else row["loss"] for row in rows]
        assert sum(weighted) / 3 == pytest.approx(logged["scalars"][step - 1], rel=1e-6)
        assert [row["caption"] for row in rows] == [f"picture {Path(row['path']).stem}" for row in rows]
    reports = sorted((tmp_path / "logged" / "run" / "loss_logging").glob("*.json"))
    assert [read_report(path).job.step for path in reports] == [3, 6]


@pytest.mark.real
def test_a_resumed_training_resumes_the_log(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """What came after the checkpoint is logged once."""
    trainer = checkout(pytestconfig, "diffusers")
    trainer.run("diffusers_script", tmp_path, "logged")
    again = trainer.run("diffusers_script", tmp_path, "logged", "--resume_from_checkpoint", "checkpoint-3")
    steps = by_step(tmp_path / "run")
    done = 3 + len(again["scalars"])  # past --max_train_steps: each epoch that is left begins with a step
    assert {step: len(rows) for step, rows in steps.items()} == dict.fromkeys(range(1, done + 1), 3)
    report = read_report(max((tmp_path / "run" / "loss_logging").glob("*.json")))
    assert (report.job.resumed_from, report.global_.count) == (3, 3 * done)


@pytest.mark.real
def test_what_is_excluded_is_not_trained_on(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """By a decision beside the images; the report says how many it was."""
    trainer = checkout(pytestconfig, "diffusers")
    (tmp_path / "images").mkdir()
    DecisionFile(tmp_path / "images" / DECISIONS_FILE).append(Decision(path="7.png", decision="exclude"))
    trainer.run("diffusers_script", tmp_path, "logged")
    rows = [row for rows in by_step(tmp_path / "run").values() for row in rows]
    assert {Path(row["path"]).stem for row in rows} == {f"{i}" for i in range(12) if i != 7}
    report = read_report(max((tmp_path / "run" / "loss_logging").glob("*.json")))
    assert report.excluded == {"images": 1}
