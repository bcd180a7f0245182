"""kohya's sd-scripts: its own LoRA trainer, datasets and loop, with the launcher and without."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from checkouts import checkout, same_files
from pictures import paint, value_of
from PIL import Image
from records import by_step, component

from loss_logging import read_report
from loss_logging.captions.decisions import DECISIONS_FILE, Decision, DecisionFile

MODES = ("plain", "logged")
CACHED = ("--cache_latents", "--cache_text_encoder_outputs", "--network_train_unet_only")
DATASETS = """
[general]
caption_extension = ".txt"
resolution = 128
enable_bucket = true
min_bucket_reso = 64
bucket_reso_steps = 64
"""


def masked(images: Path, masks: Path) -> Path:
    """A configuration with a dataset for each folder, of other sizes of batches, and masks of half of each picture."""
    text = DATASETS
    for size, folder in enumerate(sorted(images.iterdir()), 2):
        (masks / folder.name).mkdir(parents=True)
        for path in folder.glob("*.png"):
            with Image.open(path) as picture:
                mask = Image.new("L", picture.size, 255)
            mask.paste(0, (0, 0, mask.width // 2, mask.height))
            mask.save(masks / folder.name / path.name)
        text += f'[[datasets]]\nbatch_size = {size}\n[[datasets.subsets]]\nimage_dir = "{folder}"\n'
        text += f'conditioning_data_dir = "{masks / folder.name}"\nnum_repeats = 1\n'
    config = masks / "dataset.toml"
    config.write_text(text, encoding="utf-8")
    return config


@pytest.mark.real
@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("sd", ()),
        ("sd", ("--min_snr_gamma", "5", "--caption_dropout_rate", "0.4", "--max_data_loader_n_workers", "1")),
        ("sd", ("--cache_latents", "--gradient_accumulation_steps", "2", "--loss_type", "huber")),
        ("sd", ("--max_data_loader_n_workers", "2", "--persistent_data_loader_workers", "--spawn")),
        ("sd", ("--masked_loss",)),
        ("sd3", ("--weighting_scheme", "logit_normal")),
        ("sd3", (*CACHED, "--weighting_scheme", "sigma_sqrt")),
        ("flux", ("--timestep_sampling", "shift", "--gradient_checkpointing")),
        ("flux", (*CACHED, "--cache_text_encoder_outputs_to_disk", "--apply_t5_attn_mask")),
    ],
)
def test_it_trains_as_without_us_and_every_row_is_of_its_image(
    family: str, options: tuple[str, ...], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Weights to the bit, parity of the scalar, and the file of each row by the pixels that were trained on."""
    trainer = checkout(pytestconfig, "sd-scripts")
    paths = paint(tmp_path / "images", {"2_cats": 5, "1_dogs": 3})
    for path in paths[::3]:
        path.with_suffix(".txt").write_text("\n", encoding="utf-8")  # a caption; it stops at a file of no bytes
    with_masks = "--masked_loss" in options
    given = masked(tmp_path / "images", tmp_path / "masks") if with_masks else tmp_path / "images"
    plain, logged = (trainer.run("sd_scripts", tmp_path / mode, mode, given, family, *options) for mode in MODES)
    assert logged == plain
    same_files(tmp_path / "plain" / "run", tmp_path / "logged" / "run")
    paired = 0
    rows = iter([row for _, rows in sorted(by_step(tmp_path / "logged" / "run").items()) for row in rows])
    for batch in logged["batches"]:
        mine: list[dict[str, Any]] = [next(rows) for _ in batch["captions"]]
        weighted = sum(component(row, "weighted") for row in mine) / len(mine)
        assert weighted == pytest.approx(batch["loss"], rel=1e-6)
        assert [row["caption"] for row in mine] == batch["captions"]
        for row, pixels in zip(mine, batch["pixels"] or [None] * len(mine), strict=True):
            path = Path(row["path"])
            assert path in paths
            assert row["dataset"] == path.parent.name
            assert row["caption_dropped"] or row["caption"] == path.with_suffix(".txt").read_text().strip()
            assert pixels is None or pixels == pytest.approx(value_of(path), abs=0.01)
            if row["loss_empty"] is not None:  # at the same noise and timestep: only the caption is another one
                paired += 1
                is_same = math.isclose(row["loss_empty"], row["loss"], rel_tol=1e-6)  # encoded in another batch
                assert is_same == (row["caption"] == "")
    assert next(rows, None) is None
    assert paired
    assert len({str(batch["shape"]) for batch in logged["batches"]}) == (1 if "--cache_latents" in options else 2)
    assert all((batch["masks"] is not None) == with_masks for batch in logged["batches"])
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
    plain = trainer.run("sd_scripts", tmp_path / "plain", "plain", tmp_path / "rest", "sd", *options)
    logged = trainer.run("sd_scripts", tmp_path / "logged", "logged", tmp_path / "all", "sd", *options)
    assert logged == plain
    same_files(tmp_path / "plain" / "run", tmp_path / "logged" / "run")
    assert not list((tmp_path / "all").glob("*/cats2*.npz"))
    report = read_report(max((tmp_path / "logged" / "run" / "loss_logging").glob("*.json")))
    assert report.excluded == {"2_cats": 1, "1_dogs": 1}
