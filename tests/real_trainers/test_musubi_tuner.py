"""musubi-tuner: its Wan trainer, caches, datasets and loop, with the launcher and without."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkouts import checkout, same_files
from pictures import paint, value_of
from records import by_step, component

from loss_logging import read_report
from loss_logging.captions.decisions import DECISIONS_FILE, Decision, DecisionFile


@pytest.mark.real
@pytest.mark.parametrize(
    "options",
    [(), ("--weighting_scheme", "sigma_sqrt", "--max_data_loader_n_workers", "1", "--gradient_checkpointing")],
)
def test_it_trains_as_without_us_and_every_row_is_of_its_image(
    options: tuple[str, ...], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Weights to the bit, parity of the scalar, and the file of each row by the latents that were trained on."""
    trainer = checkout(pytestconfig, "musubi-tuner")
    paths = paint(tmp_path / "images", {"cats": 5, "dogs": 3})
    for path in paths[::3]:
        path.with_suffix(".txt").write_text("", encoding="utf-8")
    plain, logged = (
        trainer.run("musubi", tmp_path / mode, mode, tmp_path / "images", *options) for mode in ("plain", "logged")
    )
    assert logged == plain
    same_files(tmp_path / "plain" / "run", tmp_path / "logged" / "run")
    paired = 0
    steps = by_step(tmp_path / "logged" / "run")
    assert sorted(steps) == [*range(1, 7)]
    for step, batch in enumerate(logged["batches"], 1):
        rows = steps[step]
        weighted = sum(component(row, "weighted") for row in rows) / len(rows)
        assert weighted == pytest.approx(batch["loss"], rel=1e-5)
        assert [value_of(Path(row["path"])) for row in rows] == pytest.approx(batch["pixels"], abs=0.01)
        for row in rows:
            path = Path(row["path"])
            assert path in paths
            assert (row["dataset"], row["caption"]) == (path.parent.name, path.with_suffix(".txt").read_text())
            if row["loss_empty"] is not None:  # at the same noise and timestep: only the caption is another one
                paired += 1
                assert (row["loss_empty"] == row["loss"]) == (row["caption"] == "")
            assert options or row["loss"] == pytest.approx(component(row, "weighted"), rel=1e-5)
    reports = sorted((tmp_path / "logged" / "run" / "loss_logging").glob("*.json"))
    assert [read_report(path).job.step for path in reports] == [3, 6]
    assert not [line for line in read_report(reports[-1]).warnings if "not logged" in line or "no losses" in line]
    assert paired


@pytest.mark.real
def test_what_is_excluded_is_not_trained_on(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Although it is cached; the report says how many it was."""
    trainer = checkout(pytestconfig, "musubi-tuner")
    paths = paint(tmp_path / "images", {"cats": 5, "dogs": 3})
    DecisionFile(tmp_path / "images" / DECISIONS_FILE).append(Decision(path="cats/cats2.png", decision="exclude"))
    logged = trainer.run("musubi", tmp_path / "logged", "logged", tmp_path / "images")
    gone = value_of(tmp_path / "images/cats/cats2.png")
    pixels = {round(pixel, 3) for batch in logged["batches"] for pixel in batch["pixels"]}
    assert round(gone, 3) not in pixels
    assert len(pixels) == len(paths) - 1
    report = read_report(max((tmp_path / "logged" / "run" / "loss_logging").glob("*.json")))
    assert report.excluded == {"cats": 1}
