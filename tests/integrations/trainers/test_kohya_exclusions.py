"""What a person has excluded is not trained on by kohya's trainers."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kohya_runs import MUSUBI, OPTIONS, SD_SCRIPTS, arguments, assert_same_training, both, pictures
from records import by_step

from loss_logging import Exclusions, TrainConfig, read_report
from loss_logging.captions.decisions import DECISIONS_FILE, Decision, DecisionFile
from loss_logging.errors import ConfigError
from loss_logging.integrations.trainers import kohya

pytest.importorskip("accelerate")

from loss_logging.integrations.trainers.kohya_exclusions import sd_scripts_without

pytestmark = pytest.mark.xdist_group("torch")  # and the runs are made once
GONE = ("10_cats/cats2.png", "5_dogs_reg/_reg4.png")


def copied(images: Path, folder: Path, *without: str) -> Path:
    """Links to the images and their captions, where they are decided about or without some."""
    for path in sorted(images.glob("*/*")):
        if not any(path.name.startswith(Path(name).stem) for name in without):
            (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
            (folder / path.parent.name / path.name).hardlink_to(path)
    return folder


@pytest.fixture(scope="module")
def left_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both trainers on a folder in which two images are excluded, and on one without them, which nobody logs."""
    folder = tmp_path_factory.mktemp("left_out")
    images = pictures(tmp_path_factory.mktemp("images"))
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
    (folder / "said.txt").write_text(both(folder, planned))
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
