"""OneTrainer: a stand-in with its seams, which truly trains, in a process of its own."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from records import by_step, component
from warm import with_torch

from loss_logging import read_report
from loss_logging.integrations.trainers import onetrainer

pytestmark = pytest.mark.xdist_group("torch")  # and the runs are made once

STANDIN = Path(__file__).parent / "onetrainer_standin"
SCRIPT = STANDIN / "scripts" / "train.py"
LIVE = {"train_text_encoder": True, "dropout_probability": 0.0}
RUNS = """
import runpy, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from loss_logging.integrations.trainers import onetrainer
for config, ours in eval(sys.argv[1]):
    if ours:
        onetrainer.main([SCRIPT, "--config-path", config, "--loss_logging_config", ours])
    else:
        sys.argv = [SCRIPT, "--config-path", config]
        runpy.run_path(SCRIPT, run_name="__main__")
"""


def configured(folder: Path, images: Path, **options: Any) -> Path:
    """OneTrainer's configuration of a run, in its workspace."""
    folder.mkdir(exist_ok=True)
    concepts = [
        {"name": "pets", "path": str(images / "a"), "type": "STANDARD", "loss_weight": 1.0},
        {"name": "", "path": str(images / "dogs"), "type": "PRIOR_PREDICTION", "loss_weight": 0.5},
        {"name": "", "path": str(images / "held"), "type": "VALIDATION", "loss_weight": 1.0},
    ]
    given = {"workspace_dir": str(folder), "output_model_destination": "lora.pt", "steps": 8, "save_every": 3}
    given |= {"batch_size": 2, "gradient_accumulation_steps": 2, "masked_training": False, "flow": True}
    given |= {"train_text_encoder": False, "dropout_probability": 0.3}
    given |= {"concepts": concepts, "concept_file_name": "", "continue_from": "", "continue_step": 0}
    (folder / "config.json").write_text(json.dumps(given | options))
    return folder / "config.json"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With and without the launcher, one that is masked, and one that goes on from a save of another."""
    folder = tmp_path_factory.mktemp("onetrainer")
    for name, count in (("a/inner", 3), ("dogs", 4), ("held", 2)):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(count):
            file = folder / "images" / name / f"{name[-4:]}{i}.png"
            file.touch()
            file.with_suffix(".txt").write_text(f"number {i} of {name[-4:]}" if i else "")
    ours = folder / "losses.toml"
    settings = '[loss_logging]\nreporter = "inline"\nloggers = []\npaired_fraction = 0.7\n'
    ours.write_text(settings, encoding="utf-8")
    resumed = {"continue_from": str(folder / "resumed" / "save-3.pt"), "continue_step": 3}
    (folder / "resumed").mkdir()
    plans = [
        (configured(folder / "without", folder / "images"), ""),
        (configured(folder / "with", folder / "images"), ours),
        (configured(folder / "masked", folder / "images", masked_training=True, flow=False, **LIVE), ours),
        (configured(folder / "resumed", folder / "images", steps=5), ours),
    ]
    (folder / "again.json").write_text(
        json.dumps(json.loads((folder / "resumed" / "config.json").read_text()) | resumed | {"steps": 8})
    )
    plans.append((folder / "again.json", ours))
    planned = repr([(str(config), str(ours)) for config, ours in plans])
    done = with_torch().run(f"SCRIPT = {str(SCRIPT)!r}\n{RUNS}", folder, planned)
    assert done.returncode == 0, done.stderr
    assert "loss_logging" not in done.stderr, done.stderr
    return folder


def test_training_is_bit_for_bit_as_without(runs: Path) -> None:
    """Weights, scalars and files."""
    left, right = ({path.name for path in (runs / name).iterdir()} for name in ("without", "with"))
    assert right == left | {"loss_logging"}
    for path in (runs / "without").glob("*.pt"):
        ours = torch.load(runs / "with" / path.name)
        assert all(torch.equal(tensor, ours[name]) for name, tensor in torch.load(path).items()), path.name
    assert (runs / "without" / "scalars.json").read_text() == (runs / "with" / "scalars.json").read_text()


@pytest.mark.parametrize(("name", "masked"), [("with", 1.0), ("masked", 0.5)])
def test_each_image_has_its_loss_concept_and_prompt(name: str, masked: float, runs: Path) -> None:
    """Before the weights and with the mask; the weighted ones have the scalar as their mean; validation has no row."""
    scalars = json.loads((runs / name / "scalars.json").read_text())
    steps = by_step(runs / name)
    assert sorted(steps) == [*range(1, 9)]
    for step, rows in steps.items():
        assert len(rows) == 2
        assert sum(component(row, "weighted") for row in rows) / 2 == pytest.approx(scalars[step - 1], rel=1e-6)
        for row in rows:
            path = Path(row["path"])
            is_dog = path.parent.name == "dogs"
            assert (row["dataset"], row["is_reg"]) == (("dogs", True) if is_dog else ("pets", False))
            assert row["caption"] == path.with_suffix(".txt").read_text()
            weight = 2 * (0.5 if is_dog else 1) * (1 + row["timestep"] / 1000)
            assert component(row, "weighted") == pytest.approx(weight * row["loss"], rel=1e-5)
            assert 0 < row["loss"] < 3 * masked
    reports = sorted(path.name for path in (runs / name / "loss_logging").glob("*.json"))
    assert reports == [f"lora_{step:09d}.json" for step in (3, 6, 8)]


@pytest.mark.parametrize("name", ["with", "masked"])
def test_pairs_are_of_the_same_noise_and_target(name: str, runs: Path) -> None:
    """To the bit where the caption is empty or dropped: of cached and of trained encodings, and a prior prediction."""
    rows = [row for rows in by_step(runs / name).values() for row in rows if row["loss_empty"] is not None]
    assert {row["is_reg"] for row in rows} == {True, False}
    same = [row["caption"] for row in rows if row["loss_empty"] == row["loss"]]
    other = [row["caption"] for row in rows if row["loss_empty"] != row["loss"]]
    assert "" in same
    assert other
    assert "" not in other
    assert (set(same) == {""}) == (name == "masked"), "only cached captions are dropped here"
    report = read_report(runs / name / "loss_logging" / "lora_000000008.json")
    assert not [line for line in report.warnings if "empty caption" in line]


def test_a_training_that_goes_on_resumes_the_log(runs: Path) -> None:
    """What came after the backup is gone, and the figures are those of one run."""
    assert {step: len(rows) for step, rows in by_step(runs / "resumed").items()} == dict.fromkeys(range(1, 9), 2)
    report = read_report(runs / "resumed" / "loss_logging" / "lora_000000008.json")
    assert (report.job.resumed_from, report.global_.count) == (3, 16)
    assert [line for line in report.warnings if "undecided" not in line] == []


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One that says that it ran, in a process that is left as it was."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in [name for name in sys.modules if name.split(".")[0] == "modules"]:
        monkeypatch.delitem(sys.modules, name)
    path = tmp_path / "scripts" / "train.py"
    path.parent.mkdir()
    path.write_text(
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).parents[1]))\n"
        "if __name__ == '__main__':\n    Path(__file__).with_suffix('.ran').touch()\n"
    )
    yield path
    for name in [name for name in sys.modules if name.split(".")[0] == "modules"]:
        del sys.modules[name]


def test_another_version_is_named_before_anything_is_loaded(script: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With each seam that it lacks; it trains."""
    mixin = script.parents[1] / "modules" / "modelSetup" / "mixin" / "ModelSetupDiffusionLossMixin.py"
    mixin.parent.mkdir(parents=True)
    mixin.write_text("class ModelSetupDiffusionLossMixin:\n    def _diffusion_losses(self): pass\n")
    onetrainer.main([str(script)])
    assert script.with_suffix(".ran").exists()
    assert "ModelSetupDiffusionLossMixin has no ModelSetupDiffusionLossMixin._flow_matching_losses" in caplog.text
    assert "ModelSetupDiffusionLossMixin._diffusion_losses" not in caplog.text


def test_a_script_of_another_trainer_is_named_and_runs(script: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the module that it lacks."""
    onetrainer.main([str(script)])
    assert script.with_suffix(".ran").exists()
    assert "this is no script of OneTrainer: No module named 'modules'" in caplog.text


def test_a_wrong_command_line_is_refused() -> None:
    """With how it is meant."""
    with pytest.raises(SystemExit, match=r"(?s)usage: .*onetrainer.*there is no script.*scripts/train.py"):
        onetrainer.main(["--loss_logging_config", "x.toml"])


def test_a_batch_that_cannot_be_named_costs_itself_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is counted in the report, whose captions are those of the model and limit that the trainer is set to."""
    from types import SimpleNamespace

    from loss_logging.integrations.trainers.onetrainer_run import Run

    trainer = SimpleNamespace(
        config=SimpleNamespace(workspace_dir=str(tmp_path), output_model_destination="a.pt", concepts=[]),
        model=SimpleNamespace(train_progress=SimpleNamespace(global_step=0)),
    )
    trainer.config.model_type, trainer.config.text_encoder_2_sequence_length = "FLUX_DEV_1", 154
    run = Run({"loss_logging": {"loggers": [], "reporter": "inline"}}, trainer)
    weighted = torch.ones(2, requires_grad=True) * 2
    batch = {"image_path": ["/x/a.png", "/x/b.png"], "prompt_1": ["a", "b"]}
    with caplog.at_level(logging.WARNING):
        for step, (given, plain) in enumerate([(batch, torch.ones(2)), ({}, torch.ones(2)), (batch, None)]):
            trainer.model.train_progress.global_step = step
            run.found(given, {}, plain, weighted)
    run.found(batch, {}, torch.ones(2), weighted.detach())  # it validates
    assert run.losses is not None
    captions = run.losses.config.captions
    assert (captions.trainer, captions.model, captions.reading.max_tokens) == ("onetrainer", "flux", 153)
    run.close()
    assert {step: [row["dataset"] for row in rows] for step, rows in by_step(tmp_path).items()} == {1: ["x", "x"]}
    (path,) = (tmp_path / "loss_logging").glob("*.json")
    warnings = read_report(path).warnings
    assert any("1 batch was not logged" in line and "it has no image_path, or no prompt" in line for line in warnings)
    assert any("the losses before the weights were not seen" in line for line in warnings)
