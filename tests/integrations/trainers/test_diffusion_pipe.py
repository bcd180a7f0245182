"""diffusion-pipe: a stand-in with its seams, which truly trains, in processes of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from records import by_step
from warm import with_torch

from loss_logging import read_report
from loss_logging.integrations.trainers import diffusion_pipe

pytestmark = pytest.mark.xdist_group("torch")  # and the runs are made once

SCRIPT = Path(__file__).parent / "diffusion_pipe_standin" / "train.py"
RUN = "20260101_00-00-00"


def configured(folder: Path, images: Path, **options: Any) -> Path:
    """diffusion-pipe's configuration of a run."""
    folder.mkdir(exist_ok=True)
    given = {"output_dir": str(folder), "steps": 5, "gradient_accumulation_steps": 2, "pipeline_stages": 1}
    given |= {"folders": [str(images / "cats"), str(images / "dogs")], "held_out": [str(images / "held")], "resume": 0}
    (folder / "config.json").write_text(json.dumps(given | options))
    return folder / "config.json"


ALONE = """
import runpy, sys, warnings
warnings.simplefilter("ignore")
sys.argv = sys.argv[1:]
sys.path[0] = sys.argv[0].rpartition("/")[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
LAUNCHED = """
import runpy, warnings
warnings.simplefilter("ignore")
runpy.run_module("loss_logging.integrations.trainers.diffusion_pipe", run_name="__main__", alter_sys=True)
"""


def train(config: Path, ours: Path | None) -> str:
    """What it said on the error stream."""
    more = () if ours is None else ("--loss_logging_config", str(ours))
    code = ALONE if ours is None else LAUNCHED
    done = with_torch().run(code, config.parent, str(SCRIPT), "--config", str(config), *more)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With and without the launcher."""
    folder = tmp_path_factory.mktemp("diffusion_pipe")
    for name, count in (("cats", 6), ("dogs", 6), ("held", 4)):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(count):
            file = folder / "images" / name / f"{name}{i}.png"
            file.touch()
            file.with_suffix(".txt").write_text(f"number {i} of {name}")
    (folder / "losses.toml").write_text('[loss_logging]\nreporter = "inline"\nloggers = []\n', encoding="utf-8")
    assert not train(configured(folder / "without", folder / "images"), None)
    assert not train(configured(folder / "with", folder / "images"), folder / "losses.toml")
    return folder


def test_training_is_bit_for_bit_as_without(runs: Path) -> None:
    """Weights, losses and files; no random number is drawn for us."""
    left, right = ({path.name for path in (runs / name / RUN).iterdir()} for name in ("without", "with"))
    assert right == left | {"loss_logging"}
    for path in (runs / "without" / RUN).glob("*.pt"):
        ours = torch.load(runs / "with" / RUN / path.name)
        assert all(torch.equal(tensor, ours[name]) for name, tensor in torch.load(path).items()), path.name
    assert (runs / "without" / RUN / "losses.json").read_text() == (runs / "with" / RUN / "losses.json").read_text()


def assert_rows(folder: Path, losses: list[float]) -> None:
    """Both micro-batches of each step, each example with its own folder and caption, and the scalar as their mean."""
    steps = by_step(folder / RUN)
    assert sorted(steps) == [*range(1, len(losses) + 1)]
    for step, rows in steps.items():
        assert len(rows) == 4
        assert sum(row["loss"] for row in rows) / 4 == pytest.approx(losses[step - 1], rel=1e-6)
        for row in rows:
            path = Path(row["path"])
            assert (row["dataset"], row["caption"]) == (path.parent.name, path.with_suffix(".txt").read_text())
            assert row["dataset"] in ("cats", "dogs")


def test_each_file_has_its_loss(runs: Path) -> None:
    """Evaluations have no rows; a report at each checkpoint and saved model."""
    assert_rows(runs / "with", json.loads((runs / "with" / RUN / "losses.json").read_text()))
    reports = sorted((runs / "with" / RUN / "loss_logging").glob("*.json"))
    assert [path.name for path in reports] == [f"with_{step:09d}.json" for step in (3, 5)]
    assert read_report(reports[-1]).warnings == []


def test_a_training_that_goes_on_resumes_the_log(runs: Path) -> None:
    """From a checkpoint, into the same folder."""
    before = json.loads((runs / "with" / RUN / "losses.json").read_text())
    assert not train(configured(runs / "with", runs / "images", resume=3, steps=6), runs / "losses.toml")
    assert_rows(runs / "with", before[:3] + json.loads((runs / "with" / RUN / "losses.json").read_text()))
    report = read_report(runs / "with" / RUN / "loss_logging" / "with_000000006.json")
    assert (report.job.resumed_from, report.global_.count) == (3, 24)


# --- bad input ----------------------------------------------------------------------------------------------------


def test_several_stages_are_refused_in_one_sentence(runs: Path) -> None:
    """The rank that reports would have no losses; it trains."""
    said = train(configured(runs / "stages", runs / "images", pipeline_stages=2), runs / "losses.toml")
    assert said.count("pipeline_stages is 2") == 1
    assert (runs / "stages" / RUN / "losses.json").exists()
    assert not (runs / "stages" / RUN / "loss_logging").exists()


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that says that it ran, in a process that is left as it was."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = tmp_path / "train.py"
    path.write_text(
        "from pathlib import Path\nif __name__ == '__main__':\n    Path(__file__).with_suffix('.ran').touch()\n"
    )
    return path


def test_what_deepspeed_puts_before_the_script_is_the_scripts(script: Path) -> None:
    """``deepspeed --module`` gives the rank first."""
    diffusion_pipe.main(["--local_rank=0", str(script), "--deepspeed"])
    assert sys.argv == [str(script), "--local_rank=0", "--deepspeed"]


def test_another_version_and_another_script_are_named(
    script: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was looked for, before a model is loaded; they run."""
    diffusion_pipe.main([str(script)])
    assert "no script of diffusion-pipe: it does not import utils.dataset" in caplog.text
    script.with_suffix(".ran").unlink()
    monkeypatch.setitem(sys.modules, "utils.dataset", ModuleType("utils.dataset"))
    diffusion_pipe.main([str(script)])
    assert "utils.dataset has no PipelineDataLoader._pull_batches_from_dataloader" in caplog.text
    assert script.with_suffix(".ran").exists()


def test_a_batch_without_names_and_a_loss_that_is_not_a_mean_are_counted(tmp_path: Path) -> None:
    """Each costs itself alone, and the report says why; a file in an archive has the archive's name too."""
    from types import SimpleNamespace

    from loss_logging.integrations.trainers.diffusion_pipe_run import Run

    run = Run({"loss_logging": {"loggers": [], "reporter": "inline"}})
    config = {"model": {"type": "qwen_image"}}
    model = SimpleNamespace(config=config, prepare_inputs=lambda inputs: ((torch.ones(2),), (torch.zeros(2), None)))
    engine = SimpleNamespace(global_steps=0, num_stages=1)
    weight = torch.ones(2, requires_grad=True)
    loss_fn = run.seeing(lambda output, label: output.mean() if engine.global_steps < 2 else output.prod())

    def train_batch(inputs: Any) -> Any:
        _, label = model.prepare_inputs(inputs)
        loss = loss_fn(weight * 3, label)
        engine.global_steps += 1
        return loss

    engine.train_batch = train_batch
    dataset = SimpleNamespace(directory_datasets=[SimpleNamespace(path="/data/cats")])
    run.see_loader(SimpleNamespace(model_engine=engine, model=model, dataset=dataset))
    run.see_saver(SimpleNamespace(save_root=str(tmp_path), save_checkpoint=None, save_model=None))
    named = {"image_spec": [["/data/cats/a.tar", "1.png"], [None, "/data/cats/2.png"]], "caption": ["one", "two"]}
    for inputs in (named, {"caption": ["one", "two"]}, named):
        engine.train_batch(inputs)
    assert run.losses is not None
    captions = run.losses.config.captions
    assert (captions.trainer, captions.model) == ("diffusion-pipe", "qwen-image")
    run.close()
    steps = by_step(tmp_path)
    assert [row["path"] for row in steps[1]] == ["/data/cats/a.tar/1.png", "/data/cats/2.png"]
    assert sorted(steps) == [1]
    (path,) = (tmp_path / "loss_logging").glob("*.json")
    warnings = read_report(path).warnings
    assert any("1 batch was not logged: LossLoggingError: the batch does not say" in line for line in warnings)
    assert any("1 batch was not logged: LossLoggingError: the loss is not one mean" in line for line in warnings)


def test_a_caption_that_was_taken_is_still_of_its_image() -> None:
    """uncond_fraction puts the empty caption's own image_spec, which is none, into the item."""

    class SizeBucketDataset:
        iteration_order = ({"image_spec": [None, "/a.png"]}, {"image_spec": [None, "/b.png"]})

        def __getitem__(self, idx: int) -> dict[str, object]:
            own = self.iteration_order[idx % 2]
            return own | {"image_spec": [None, None], "caption": ""} if idx == 3 else {**own}

    diffusion_pipe._keep_specs(SizeBucketDataset)
    assert [SizeBucketDataset()[i]["image_spec"] for i in (0, 3)] == [[None, "/a.png"], [None, "/b.png"]]
