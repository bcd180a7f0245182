from __future__ import annotations

from pathlib import Path

from configs import build


def test_paths(tmp_path: Path) -> None:
    """Everything lies in a sub-folder of save_root; reports carry the step in nine digits."""
    config = build(save_root=tmp_path)
    assert config.out_dir == tmp_path / "loss_logging"
    assert config.records_dir == tmp_path / "loss_logging" / "records" / "job"
    assert config.report_path(250) == tmp_path / "loss_logging" / "job_000000250.json"
    assert build(save_root="~/runs").out_dir == Path.home() / "runs" / "loss_logging"


def test_report_paths(tmp_path: Path) -> None:
    """A run finds its own reports by step, and none of a run whose name begins alike."""
    config = build(save_root=tmp_path, job_name="cats[1]")
    config.out_dir.mkdir()
    for name in (
        "cats[1]_000000500.json",
        "cats[1]_000000250.json",
        "cats[1]_b_000000250.json",
        "cats1_000000250.json",
    ):
        (config.out_dir / name).touch()
    assert config.report_paths() == [config.report_path(250), config.report_path(500)]
