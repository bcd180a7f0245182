"""loss_logging.evaluation.config, and `loss-logging evaluate`, with a pipeline of a few thousand parameters"""

from __future__ import annotations

import csv
import os
import re
import runpy
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from diffusers import DiffusionPipeline
from helpers import assert_same
from PIL import Image
from tiny_pipelines import stable_diffusion_xl
from typer.testing import CliRunner

from loss_logging import evaluate_dataset, read_report
from loss_logging.cli.commands import app
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.config import EvaluateConfig, run_evaluation
from loss_logging.evaluation.engines import make_engine
from loss_logging.evaluation.image_batches import ImageBatches
from loss_logging.integrations.trainers.diffusers import PipelineLoss
from loss_logging.trackers.memory import MemoryBackend

pytestmark = pytest.mark.xdist_group("photos")  # whose pipeline and pictures are made once


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pipeline."""
    folder = tmp_path_factory.mktemp("pipeline")
    stable_diffusion_xl().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five cats and three dogs with captions, and one image that does not open."""
    root = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for name in [*(f"cats/{i}" for i in range(5)), *(f"dogs/{i}" for i in range(3))]:
        path = root / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(path.with_suffix(".png"))
        path.with_suffix(".txt").write_text(f"{path.parent.name[:-1]} number {path.name}\n", "utf-8")
    (root / "dogs" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return root


SMALL = {"resolution": 16, "device": "cpu"}


def config(
    photos: Path, pipeline: Path, out: Path, /, model: Mapping[str, Any] = MappingProxyType({}), **options: Any
) -> EvaluateConfig:
    """On the CPU, with squares of 16 pixels."""
    required = {"data": str(photos), "pipeline": str(pipeline), "save_root": str(out)}
    return EvaluateConfig.from_dict({**required, "model": SMALL | model, **options})


def test_a_cache_is_read_by_the_next_evaluation(photos: Path, pipeline: Path, tmp_path: Path) -> None:
    """With it the figures are the same, and it holds the encoding of each image, each caption and the empty one."""
    cache = tmp_path / "cache"
    reports = [
        run_evaluation(config(photos, pipeline, tmp_path / str(i), cache=str(cache)), progress=False) for i in range(2)
    ]
    assert_same(reports[0].datasets, reports[1].datasets)
    assert len(list(cache.rglob("*.safetensors"))) == 8 + 8 + 1


def test_report(photos: Path, pipeline: Path, tmp_path: Path) -> None:
    """Every item has its draws and a caption_mismatch, in JSON, CSV and the loggers; what does not open is named."""
    backend = MemoryBackend()
    report = run_evaluation(
        config(photos, pipeline, tmp_path, loggers=[backend], step=30, model={"snr_gamma": 5}), progress=False
    )
    assert {name: len(dataset.item_stats) for name, dataset in report.datasets.items()} == {"cats": 5, "dogs": 3}
    assert {item.count for dataset in report.datasets.values() for item in dataset.item_stats.values()} == {4}
    assert report.datasets["cats"].item_stats["cats/0.png"].caption == "cat number 0"
    assert len(report.worst.caption_mismatch) == 8
    assert report.timestep_scale == 1000
    assert report.warnings[0].startswith("1 of 9 images do not open and are not included: dogs/broken.png (")
    assert report.json_path == str(tmp_path / "loss_logging" / "evaluation_000000030.json")
    assert read_report(report.json_path).global_ == report.global_
    with Path(report.json_path).with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 8
    assert [(written.job.step, written.warnings) for written in backend.reports] == [(30, report.warnings)]


def test_same_figures_as_by_hand(photos: Path, pipeline: Path, tmp_path: Path) -> None:
    """The command computes what evaluate_dataset computes of the same pixels with the same pipeline."""
    report = run_evaluation(config(photos / "cats", pipeline, tmp_path, draws=2, paired=False), progress=False)
    with Image.open(photos / "cats" / "3.png") as image:
        square = np.asarray(image.resize((19, 16), Image.Resampling.LANCZOS).crop((1, 0, 17, 16)), dtype=np.float32)
    batch = {
        "paths": ["3.png"],
        "datasets": "cats",
        "captions": ["cat number 3"],
        "pixel_values": torch.from_numpy(square / 127.5 - 1).permute(2, 0, 1)[None],
        "original_sizes": [[20, 24]],
        "crop_top_lefts": [[0, 1]],
    }
    loaded = DiffusionPipeline.from_pretrained(pipeline, local_files_only=True)
    expected = evaluate_dataset(PipelineLoss(loaded), [batch], draws=2, progress=False).global_.mean
    (cats,) = report.datasets.values()
    assert cats.item_stats["3.png"].average_loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.long
def test_figures_do_not_depend_on_batch_size_and_place(photos: Path, pipeline: Path, tmp_path: Path) -> None:
    """Another batch size, or the same folder elsewhere, gives the same figures to float32 accuracy."""
    elsewhere = tmp_path / "moved"
    elsewhere.symlink_to(photos)
    one = run_evaluation(config(photos, pipeline, tmp_path / "1", batch_size=3, draws=2), progress=False)
    two = run_evaluation(config(elsewhere, pipeline, tmp_path / "2", batch_size=8, draws=2), progress=False)
    for name, dataset in one.datasets.items():
        for path, item in dataset.item_stats.items():
            assert item.average_loss == pytest.approx(two.datasets[name].item_stats[path].average_loss, rel=1e-4)


@pytest.mark.long
def test_fraction_and_cap(photos: Path, pipeline: Path, tmp_path: Path) -> None:
    """A fraction takes the same images each time, other ones with another seed; a cap takes the first that open."""

    def items(**options: Any) -> set[str]:
        options = {"draws": 1, "paired": False, **options}
        report = run_evaluation(config(photos, pipeline, tmp_path, **options), progress=False)
        return {path for dataset in report.datasets.values() for path in dataset.item_stats}

    assert items(max_samples=2) == {"cats/0.png", "cats/1.png"}
    some = items(sample_fraction=0.5)
    assert 0 < len(some) < 8
    assert items(sample_fraction=0.5, batch_size=1) == some
    assert items(sample_fraction=0.5, seed=1) != some


def test_tables_of_captions(photos: Path, pipeline: Path, tmp_path: Path) -> None:
    """A CSV beside the images is read as well as captions in files of their own."""
    rows = ["file_name,text", *(f'cats/{i}.png,"a cat, number {i}"' for i in range(3))]
    (tmp_path / "cats").symlink_to(photos / "cats")
    table = tmp_path / "captions.csv"
    table.write_text("\n".join(rows), "utf-8")
    report = run_evaluation(config(table, pipeline, tmp_path / "out", draws=1), progress=False)
    (dataset,) = report.datasets.values()
    assert {path: item.caption for path, item in dataset.item_stats.items()} == {
        f"cats/{i}.png": f"a cat, number {i}" for i in range(3)
    }


def shards(photos: Path, folder: Path) -> Path:
    """Two tar files of the cats and the dogs, with img2dataset's table of each beside it, and a preview."""
    folder.mkdir()
    for number, name in enumerate(("cats", "dogs")):
        with tarfile.open(folder / f"{number:05}.tar", "w") as archive:
            for file in sorted((photos / name).iterdir()):
                archive.add(file, file.name)
        rows = {"key": ["0"], "url": ["https://a.example/0.png"], "caption": ["a cat"], "status": ["success"]}
        pq.write_table(pa.table(rows), folder / f"{number:05}.parquet")
        (folder / f"{number:05}_stats.json").write_text('{"successes": 1}', "utf-8")
    shutil.copy(photos / "cats" / "0.png", folder / "preview.png")
    return folder


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.long)])
@pytest.mark.filterwarnings("ignore::Warning:ray.data.context")  # Ray's own, on every use of it
def test_archives_beside_files(
    photos: Path, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """What is in tar files is evaluated beside what is not; the table beside a tar file is about what is in it."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    folder = shards(photos, tmp_path / "shards")
    given = {"num_cpus": 0.5} if engine == "ray" else {}
    options = {"draws": 1, "paired": False, "engine": engine, "engine_options": given}
    report = run_evaluation(config(folder, pipeline, tmp_path / "out", **options), progress=False)
    items = {path: item.caption for dataset in report.datasets.values() for path, item in dataset.item_stats.items()}
    assert items == {
        "preview.png": "",
        **{f"00000.tar/{i}.png": f"cat number {i}" for i in range(5)},
        **{f"00001.tar/{i}.png": f"dog number {i}" for i in range(3)},
    }
    (about,) = (sentence for sentence in report.warnings if "do not open" in sentence)
    assert "1 of 10 images" in about


def test_archives_with_nothing_that_opens(pipeline: Path, tmp_path: Path) -> None:
    """Tar files without an image are an error that says what is in them."""
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        (tmp_path / "a.txt").write_text("a cat", "utf-8")
        archive.add(tmp_path / "a.txt", "a.txt")
    with pytest.raises(LossLoggingError, match=r"1 of 1 images do not open.*a\.txt \(there is no image of this name\)"):
        run_evaluation(config(tmp_path, pipeline, tmp_path / "out"), progress=False)


def test_each_caption_of_a_list(photos: Path, pipeline: Path, tmp_path: Path) -> None:
    """An image with several captions is evaluated with each, one whose caption is in two files once."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(2):
        shutil.copy(photos / "cats" / f"{i}.png", folder / f"{i}.png")
    (folder / "1.txt").write_text("a cat", "utf-8")
    (folder / "1.json").write_text('{"caption": "a cat"}', "utf-8")
    (folder / "metadata.jsonl").write_text('{"file_name": "0.png", "text": ["a pet", "an animal"]}', "utf-8")
    (folder / "0-masklabel.png").write_bytes((folder / "0.png").read_bytes())
    report = run_evaluation(config(folder, pipeline, tmp_path / "out", draws=1, paired=False), progress=False)
    (dataset,) = report.datasets.values()
    assert {path: item.count for path, item in dataset.item_stats.items()} == {"0.png": 2, "1.png": 1}
    assert any("an image of masks" in sentence for sentence in report.warnings)


def test_captions_as_a_trainer_reads_them(photos: Path, pipeline: Path, tmp_path: Path) -> None:
    """The captions are those that the trainer trains on, of the images that it takes; `--trainer` says which."""
    root = tmp_path / "images"
    (folder := root / "10_sks cat").mkdir(parents=True)
    (root / "other").mkdir()
    for i, place in enumerate((folder, folder, root / "other")):
        shutil.copy(photos / "cats" / f"{i}.png", place / f"{i}.png")
    (folder / "0.txt").write_text("a first, line\nanother one", "utf-8")
    captions = {}
    for trainer in ("kohya", "ai-toolkit"):
        out = tmp_path / trainer
        file = tmp_path / f"{trainer}.yaml"
        values = {
            "data": str(root),
            "pipeline": str(pipeline),
            "save_root": str(out),
            "model": {"resolution": 16},
            "draws": 1,
        }
        file.write_text(yaml.safe_dump(values), "utf-8")
        done = CliRunner().invoke(app, ["evaluate", str(file), "--trainer", trainer])
        assert done.exit_code == 0, done.output
        report = read_report(next((out / "loss_logging").glob("*.json")))
        captions[trainer] = {
            path: item.caption for dataset in report.datasets.values() for path, item in dataset.item_stats.items()
        }
    assert captions == {
        "kohya": {"10_sks cat/0.png": "a first, line", "10_sks cat/1.png": "sks cat"},
        "ai-toolkit": {"10_sks cat/0.png": "a first,  line\nanother one", "10_sks cat/1.png": "", "other/2.png": ""},
    }


def test_command(photos: Path, pipeline: Path, tmp_path: Path) -> None:
    """`loss-logging evaluate` prints the tables and the warnings, and shows its progress on standard error."""
    file = tmp_path / "evaluate.yaml"
    values = {"data": str(photos), "pipeline": str(pipeline), "save_root": str(tmp_path), "model": {"resolution": 16}}
    file.write_text(yaml.safe_dump(values), "utf-8")
    done = CliRunner().invoke(app, ["evaluate", str(file)], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    for expected in ("Captions", "hard", "cats", "dogs/broken.png", "evaluation_000000000.json"):
        assert expected in done.stdout
    assert "evaluating" in done.stderr


@pytest.mark.parametrize("form", ["files", pytest.param("shards", marks=pytest.mark.long)])
def test_only_what_changed(photos: Path, pipeline: Path, tmp_path: Path, form: str) -> None:
    """`--only changed` has the figures of a whole evaluation to 1e-6; where nothing changed, no pipeline is loaded."""
    shutil.copytree(photos, changed := tmp_path / "changed")
    (changed / "cats" / "3.txt").write_text("a dog in a red hat", "utf-8")
    if form == "shards":
        photos, changed = shards(photos, tmp_path / "tars"), shards(changed, tmp_path / "tars of the changed")
    shutil.copytree(pipeline, copied := tmp_path / "pipeline")
    shutil.copytree(photos, data := tmp_path / "data")
    alone = {"batch_size": 1}  # beside others its loss is rounded another way
    run_evaluation(config(data, copied, tmp_path / "part", **alone), progress=False)
    shutil.rmtree(data)
    changed.rename(data)
    whole = run_evaluation(config(data, copied, tmp_path / "whole", **alone), progress=False)
    file = tmp_path / "evaluate.yaml"
    values = {"data": str(data), "pipeline": str(copied), "save_root": str(tmp_path / "part"), "model": SMALL}
    file.write_text(yaml.safe_dump(values | alone), "utf-8")
    done = CliRunner().invoke(app, ["evaluate", str(file), "--only", "changed"], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    name, of = ("cats/3.png", 8) if form == "files" else ("00000.tar/3.png", 9)
    assert f"1 of {of} items were computed again ({name}); {of - 1} have the figures of" in done.stdout
    part = read_report(tmp_path / "part" / "loss_logging" / "evaluation_000000000.json")
    figures = [msgspec.to_builtins(report.datasets) for report in (part, whole)]
    assert_same(*figures, rel=1e-6, absolute=1e-6)
    os.utime(copied / "unet" / "config.json")  # as another model, it is refused
    done = CliRunner().invoke(app, ["evaluate", str(file), "--only", "changed"])
    assert isinstance(done.exception, ConfigError)
    assert "evaluate everything, without only" in str(done.exception)


@pytest.mark.long
def test_only_where_nothing_changed(
    photos: Path, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and no pipeline is loaded; paths in a file are computed again."""
    options = {"draws": 1, "paired": False}
    run_evaluation(config(photos, pipeline, tmp_path, **options), progress=False)
    (tmp_path / "paths").write_text("dogs/1.png\n", "utf-8")
    file = tmp_path / "evaluate.yaml"
    values = {"data": str(photos), "pipeline": str(pipeline), "save_root": str(tmp_path), "model": {"resolution": 16}}
    file.write_text(yaml.safe_dump(values | options), "utf-8")
    done = CliRunner().invoke(app, ["evaluate", str(file), "--only", str(tmp_path / "paths")], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    assert "1 of 8 items were computed again (dogs/1.png)" in done.stdout
    monkeypatch.delattr("loss_logging.integrations.trainers.diffusers_folder.pipeline_loss")
    done = CliRunner().invoke(app, ["evaluate", str(file), "--only", "changed"], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    assert "0 of 8 items were computed again, as no caption has changed" in done.stdout


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"draw": 4}, r"\$\.draw is no configuration key; did you mean draws\?"),
        ({"draws": 0}, r"\$\.draws: got 0 \(int\); allowed: a whole number, 1 or more"),
        (
            {"model": {"dtype": "bf16"}},
            r'\$\.model\.dtype: got .bf16. \(str\); allowed: "float32" or "bfloat16" or .*did you mean bfloat16',
        ),
        ({"paired": "yes"}, r"\$\.paired: .*true or false"),
        ({"model": {"resolution": 15}}, r"\$\.model\.resolution: got 15; allowed: a multiple of 2"),
        ({"model": {"device": "cuda:99"}}, r"\$\.model\.device: 'cuda:99' cannot be used here"),
        ({"model": {"device": "gpu"}}, r"\$\.model\.device: 'gpu' cannot be used here"),
        ({"captions": {"max_wrds": 3}}, r"\$\.captions\.max_wrds .*max_words"),
        (
            {"model": {"library": "difusers"}},
            r"\$\.model\.library: got 'difusers'; allowed: 'demo', 'diffusers'; did you mean diffusers",
        ),
        ({"model": {"snr_gamma": 0}}, r"\$\.model\.snr_gamma: .*above 0"),
        ({"pipeline": "/nowhere"}, r"\$\.pipeline: /nowhere holds no model_index\.json"),
        ({"loggers": ["tensorbord"]}, r"loggers\[0\].*tensorbord"),
    ],
)
def test_impossible_values(photos: Path, pipeline: Path, tmp_path: Path, changes: Any, message: str) -> None:
    """An unknown key or an impossible value is named with its path, what was given and what is allowed."""
    with pytest.raises(ConfigError, match=message):
        run_evaluation(config(photos, pipeline, tmp_path, **changes), progress=False)


def test_keys_of_the_release_before() -> None:
    """A key that stands in `model` now is taken where it stood before, with a warning."""
    with pytest.warns(DeprecationWarning, match="dtype is now model.dtype"):
        config = EvaluateConfig(data="p", pipeline="x", save_root="r", dtype="float16")
    assert config.model.dtype == "float16"


def test_missing_keys(tmp_path: Path) -> None:
    """A configuration without what is required names it, and the file."""
    file = tmp_path / "evaluate.yaml"
    file.write_text("data: photos\n", "utf-8")
    with pytest.raises(ConfigError, match=r"evaluate\.yaml: \$\.pipeline is missing; .* data, pipeline and save_root"):
        EvaluateConfig.from_file(file)


def test_no_images(pipeline: Path, tmp_path: Path) -> None:
    """A folder that is not there, or is empty, is an error before anything is computed."""
    with pytest.raises(LossLoggingError, match="nowhere does not exist"):
        run_evaluation(config(tmp_path / "nowhere", pipeline, tmp_path), progress=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LossLoggingError, match=r"empty holds no images$"):
        run_evaluation(config(tmp_path / "empty", pipeline, tmp_path), progress=False)
    (tmp_path / "empty" / "a.zip").write_bytes(b"")
    with pytest.raises(LossLoggingError, match=r"empty holds no images; there are: 1 \.zip"):
        run_evaluation(config(tmp_path / "empty", pipeline, tmp_path), progress=False)


def test_example(
    photos: Path, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """examples/evaluate_pipeline.py evaluates a folder, and names what does not open."""
    script = Path(__file__).parents[2] / "examples" / "evaluate_pipeline.py"
    arguments = [str(pipeline), str(photos), "--out", str(tmp_path), "--resolution", "16"]
    monkeypatch.setattr("sys.argv", [str(script), *arguments])
    runpy.run_path(str(script), run_name="__main__")
    printed = capsys.readouterr().out
    assert "dogs/broken.png" in printed
    assert len(re.findall(r"^[+-]0\.\d{4} \(t [+-][\d.]+\)  \w+/\d\.png: ", printed, re.MULTILINE)) == 5
    assert (tmp_path / "losses.csv").exists()


@pytest.mark.long
def test_records_of_another_setting_are_not_continued(
    photos: Path, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An interrupted evaluation at one resolution is continued at the same one, and begun anew at another."""

    class Breaks(ImageBatches):
        def __iter__(self) -> Iterator[dict[str, Any]]:
            yield next(super().__iter__())
            raise KeyboardInterrupt

    def interrupted() -> None:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("loss_logging.evaluation.config.ImageBatches", Breaks)
            run_evaluation(config(photos, pipeline, tmp_path, draws=1), progress=False)

    interrupted()
    run_evaluation(config(photos, pipeline, tmp_path, draws=1), progress=False)
    assert "is continued" in caplog.text
    interrupted()
    run_evaluation(config(photos, pipeline, tmp_path, draws=1, model={"resolution": 24}), progress=False)
    assert "is not continued: it had model_id=" in caplog.text


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"actors": 0}, r"\$\.engine_options\.actors: got 0 \(int\); allowed: a whole number, 1 or more"),
        ({"actor": 2}, r"\$\.engine_options\.actor is no configuration key; did you mean actors\?"),
        (2, r"\$\.engine_options: got 2 \(int\); allowed: a mapping of the engine's options"),
    ],
)
def test_impossible_values_of_the_cluster(section: Any, message: str) -> None:
    """A wrong key of the inner section is named with its whole path."""
    with pytest.raises(ConfigError, match=message):
        config = EvaluateConfig.from_dict({"data": "p", "pipeline": "x", "save_root": "r", "engine_options": section})
        make_engine("ray", config.engine_options, "$.engine_options")


def test_the_old_section_of_ray_works_with_a_warning() -> None:
    """`ray:` was the name of the engine's options."""
    with pytest.warns(DeprecationWarning, match="ray is now engine_options"):
        config = EvaluateConfig.from_dict({"data": "p", "pipeline": "x", "save_root": "r", "ray": {"actors": 3}})
    assert config.engine_options == {"actors": 3}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::Warning:ray.data.context")  # Ray's own, on every use of it
def test_on_ray(photos: Path, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--engine ray` starts Ray, gives the figures and warnings of the local engine, and stops it."""
    import ray

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    reports = []
    for engine in ("local", "ray"):
        options = {"model": SMALL, "draws": 2, "engine_options": {"num_cpus": 0.5}}
        places = {"data": str(photos), "pipeline": str(pipeline), "save_root": str(tmp_path / engine)}
        file = tmp_path / f"{engine}.yaml"
        file.write_text(yaml.safe_dump(options | places), "utf-8")
        done = CliRunner().invoke(app, ["evaluate", str(file), "--engine", engine])
        assert done.exit_code == 0, done.output
        reports.append(read_report(next((tmp_path / engine / "loss_logging").glob("*.json"))))
    figures = [
        {path: item.average_loss for data in report.datasets.values() for path, item in data.item_stats.items()}
        for report in reports
    ]
    assert len(figures[0]) == 8
    assert figures[1] == pytest.approx(figures[0], rel=1e-4)
    assert reports[1].warnings == reports[0].warnings
    assert not ray.is_initialized()
