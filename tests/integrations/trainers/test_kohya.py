"""kohya's sd-scripts and musubi-tuner: stand-ins with their seams, which truly train in processes of their own."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import zlib
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from records import by_step, component

from loss_logging import Exclusions, TrainConfig, read_report
from loss_logging.captions.decisions import DECISIONS_FILE, Decision, DecisionFile
from loss_logging.errors import ConfigError
from loss_logging.integrations.trainers import kohya

pytest.importorskip("accelerate")

from loss_logging.integrations.trainers.kohya_exclusions import sd_scripts_without

pytestmark = pytest.mark.xdist_group("kohya")  # whose runs are made once

ROOT = Path(__file__).parents[3]
STANDIN = Path(__file__).parent / "kohya_standin"
SD_SCRIPTS = str(STANDIN / "sd_scripts" / "train_network.py")
MUSUBI = str(STANDIN / "musubi" / "tiny_train_network.py")
LAUNCHER = ("-m", "loss_logging.integrations.trainers.kohya")
# Buckets of 6 and batches of 3: every batch is full, so the rows of a step can be divided into its batches.
CATS, DOGS, BATCH = 7, 5, 3
OPTIONS = ("--prior_loss_weight", "0.5", "--caption_dropout_rate", "0.3", "--alpha_mask", "--masked_loss")


def pictures(folder: Path, empty: int = 0) -> Path:
    """Two folders in the form that sd-scripts reads; the first few captions of each are empty."""
    for name, count in (("10_cats", CATS), ("5_dogs_reg", DOGS)):
        (folder / name).mkdir()
        for i in range(count):
            (folder / name / f"{name[-4:]}{i}.png").touch()
            (folder / name / f"{name[-4:]}{i}_0064x0064_tiny.safetensors").touch()
            caption = "" if i < empty else f"number {i} of {name}"
            (folder / name / f"{name[-4:]}{i}.txt").write_text(caption, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With captions."""
    return pictures(tmp_path_factory.mktemp("images"))


def python(*arguments: object) -> str:
    """Run Python as a user does; what it said on the error stream."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stderr


def arguments(images: Path, out: Path, *options: object) -> list[str]:
    """Of a script."""
    out.mkdir(exist_ok=True)
    return [*map(str, ("--train_data_dir", images, "--output_dir", out, "--output_name", "lora", *options))]


BOTH = """
import runpy, sys
from pathlib import Path
from loss_logging.integrations.trainers import kohya, kohya_items
for script, arguments, logged in eval(sys.argv[1]):
    if logged:
        kohya.main([script, *arguments])
    else:
        sys.argv = [script, *arguments]
        sys.path.insert(0, str(Path(script).parent))
        runpy.run_path(script, run_name="__main__")
"""


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
    said = python(*LAUNCHER, SD_SCRIPTS, *arguments(images, folder / "sd", *sd), "--loss_logging_config", config)
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
        (SD_SCRIPTS, arguments(blank, folder / "cached_without", *cached), False),
        (SD_SCRIPTS, arguments(blank, folder / "cached", *cached, "--loss_logging_config", config), True),
    ]
    assert not python("-c", BOTH, repr(planned))
    return folder


def assert_same_training(without: Path, with_us: Path) -> None:
    """Bit for bit, and in the same files."""
    left, right = ({path.name for path in folder.iterdir()} for folder in (without, with_us))
    assert right == left | {"loss_logging"}
    for path in without.glob("*.pt"):
        ours = torch.load(with_us / path.name)
        assert all(torch.equal(tensor, ours[name]) for name, tensor in torch.load(path).items()), path.name
    assert (without / "batches0.json").read_text() == (with_us / "batches0.json").read_text()


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


def test_sd_scripts_with_masks_in_a_folder_knows_its_datasets(images: Path, tmp_path: Path) -> None:
    """Where the images are those of a dataset inside of the dataset, each row is of its folder, also from workers."""
    masks = ("--conditioning_data_dir", images, "--masked_loss", "--max_train_steps", 4)  # one epoch
    ways = [("fork", 0), ("spawn", 1)]
    options = {way: (*masks, "--max_data_loader_n_workers", n, "--start_method", way) for way, n in ways}
    planned = [(SD_SCRIPTS, arguments(images, tmp_path / way, *given), True) for way, given in options.items()]
    python("-c", BOTH, repr(planned))
    for way in options:
        rows = [row for of_step in by_step(tmp_path / way).values() for row in of_step]
        assert rows
        assert {row["dataset"] for row in rows} == {"10_cats", "5_dogs_reg"}
        assert all(row["dataset"] == Path(row["path"]).parent.name for row in rows)


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


# --- what a person has excluded -----------------------------------------------------------------------------------

GONE = ("10_cats/cats2.png", "5_dogs_reg/_reg4.png")


def copied(images: Path, folder: Path, *without: str) -> Path:
    """Links to the images and their captions, where they are decided about or without some."""
    for path in sorted(images.glob("*/*")):
        if not any(path.name.startswith(Path(name).stem) for name in without):
            (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
            (folder / path.parent.name / path.name).hardlink_to(path)
    return folder


@pytest.fixture(scope="module")
def left_out(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both trainers on a folder in which two images are excluded, and on one without them, which nobody logs."""
    folder = tmp_path_factory.mktemp("left_out")
    decided, without = copied(images, folder / "decided"), copied(images, folder / "without", *GONE)
    DecisionFile(decided / DECISIONS_FILE).append(*(Decision(path=name, decision="exclude") for name in GONE))
    metadata = {path.relative_to(decided).as_posix(): {"caption": path.stem} for path in decided.glob("*/*.png")}
    (folder / "all.json").write_text(json.dumps(dict(sorted(metadata.items()))))
    (folder / "rest.json").write_text(json.dumps({k: v for k, v in sorted(metadata.items()) if k not in GONE}))
    steps = ("--max_train_steps", 5)
    planned = [
        (script, arguments(where, folder / f"{name}_{logged}", *steps, *more), logged)
        for where, listed, logged in ((decided, "all.json", True), (without, "rest.json", False))
        for name, script, more in (
            ("musubi", MUSUBI, ()),
            ("sd", SD_SCRIPTS, OPTIONS),
            ("json", SD_SCRIPTS, ("--in_json", folder / listed)),
        )
    ]
    planned.sort(key=lambda one: one[0] != MUSUBI)  # it is known by what has been imported
    (folder / "said.txt").write_text(python("-c", BOTH, repr(planned)))
    return folder


@pytest.mark.parametrize("name", ["sd", "json", "musubi"])
def test_what_is_excluded_is_not_trained_on(left_out: Path, name: str) -> None:
    """The training is bit for bit that of a folder, or a list, without it; log and report say how many it was."""
    assert_same_training(left_out / f"{name}_False", left_out / f"{name}_True")
    rows = [row for rows in by_step(left_out / f"{name}_True").values() for row in rows]
    assert rows
    assert not {Path(row["path"]).name for row in rows} & {Path(path).name for path in GONE}
    report = read_report(sorted((left_out / f"{name}_True" / "loss_logging").glob("*.json"))[-1])
    assert report.excluded == ({"decided": 2} if name == "json" else {"10_cats": 1, "5_dogs_reg": 1})
    assert set(report.excluded) <= set(report.datasets)


def seams(folder: Path, *names: str) -> SimpleNamespace:
    """A module that lists folders, and whose datasets are lists."""
    (folder / "images").mkdir()
    for name in names:
        (folder / "images" / name).touch()

    class Dataset(list[str]):
        def __init__(self, subsets: Any) -> None:
            super().__init__(path for one in subsets for path in module.glob_images(one.image_dir, "*"))

    class WithControls(Dataset):
        def __init__(self, subsets: Any) -> None:
            super().__init__(subsets)
            self.controls = [Path(path).stem for path in module.glob_images(subsets[0].conditioning_data_dir, "*")]

    module = SimpleNamespace(
        glob_images=lambda folder, base: sorted(map(str, Path(folder).glob(f"{base}.png"))),
        DreamBoothDataset=Dataset, ControlNetDataset=WithControls, BaseDataset=Dataset,
        DatasetGroup=type("DatasetGroup", (), {"__init__": lambda self, datasets: None}),
    )  # fmt: skip
    return module


def test_control_images_leave_with_their_image(tmp_path: Path) -> None:
    """sd-scripts refuses control images of no image; one of another folder that is called alike stays."""
    module = seams(tmp_path, "1.png", "2.png")
    copied(tmp_path, tmp_path / "controls")
    (tmp_path / "exclude.txt").write_text(str(tmp_path / "images/2.png"), encoding="utf-8")
    found = Exclusions(TrainConfig(job_name="a", save_root=tmp_path, exclude=tmp_path / "exclude.txt"))
    images, controls = tmp_path / "images", tmp_path / "controls/images"
    with sd_scripts_without(module, found):
        dataset = module.ControlNetDataset([SimpleNamespace(image_dir=images, conditioning_data_dir=controls)])
        assert (dataset, dataset.controls) == ([str(images / "1.png")], ["1"])
        other = module.DreamBoothDataset([SimpleNamespace(image_dir=tmp_path / "elsewhere")])
        assert other == []
    assert len(module.DreamBoothDataset([SimpleNamespace(image_dir=images)])) == 2


def test_a_cached_list_of_images_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where cache_info would bring back what is excluded, or keep it away for good, it is off; elsewhere it is on."""
    module = seams(tmp_path, "1.png", "2.png")
    (tmp_path / "exclude.txt").write_text(str(tmp_path / "images/2.png"), encoding="utf-8")
    found = Exclusions(TrainConfig(job_name="a", save_root=tmp_path, exclude=tmp_path / "exclude.txt"))
    subsets = [SimpleNamespace(image_dir=tmp_path / name, cache_info=True) for name in ("images", "others")]
    with sd_scripts_without(module, found):
        module.DreamBoothDataset(subsets)
    assert [subset.cache_info for subset in subsets] == [False, True]
    assert "cache_info of" in caplog.text


def test_what_is_left_out_is_said_once_by_each_training(left_out: Path) -> None:
    """With the numbers of both folders; a training without exclusions says nothing."""
    said = (left_out / "said.txt").read_text().splitlines()
    assert sorted(line for line in said if "left out of the training" in line) == [
        *["left out of the training, as was decided: 2 items (10_cats 1, 5_dogs_reg 1)"] * 2,
        "left out of the training, as was decided: 2 items (decided 2)",
    ]


def test_a_folder_of_which_nothing_stays_is_an_error(tmp_path: Path) -> None:
    """Before sd-scripts makes its buckets, with the folder's name."""
    module = seams(tmp_path, "1.png")
    (tmp_path / "exclude.txt").write_text(str(tmp_path / "images/1.png"), encoding="utf-8")
    found = Exclusions(TrainConfig(job_name="a", save_root=tmp_path, exclude=tmp_path / "exclude.txt"))
    with sd_scripts_without(module, found), pytest.raises(ConfigError, match=r"all 1 item of the dataset '.*images'"):
        module.DreamBoothDataset([SimpleNamespace(image_dir=tmp_path / "images")])


def test_a_list_that_is_not_there_is_an_error_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer does not begin: it would train on what it must not."""
    from accelerate import Accelerator

    for name in ("save_state", "load_state", "end_training"):
        monkeypatch.setattr(Accelerator, name, getattr(Accelerator, name))

    class Trainer:
        def train(self, args: Any) -> None:
            raise AssertionError("it has begun")

    section = {"loss_logging": {"exclude": str(tmp_path / "gone.txt")}}
    kohya._wrap_train(Trainer, section, lambda trainer, run: None, lambda exclusions: nullcontext())
    with pytest.raises(ConfigError, match=r"exclude: .*gone\.txt: no such file"):
        Trainer().train(SimpleNamespace(output_dir=str(tmp_path), output_name="a"))


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


class Base:
    """A trainer that calls its methods with what is in their places."""

    architecture = architecture_full_name = "wan"

    def process_batch(self, batch: Any, network: Any, accelerator: Any, global_step: int) -> Any:
        output = SimpleNamespace(pred=torch.tensor([[1.0], [3.0]]), target=torch.zeros(2, 1))
        return self.compute_loss(None, output, torch.ones(2))

    def compute_loss(self, args: Any, output: Any, timesteps: Any) -> Any:
        return (output.pred - output.target).square().mean(), {}

    def train(self, names: Any, step: int) -> Any:
        network = SimpleNamespace(save_weights=lambda: None)
        accelerator = SimpleNamespace(unwrap_model=lambda model: model, trackers=[], is_main_process=True)
        return self.process_batch({"loss_logging": names}, network, accelerator, step)


def test_a_subclass_that_takes_whatever_it_is_given_is_logged(tmp_path: Path) -> None:
    """The base's own signature says what is in which place, where a subclass has ``*args``."""
    from loss_logging.integrations.trainers.kohya_run import Run
    from loss_logging.integrations.trainers.kohya_seams import see_musubi

    class Mine(Base):
        def process_batch(self, *args: Any, **kwargs: Any) -> Any:
            return super().process_batch(*args, **kwargs)

        def compute_loss(self, *whatever: Any) -> Any:
            return super().compute_loss(*whatever)

    args = SimpleNamespace(output_dir=str(tmp_path), output_name="a")
    trainer = Mine()
    run = Run({"loss_logging": {"loggers": [], "reporter": "inline"}}, args, trainer)
    see_musubi(trainer, run)
    names = {"paths": ["a", "b"], "datasets": ["d"] * 2, "captions": ["", ""]}
    for step in range(3):
        trainer.train(names, step)
    run.close()
    assert [[row["loss"] for row in rows] for rows in by_step(tmp_path).values()] == [[1.0, 9.0]] * 3


def test_what_could_not_be_logged_is_counted_in_the_report(tmp_path: Path) -> None:
    """A batch without names and one whose losses are not known, with the reason of each."""
    from loss_logging.integrations.trainers.kohya_run import Run
    from loss_logging.integrations.trainers.kohya_seams import see_musubi

    class Strange(Base):
        def process_batch(self, batch: Any, network: Any, accelerator: Any, global_step: int) -> Any:
            if global_step < 2:
                return super().process_batch(batch, network, accelerator, global_step)
            return torch.ones(()), {}

    trainer = Strange()
    run = Run(
        {"loss_logging": {"loggers": [], "reporter": "inline"}},
        SimpleNamespace(output_dir=str(tmp_path), output_name="a"),
        trainer,
    )
    see_musubi(trainer, run)
    names = {"paths": ["a", "b"], "datasets": ["d"] * 2, "captions": ["", ""]}
    for step, found in enumerate([names, {"error": ["no folder"]}, names, names]):
        trainer.train(found, step)
    run.close()
    (path,) = (tmp_path / "loss_logging").glob("*.json")
    warnings = read_report(path).warnings
    assert any("1 batch was not logged" in line and "which images it is of: no folder" in line for line in warnings)
    assert any("2 batches were not logged: process_batch did not call compute_loss" in line for line in warnings)


class SdxlNetworkTrainer:
    """Named as in sdxl_train_network.py."""


class FluxNetworkTrainer:
    """Named as in flux_train_network.py."""


@pytest.mark.parametrize(
    ("kind", "args", "model", "tokens"),
    [
        (SdxlNetworkTrainer, {"max_token_length": None}, "sdxl", 75),
        (SdxlNetworkTrainer, {"max_token_length": 225}, "sdxl", 225),
        (FluxNetworkTrainer, {"max_token_length": 225, "t5xxl_max_token_length": None}, "flux", 511),
        (FluxNetworkTrainer, {"t5xxl_max_token_length": 128}, "flux", 127),
        (FluxNetworkTrainer, {"t5xxl_max_token_length": None, "model_type": "chroma"}, "chroma", 511),
        (Base, {}, "wan", 511),
    ],
)
def test_nobody_has_to_name_the_model(
    kind: type, args: dict[str, Any], model: str, tokens: int, tmp_path: Path
) -> None:
    """The trainer's class and arguments say it, and the token limit; what the section says goes before."""
    from loss_logging.captions.encoder import TextEncoder
    from loss_logging.integrations.trainers.kohya_run import Run

    network = SimpleNamespace(save_weights=print)
    for section, name in (({}, model), ({"captions": {"model": "sd3", "max_words": 9}}, "sd3")):
        losses = Run(
            {"loss_logging": {"loggers": [], "reporter": "inline", **section}},
            SimpleNamespace(output_dir=str(tmp_path), output_name="a", initial_step=None, **args),
            kind(),
        )._begin(0, SimpleNamespace(is_main_process=False, unwrap_model=lambda network: network), network)
        captions = losses.config.captions
        assert (captions.model, captions.max_words) == (name, 9 if section else 380)
        assert section or TextEncoder.of(captions).limit == tokens
        losses.close()


class Encoding(Base):
    """One that loads a text encoder for sample prompts, and then its transformer."""

    architecture = "wan"
    loaded = 0

    def process_batch(self, batch: Any, network: Any, accelerator: Any, global_step: int) -> Any:
        output = self.call_dit(accelerator, None, batch)
        return self.compute_loss(None, output, torch.ones(2))

    def call_dit(self, accelerator: Any, transformer: Any, batch: Any) -> Any:
        pred = torch.stack([row.sum().float() for row in batch["t5"]])
        return SimpleNamespace(pred=pred[:, None], target=torch.zeros(2, 1))

    def process_sample_prompts(self, args: Any, accelerator: Any, sample_prompts: str) -> Any:
        self.loaded += 1
        if args.t5 == "broken":
            raise OSError("broken is no text encoder")
        prompts = json.loads(Path(sample_prompts).read_text())
        return [{**prompt, "t5_embeds": torch.ones(len(prompt["prompt"]) + 1, 4)} for prompt in prompts]

    def load_transformer(self, accelerator: Any, args: Any) -> str:
        return "transformer"

    def train(self, names: Any, step: int) -> Any:
        network = SimpleNamespace(save_weights=lambda: None)
        accelerator = SimpleNamespace(unwrap_model=lambda model: model, trackers=[], is_main_process=True)
        batch = {"loss_logging": names, "t5": [torch.ones(3, 4), torch.ones(1, 4)]}
        return self.process_batch(batch, network, accelerator, step)


@pytest.mark.parametrize(
    ("t5", "samples", "architecture", "said"),
    [
        ("t5.pth", True, "wan", ""),
        ("t5.pth", False, "wan", ""),
        (None, False, "wan", "no text encoder is named; name it (--t5 or"),
        ("broken", False, "wan", "the text encoder did not encode it (OSError: broken is no text encoder)"),
        ("t5.pth", False, "qie", "what a caption's encoding consists of is not known for qie"),
    ],
)
def test_musubi_encodes_the_empty_caption_once_or_says_why_not(
    t5: str | None,
    samples: bool,
    architecture: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With its own sample prompts or by itself; a refusal is one sentence, and reports count what it cost."""
    from loss_logging.integrations.trainers.kohya_run import Run
    from loss_logging.integrations.trainers.kohya_seams import see_musubi

    monkeypatch.syspath_prepend(STANDIN / "musubi")
    trainer = Encoding()
    run = Run(
        {"loss_logging": {"loggers": [], "reporter": "inline", "paired_fraction": 1}},
        SimpleNamespace(output_dir=str(tmp_path), output_name="a"),
        trainer,
    )
    trainer.architecture = architecture
    see_musubi(trainer, run)
    args = SimpleNamespace(t5=t5)
    if samples:
        prompts = tmp_path / "prompts.json"
        prompts.write_text(json.dumps([{"prompt": "a cat"}]))
        (sample,) = trainer.process_sample_prompts(args, None, str(prompts))
        assert sample["prompt"] == "a cat"
    assert trainer.load_transformer(None, args) == "transformer"
    assert trainer.loaded == (t5 is not None)
    for step in range(3):
        trainer.train({"paths": ["a", "b"], "datasets": ["d"] * 2, "captions": ["hi", ""]}, step)
    run.close()
    empties = [[row["loss_empty"] for row in rows] for rows in by_step(tmp_path).values()]
    assert empties == [[None, None] if said else [16.0, 16.0]] * 3
    assert [[row["loss"] for row in rows] for rows in by_step(tmp_path).values()] == [[144.0, 16.0]] * 3
    warned = [record.message for record in caplog.records if "no losses with the empty caption" in record.message]
    assert len(warned) == bool(said)
    (path,) = (tmp_path / "loss_logging").glob("*.json")
    noted = [line for line in read_report(path).warnings if "3 batches have no losses with the empty caption" in line]
    assert len(noted) == bool(said)
    assert all(said in line for line in [*warned, *noted])


@pytest.mark.parametrize("is_cached", [False, True])
def test_sd_scripts_is_asked_for_rivals_where_it_can_encode_them(is_cached: bool, tmp_path: Path) -> None:
    """Half of the paired steps compare with other captions of the set; with cached texts, with the empty one."""
    from loss_logging.evidence.rivals import Rivals
    from loss_logging.integrations.trainers.kohya_run import Run
    from loss_logging.integrations.trainers.kohya_seams import see_sd_scripts

    file = tmp_path / "rivals.parquet"
    Rivals({("d", "a"): ("xxxx",)}).save(str(file))
    section = {"loggers": [], "reporter": "inline", "paired_fraction": 1, "rivals": str(file)}

    class Trainer:
        def process_batch(
            self, batch: Any, network: Any, accelerator: Any, args: Any, tokenize_strategy: Any, is_train: bool = True
        ) -> Any:
            loss = util.conditional_loss(torch.tensor([[float(len(one))] for one in batch["captions"]]), torch.zeros(2))
            return self.post_process_loss(loss.mean(1), None, torch.ones(2)).mean()

        def post_process_loss(self, loss: Any, args: Any, timesteps: Any) -> Any:
            return loss

    util: Any = SimpleNamespace(conditional_loss=lambda pred, target: pred.square(), DatasetGroup=object)
    trainer = Trainer()
    run = Run({"loss_logging": section}, SimpleNamespace(output_dir=str(tmp_path), output_name="a"), trainer)
    step = 0
    see_sd_scripts(trainer, run, util, lambda loss, batch: loss, lambda: step)
    network = SimpleNamespace(save_weights=lambda: None)
    accelerator = SimpleNamespace(
        unwrap_model=lambda model: model, trackers=[], is_main_process=True, device=torch.device("cpu")
    )
    names = {"paths": ["a", "b"], "datasets": ["d"] * 2, "captions": ["one", "three"]}
    cached = [torch.zeros(2, 1)] if is_cached else None
    batch = {"loss_logging": names, "captions": names["captions"], "text_encoder_outputs_list": cached}
    args = SimpleNamespace(masked_loss=False)
    for step in range(8):  # noqa: B007, it is read
        trainer.process_batch(batch, network, accelerator, args, None)
    run.close()
    rows = [rows for _, rows in sorted(by_step(tmp_path).items())]
    assert [row["loss"] for of_step in rows for row in of_step] == [9, 25] * 8
    rivals = {(row["loss_rival"], row["rival"]) for of_step in rows for row in of_step if row["path"] == "a"}
    assert rivals == ({(None, None)} if is_cached else {(None, None), (16.0, "xxxx")})


def test_an_encoding_of_another_shape_is_refused() -> None:
    """It is named with both shapes; one with a batch's dimension and padding is cut to what the cache has."""
    from loss_logging.errors import LossLoggingError
    from loss_logging.integrations.trainers.kohya_captions import _like

    own = torch.zeros(5, 4, dtype=torch.float16)
    row = _like("llm_embed", torch.ones(1, 6, 4), torch.tensor([1, 1, 0, 0, 0, 0]), own, is_list=True)
    assert (row.shape, row.dtype) == ((2, 4), torch.float16)
    with pytest.raises(LossLoggingError, match=r"llm_embed of a sample prompt has shape \(6, 3\).*cache \(5, 4\)"):
        _like("llm_embed", torch.ones(6, 3), None, own, is_list=True)


@pytest.mark.parametrize("second", [torch.ones(2), torch.ones(3)])
def test_two_forwards_that_drew_other_noise_are_not_compared(second: torch.Tensor) -> None:
    """Whatever a trainer draws from a generator of its own."""
    from loss_logging.errors import LossLoggingError
    from loss_logging.integrations.trainers.paired import require_same

    require_same("noise", torch.ones(2), torch.ones(2))
    with pytest.raises(LossLoggingError, match="different noise"):
        require_same("noise", torch.zeros(2), second)


def test_what_is_not_as_expected_at_a_seam_does_not_stop_the_training(caplog: pytest.LogCaptureFixture) -> None:
    """A prediction and a target of different shapes, a batch without names: the loss comes back, and why is said."""
    from loss_logging.integrations.trainers.kohya_run import Run
    from loss_logging.integrations.trainers.kohya_seams import see_musubi

    class Trainer:
        def process_batch(self, batch: Any, network: Any, accelerator: Any, global_step: int) -> Any:
            output = SimpleNamespace(
                pred=torch.ones(2, 3), target=torch.zeros(2, 3, 1) if global_step else torch.ones(2, 3)
            )
            return self.compute_loss(None, output, torch.ones(2))

        def compute_loss(self, args: Any, output: Any, timesteps: Any) -> Any:
            return output.pred.mean(), {}

    for step, reason in ((0, "which images it is of"), (1, "shape (2, 3), and the target (2, 3, 1)")):
        trainer = Trainer()
        see_musubi(trainer, Run({"loss_logging": True}, None, trainer))
        with caplog.at_level(logging.DEBUG, "loss_logging"):
            loss, _ = trainer.process_batch({}, None, None, step)
        assert float(loss) == 1
        assert reason in caplog.text


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
