"""kohya's sd-scripts: its own LoRA trainer, datasets and loop, with the launcher and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checkouts import checkout, same_files
from pictures import paint, value_of
from records import by_step, component

from loss_logging import read_report
from loss_logging.captions.decisions import DECISIONS_FILE, Decision, DecisionFile


@pytest.mark.real
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--min_snr_gamma", "5", "--caption_dropout_rate", "0.4", "--max_data_loader_n_workers", "1"),
        ("--cache_latents", "--gradient_accumulation_steps", "2", "--loss_type", "huber"),
    ],
)
def test_it_trains_as_without_us_and_every_row_is_of_its_image(
    options: tuple[str, ...], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Weights to the bit, parity of the scalar, and the file of each row by the pixels that were trained on."""
    trainer = checkout(pytestconfig, "sd-scripts")
    paths = paint(tmp_path / "images", {"2_cats": 5, "1_dogs": 3})
    plain, logged = (
        trainer.run("sd_scripts", tmp_path / mode, mode, tmp_path / "images", *options) for mode in ("plain", "logged")
    )
    assert logged == plain
    same_files(tmp_path / "plain" / "run", tmp_path / "logged" / "run")
    paired = 0
    rows = iter([row for _, rows in sorted(by_step(tmp_path / "logged" / "run").items()) for row in rows])
    for batch in logged["batches"]:
        mine: list[dict[str, Any]] = [next(rows) for _ in batch["captions"]]
        weighted = sum(component(row, "weighted") for row in mine) / len(mine)
        assert weighted == pytest.approx(batch["loss"], rel=1e-5)
        assert [row["caption"] for row in mine] == batch["captions"]
        for row, pixels in zip(mine, batch["pixels"] or [None] * len(mine), strict=True):
            path = Path(row["path"])
            assert path in paths
            assert row["dataset"] == path.parent.name
            assert row["caption_dropped"] or row["caption"] == path.with_suffix(".txt").read_text()
            assert pixels is None or pixels == pytest.approx(value_of(path), abs=0.01)
            if row["loss_empty"] is not None:  # at the same noise and timestep: only the caption is another one
                paired += 1
                assert (row["loss_empty"] == row["loss"]) == (row["caption"] == "")
    assert next(rows, None) is None
    assert paired
    reports = sorted((tmp_path / "logged" / "run" / "loss_logging").glob("*.json"))
    assert [read_report(path).job.step for path in reports] == [3, 6]
    assert not [line for line in read_report(reports[-1]).warnings if "not logged" in line or "no losses" in line]


@pytest.mark.real
def test_what_is_excluded_is_not_trained_on(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """The training is bit for bit that of folders without it, also of regularisation images, whose repeats depend on
    how many there are."""
    trainer = checkout(pytestconfig, "sd-scripts")
    gone = ("2_cats/cats2.png", "1_dogs/dogs0.png")
    for name in ("all", "rest"):
        paint(tmp_path / name, {"2_cats": 5, "1_dogs": 4})
    for path in gone:
        (tmp_path / "rest" / path).unlink()
    DecisionFile(tmp_path / "all" / DECISIONS_FILE).append(*(Decision(path=one, decision="exclude") for one in gone))
    options = ("--cache_latents", "--cache_latents_to_disk", "--validation_split", "0.25")
    plain = trainer.run("sd_scripts", tmp_path / "plain", "plain", tmp_path / "rest", *options)
    logged = trainer.run("sd_scripts", tmp_path / "logged", "logged", tmp_path / "all", *options)
    assert logged == plain
    same_files(tmp_path / "plain" / "run", tmp_path / "logged" / "run")
    assert not list((tmp_path / "all").glob("*/cats2*.npz"))
    report = read_report(max((tmp_path / "logged" / "run" / "loss_logging").glob("*.json")))
    assert report.excluded == {"2_cats": 1, "1_dogs": 1}
