"""kohya's sd-scripts and musubi-tuner: stand-ins with their seams, which truly train in processes of their own."""

from __future__ import annotations

import json
import logging
import sys
import zlib
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from kohya_runs import (
    BATCH,
    CATS,
    DOGS,
    LAUNCHER,
    MUSUBI,
    OPTIONS,
    ROOT,
    SD_SCRIPTS,
    arguments,
    assert_same_training,
    both,
    launched,
    pictures,
    python,
)
from records import by_step, component

from loss_logging import read_report
from loss_logging.integrations.trainers import kohya

pytest.importorskip("accelerate")

pytestmark = pytest.mark.xdist_group("torch")  # and the runs are made once


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With captions."""
    return pictures(tmp_path_factory.mktemp("images"))


def masks(images: Path) -> tuple[object, ...]:
    """Options of one epoch with masks in a folder."""
    return ("--conditioning_data_dir", images, "--masked_loss", "--max_train_steps", 4)


@pytest.fixture(scope="module")
def runs(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sd-scripts started by the launcher, and without it; musubi-tuner with and without."""
    folder = tmp_path_factory.mktemp("runs")
    sd = ("--gradient_accumulation_steps", 2, "--max_data_loader_n_workers", 2, "--start_method", "fork", *OPTIONS)
    sd = (*sd, "--save_state")
    config = folder / "losses.toml"
    example = (ROOT / "examples" / "kohya" / "losses.toml").read_text(encoding="utf-8")
    ours = 'top_k = 3\nreporter = "inline"\npaired_fraction = 0.5'
    config.write_text(example.replace("top_k = 20", ours), encoding="utf-8")
    said = launched(folder, SD_SCRIPTS, *arguments(images, folder / "sd", *sd), "--loss_logging_config", config)
    assert not said
    one_epoch = ("--max_train_steps", 5, "--save_every_n_steps", 2, "--t5", "t5.pth")
    spawn = (*one_epoch, "--max_data_loader_n_workers", 1, "--start_method", "spawn")
    (folder / "blank").mkdir()
    blank = pictures(folder / "blank", empty=2)
    cached = ("--cache_text_encoder_outputs", "--cache_text_encoder_outputs_to_disk", "--max_train_steps", 8)
    planned = [
        (MUSUBI, arguments(images, folder / "musubi_without", *one_epoch), False),
        (MUSUBI, arguments(images, folder / "musubi", *spawn, "--loss_logging_config", config), True),
        (SD_SCRIPTS, arguments(images, folder / "sd_without", *sd), False),
        (SD_SCRIPTS, arguments(images, folder / "masks", *masks(images), "--loss_logging_config", config), True),
        (SD_SCRIPTS, arguments(blank, folder / "cached_without", *cached), False),
        (SD_SCRIPTS, arguments(blank, folder / "cached", *cached, "--loss_logging_config", config), True),
    ]
    assert not both(folder, planned)
    return folder


def assert_batches(folder: Path, micro_batches: int, rank: int = 0) -> list[dict[str, Any]]:
    """Each row is of the image whose latents were trained on, and their weighted mean is the scalar."""
    rows = [row for _, rows in sorted(by_step(folder).items()) for row in rows]
    batches = json.loads((folder / f"batches{rank}.json").read_text())
    assert len(rows) == len(batches) * BATCH == 12 * micro_batches * BATCH
    for i, batch in enumerate(batches):
        mine = rows[i * BATCH : (i + 1) * BATCH]
        assert [first_latent(row["path"]) for row in mine] == batch["latents"]
        weighted = sum(component(row, "weighted") for row in mine) / BATCH
        assert weighted == pytest.approx(batch["loss"], rel=1e-6)
        assert {row["step"] for row in mine} == {i // micro_batches + 1}
    return rows


def first_latent(path: str) -> float:
    """What the stand-ins make of a file's name."""
    generator = torch.Generator().manual_seed(zlib.crc32(Path(path).name.encode()))
    return float(torch.randn(4, 8, 8, generator=generator)[0, 0, 0])


def test_sd_scripts_trains_bit_for_bit_as_without(runs: Path) -> None:
    """The weights, the losses and the files of a training are those of one without the launcher."""
    assert_same_training(runs / "sd_without", runs / "sd")


def test_sd_scripts_batches_know_their_images(runs: Path) -> None:
    """From forked workers: file, folder, caption, dropped captions and regularisation images of every row."""
    rows = assert_batches(runs / "sd", micro_batches=2)
    for row in rows:
        folder = Path(row["path"]).parent.name
        assert row["dataset"] == folder
        assert row["is_reg"] == folder.endswith("reg")
        assert row["caption_dropped"] == (row["caption"] == "")
        assert row["caption_dropped"] or row["caption"] == Path(row["path"]).with_suffix(".txt").read_text()
    assert {row["caption_dropped"] for row in rows} == {True, False}


def test_sd_scripts_losses_are_before_the_weights_and_after_the_mask(runs: Path) -> None:
    """Weighted by hand, each loss gives the weighted one."""
    for row in [row for rows in by_step(runs / "sd").values() for row in rows]:
        share, prior = row["timestep"] / 1000, 0.5 if row["is_reg"] else 1.0
        expected = row["loss"] * (0.5 + share) * prior * (1 + share / 2)
        assert component(row, "weighted") == pytest.approx(expected, rel=1e-4)
        assert 0 < row["loss"] < 2


def assert_pairs(folder: Path) -> None:
    """On some steps each example has a loss with the empty caption: its own where its caption is the empty one."""
    steps = by_step(folder)
    paired = {step for step, rows in steps.items() if rows[0]["loss_empty"] is not None}
    assert 0 < len(paired) < len(steps)
    rows = [row for step in paired for row in steps[step]]
    assert {row["caption"] == "" for row in rows} == {True, False}
    for row in rows:
        assert (row["loss_empty"] == row["loss"]) == (row["caption"] == ""), row


def test_sd_scripts_pairs_have_the_same_noise_timestep_and_dropout(runs: Path) -> None:
    """With a text encoder: a dropped caption has the very same loss in both forwards, every other has another one."""
    assert_pairs(runs / "sd")


def test_sd_scripts_pairs_come_from_its_cache_of_texts(runs: Path) -> None:
    """Where the text encoder is gone; training is bit for bit as without, and nothing is written into the cache."""
    assert_same_training(runs / "cached_without", runs / "cached")
    assert_pairs(runs / "cached")
    warnings = read_report(max((runs / "cached" / "loss_logging").glob("*.json"))).warnings
    assert not [line for line in warnings if "not logged" in line or "no losses" in line]
    assert len(list((runs / "blank").glob("*/*.npz"))) == CATS + DOGS


def test_sd_scripts_reports_at_each_save(runs: Path) -> None:
    """At every fifth step and at the end, with the settings of the file."""
    reports = sorted((runs / "sd" / "loss_logging").glob("*.json"))
    assert [path.name for path in reports] == [f"lora_{step:09d}.json" for step in (5, 10, 12)]
    report = read_report(reports[-1])
    assert set(report.datasets) == {"10_cats", "5_dogs_reg"}
    assert len(report.datasets["10_cats"].summary.top_k) == 3


def test_sd_scripts_states_know_where_the_log_is(runs: Path) -> None:
    """Those of the steps and the last one, which is saved when the training has ended and the log is closed."""
    states = {"lora-00000005-state": 5, "lora-00000010-state": 10, "lora-state": 12}
    found = {path.parent.name: json.loads(path.read_text()) for path in (runs / "sd").glob("*/loss_logging.json")}
    assert found == {name: {"step": step} for name, step in states.items()}


def assert_own_datasets(folder: Path) -> None:
    """Each row is of its folder."""
    rows = [row for of_step in by_step(folder).values() for row in of_step]
    assert {row["dataset"] for row in rows} == {"10_cats", "5_dogs_reg"}
    assert all(row["dataset"] == Path(row["path"]).parent.name for row in rows)


def test_sd_scripts_with_masks_in_a_folder_knows_its_datasets(runs: Path) -> None:
    """Where the images are those of a dataset inside of the dataset."""
    assert_own_datasets(runs / "masks")


def test_musubi_trains_bit_for_bit_as_without_and_its_batches_know_their_images(runs: Path) -> None:
    """From a spawned worker, which has imported musubi-tuner anew; the other run had no workers."""
    assert_same_training(runs / "musubi_without", runs / "musubi")
    rows = by_step(runs / "musubi")
    assert sorted(rows) == [*range(1, 6)]
    batches = json.loads((runs / "musubi" / "batches0.json").read_text())
    for step, batch in enumerate(batches, 1):
        assert len(rows[step]) == len(batch["latents"])
        weighted = [component(row, "weighted") for row in rows[step]]
        assert sum(weighted) / len(weighted) == pytest.approx(batch["loss"], rel=1e-5)
        for row, latent in zip(rows[step], batch["latents"], strict=True):
            path = Path(row["path"])
            assert row["caption"] == path.with_suffix(".txt").read_text()
            assert row["dataset"] == path.parent.name
            generator = torch.Generator().manual_seed(zlib.crc32(path.stem.encode()))
            assert latent == float(torch.randn(4, 1, 8, 8, generator=generator)[0, 0, 0, 0])
            assert component(row, "weighted") == pytest.approx(row["loss"] * (1 + row["timestep"] / 1000), rel=1e-4)
    reports = sorted(path.name for path in (runs / "musubi" / "loss_logging").glob("*.json"))
    assert reports == [f"lora_{step:09d}.json" for step in (2, 4, 5)]
    paired = {step for step, of_step in rows.items() if of_step[0]["loss_empty"] is not None}
    assert 0 < len(paired) < len(rows)
    assert all(row["loss_empty"] != row["loss"] for step in paired for row in rows[step])


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that keeps its arguments, in a process that is left as it was."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("library.train_util", "library.custom_train_functions", "train_network"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    path = tmp_path / "train.py"
    path.write_text(
        "import sys\nfrom pathlib import Path\n"
        "if __name__ == '__main__':\n    Path(__file__).with_suffix('.ran').write_text(' '.join(sys.argv[1:]))\n"
    )
    return path


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("[loss_logging]\nlog_evry = 5\n", "$.loss_logging.log_evry"),
        ("[loss_loging]\ntop_k = 5\n", "did you mean loss_logging?"),
        ("[loss_logging\n", "is not TOML"),
        ("other = 1\n", "the section loss_logging is missing"),
        (None, "No such file"),
    ],
)
def test_a_bad_section_is_named_and_the_script_runs(
    section: str | None, message: str, script: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong is said before anything is loaded; the script gets its own arguments alone, and trains."""
    config = script.with_suffix(".toml")
    if section is not None:
        config.write_text(section)
    kohya.main([str(script), "--lr", "1e-4", f"--loss_logging_config={config}", "--seed", "1"])
    assert script.with_suffix(".ran").read_text() == "--lr 1e-4 --seed 1"
    assert message in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train.py", "--loss_logging_confg", "x"], "--loss_logging_confg is no option of loss_logging"),
        (["train.py", "--loss_logging_config"], "needs a file"),
        (["--loss_logging_config", "x.toml"], "there is no script"),
        (["nothing.py"], "nothing.py is no file"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments: list[str], message: str) -> None:
    """With how it is meant."""
    with pytest.raises(SystemExit, match=f"(?s)usage: .*{message}"):
        kohya.main(arguments)


def test_a_script_that_is_none_of_these_is_named_and_runs(script: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the modules that were looked for."""
    kohya.main([str(script)])
    assert script.with_suffix(".ran").exists()
    assert "imports neither library.train_util nor musubi_tuner.dataset" in caplog.text


def test_an_unknown_version_is_named_and_runs(
    script: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With each seam that it lacks."""
    for name in ("library.train_util", "library.custom_train_functions"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["library.train_util"], "BaseDataset", object, raising=False)
    text = script.read_text()
    script.write_text("class NetworkTrainer:\n    def train(self, args): pass\n" + text)
    kohya.main([str(script)])
    assert script.with_suffix(".ran").exists()
    assert "it has no NetworkTrainer.process_batch, NetworkTrainer.post_process_loss" in caplog.text
    assert "library.train_util.collator_class" in caplog.text
    assert "library.train_util.BaseDataset" not in caplog.text


def test_a_seam_that_is_never_called_is_said_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After 20 steps, once; nothing is written."""
    from accelerate import Accelerator

    for name in ("save_state", "load_state", "end_training"):
        monkeypatch.setattr(Accelerator, name, getattr(Accelerator, name))

    class Trainer:
        def train(self, args: Any) -> str:
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
            for _ in range(25):
                optimizer.step()
            return "trained"

    kohya._wrap_train(Trainer, {"loss_logging": True}, lambda trainer, run: None, lambda exclusions: nullcontext())
    with caplog.at_level(logging.WARNING):
        assert Trainer().train(SimpleNamespace(output_dir=str(tmp_path), output_name="a")) == "trained"
    assert len([record for record in caplog.records if "no batch came by" in record.message]) == 1
    assert not list(tmp_path.iterdir())


# --- longer -------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_resume_goes_on_where_the_state_was_saved(images: Path, tmp_path: Path) -> None:
    """The trainer counts from 0 again; the log goes on, and what came after the state is gone."""
    out = tmp_path / "out"
    given = arguments(images, out, "--save_state", "--save_every_n_steps", 4)
    python(*LAUNCHER, SD_SCRIPTS, *given, "--max_train_steps", 10)
    assert sorted(by_step(out)) == [*range(1, 11)]
    state = out / "lora-00000008-state"
    said = python(*LAUNCHER, SD_SCRIPTS, *given, "--max_train_steps", 5, "--resume", state)
    assert "loss_logging" not in said
    rows = by_step(out)
    assert sorted(rows) == [*range(1, 14)]
    assert {len(of_step) for of_step in rows.values()} == {BATCH}
    report = read_report(out / "loss_logging" / "lora_000000013.json")
    assert (report.job.resumed_from, report.global_.count) == (8, 13 * BATCH)


@pytest.mark.long
def test_two_ranks_are_one_run(images: Path, tmp_path: Path) -> None:
    """Each logs the batches that it has trained on, and rank 0 reports on both."""
    out = tmp_path / "out"
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", 2)
    spawn = ("--max_data_loader_n_workers", 1, "--start_method", "spawn")
    python(*launch, *LAUNCHER, SD_SCRIPTS, *arguments(images, out, *spawn, "--log_with", "tensorboard"))
    rows = by_step(out)
    batches = [batch for rank in (0, 1) for batch in json.loads((out / f"batches{rank}.json").read_text())]
    latents = [latent for batch in batches for latent in batch["latents"]]
    assert sorted(first_latent(row["path"]) for of_step in rows.values() for row in of_step) == sorted(latents)
    report = read_report(out / "loss_logging" / "lora_000000012.json")
    assert (report.job.world_size, report.global_.count) == (2, 2 * 12 * BATCH)
    assert list((out / "network_train").rglob("events.out.tfevents.*"))


@pytest.mark.long
def test_sd_scripts_with_masks_in_a_folder_knows_its_datasets_from_spawned_workers(
    images: Path, tmp_path: Path
) -> None:
    """The same where a worker imports sd-scripts anew."""
    workers = ("--max_data_loader_n_workers", 1, "--start_method", "spawn")
    both(tmp_path, [(SD_SCRIPTS, arguments(images, tmp_path, *masks(images), *workers), True)])
    assert_own_datasets(tmp_path)
