"""ai-toolkit, by a stand-in with its interface: real small models train, and real checkpoints are found and removed."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import shutil
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ai_toolkit_standin as standin
import pytest
import torch
import yaml
from records import by_step, component

from loss_logging import read_report
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.integrations.trainers.ai_toolkit import AI_TOOLKIT_EXTENSIONS

EXAMPLES = Path(__file__).parents[3] / "examples" / "ai_toolkit"
CATS = {"folder_path": "/data/cats", "files": {f"{i}.png": f"a cat number {i}" for i in range(4)}}
DOGS = {"folder_path": "/data/dogs", "files": {f"{i}.png": f"a dog number {i}" for i in range(4)}}
SECTION = {"reporter": "inline", "paired_fraction": 0.0, "log_every": 1000}


@pytest.fixture(autouse=True)
def ai_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of ai-toolkit that are asked for."""
    for name in ("SDTrainer", "DiffusionTrainer"):
        monkeypatch.setitem(sys.modules, f"extensions_built_in.sd_trainer.{name}", standin)
    for name in ("prompt_utils", "data_loader"):
        monkeypatch.setitem(sys.modules, f"toolkit.{name}", standin)


def trainer(
    folder: Path, section: Any = SECTION, *, uid: str = "loss_logging_sd_trainer", name: str = "run", **config: Any
) -> Any:
    """A trainer as ai-toolkit makes it for a job; without a section it is its own one."""
    process = {"type": uid, "training_folder": str(folder), "datasets": [CATS, DOGS], **config}
    if section is not None:
        process["loss_logging"] = section
    own = standin.DiffusionTrainer if "diffusion" in uid else standin.SDTrainer
    ours = {extension.uid: extension.get_process() for extension in AI_TOOLKIT_EXTENSIONS}[uid]
    return (own if section is None else ours)(0, SimpleNamespace(name=name, config={"name": name}), process)


def trained(folder: Path, section: Any = SECTION, **config: Any) -> Any:
    """The same, after its training."""
    process = trainer(folder, section, **config)
    process.run()
    return process


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "loss_logging" and r.levelno == logging.WARNING]


VARIANTS: dict[str, dict[str, Any]] = {
    "images": {"train": {"snr_gamma": 5.0}, "datasets": [{**CATS, "loss_multiplier": 2.0}, DOGS]},
    "videos, steps of an update": {
        "datasets": [{**CATS, "num_frames": 3}],
        "train": {"gradient_accumulation_steps": 2},
    },
    "diffusion trainer, batches of a step": {
        "uid": "loss_logging_diffusion_trainer",
        "train": {"gradient_accumulation": 3},
    },
    "short captions": {"train": {"short_and_long_captions": True}},
    "refiner": {"model": {"refiner_name_or_path": "refiner"}},
    "regularisation": {"datasets": [CATS, {**DOGS, "is_reg": True, "loss_multiplier": 0.5}]},
    "dropout, cached text": {
        "datasets": [{**CATS, "caption_dropout_rate": 0.5, "cache_text_embeddings": True}],
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_is_bit_for_bit_the_same_and_losses_add_up(variant: str, tmp_path: Path) -> None:
    """The weights are those of ai-toolkit alone, also with a forward for the empty caption at every step.

    And the mean of what is logged of a step is the scalar that ai-toolkit shows for it.
    """
    config = VARIANTS[variant]
    plain = trained(tmp_path / "plain", None, **config)
    watched = trained(tmp_path / "watched", {**SECTION, "paired_fraction": 1.0}, **config)
    assert all(torch.equal(value, watched.weights[name]) for name, value in plain.weights.items())
    assert plain.scalars == watched.scalars
    shown = [{k: v for k, v in rows.items() if k.startswith("loss/img") or k == "audio"} for rows in (
        plain.logger.rows[3], watched.logger.rows[3])]  # fmt: skip
    assert shown[0] == shown[1] != {}
    steps = by_step(tmp_path / "watched" / "run")
    assert sorted(steps) == list(range(6))
    for step, scalar in enumerate(watched.scalars):
        weighted = [component(row, "weighted_loss") for row in steps[step]]
        assert sum(weighted) / len(weighted) == pytest.approx(scalar, rel=1e-5)
        assert all(row["loss_empty"] > 0 for row in steps[step])


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for rows in by_step(folder / "run").values() for row in rows]


def test_a_row_has_the_path_caption_and_dataset_that_were_used(tmp_path: Path) -> None:
    """Paths are those of the items that were loaded, captions those that were seen, datasets named by their folder."""
    trained(tmp_path, datasets=[{**CATS, "files": {**CATS["files"], "broken.png": "a caption"}}, DOGS])
    rows = rows_of(tmp_path)
    captions = {f"{DOGS['folder_path']}/{name}": text for name, text in DOGS["files"].items()}
    captions |= {f"{CATS['folder_path']}/{name}": text for name, text in CATS["files"].items()}
    assert len(rows) == 12
    assert {row["dataset"] for row in rows} == {"cats", "dogs"}
    assert all(captions[row["path"]] == row["caption"] for row in rows)
    assert all(0 <= row["timestep"] < 1000 for row in rows)


def test_a_doubled_batch_is_two_datasets(tmp_path: Path) -> None:
    """Short captions, and the refiner's half, are told from the rest; regularisation images are not doubled."""
    trained(tmp_path / "refiner", datasets=[CATS], model={"refiner_name_or_path": "refiner"})
    refined = [row for row in rows_of(tmp_path / "refiner") if row["dataset"] == "cats (refiner)"]
    assert len(refined) == 12
    assert all(row["timestep"] >= 800 for row in refined)
    reg = {**DOGS, "is_reg": True}
    trained(tmp_path / "short", datasets=[CATS, reg], train={"short_and_long_captions": True})
    rows = rows_of(tmp_path / "short")
    count = Counter((row["dataset"], row["is_reg"]) for row in rows)
    assert count == {("cats", False): 8, ("cats (short captions)", False): 8, ("dogs", True): 4}
    assert {row["caption"] for row in rows if row["dataset"] == "cats (short captions)"} == {"a"}


def test_a_dropped_caption_is_known(tmp_path: Path) -> None:
    """Also with cached text embeddings, where ai-toolkit's caption stays full; pairs then have the same loss twice."""
    datasets = [{**data, "caption_dropout_rate": 0.5, "cache_text_embeddings": data is CATS} for data in (CATS, DOGS)]
    trained(tmp_path, {**SECTION, "paired_fraction": 1.0}, datasets=datasets, train={"steps": 20})
    rows = rows_of(tmp_path)
    dropped = [row for row in rows if row["caption_dropped"]]
    assert {row["dataset"] for row in dropped} == {"cats", "dogs"}
    assert all(row["caption"] == "" and row["loss"] == pytest.approx(row["loss_empty"], rel=1e-6) for row in dropped)
    assert all(row["caption"] != "" and row["loss"] != row["loss_empty"] for row in rows if not row["caption_dropped"])


def test_an_empty_forward_is_only_made_on_paired_steps(tmp_path: Path) -> None:
    """As many forwards more than steps as there are steps that ask for one."""
    process = trainer(tmp_path, {**SECTION, "paired_fraction": 0.5}, train={"steps": 20})
    forwards: list[int] = []
    process.end_step_hook = lambda: forwards.append(process.sd.forwards)
    process.run()
    paired = {step for step, rows in by_step(tmp_path / "run").items() if rows[0]["loss_empty"] is not None}
    assert 0 < len(paired) < 20
    assert forwards[-1] == 20 + len(paired)


@pytest.mark.parametrize("is_cached", [False, True])
def test_rivals_are_compared_with_where_the_text_encoder_is_there(is_cached: bool, tmp_path: Path) -> None:
    """On half of the paired steps; one that is the own caption has the own loss. With cached texts, the empty one."""
    from loss_logging.evidence.rivals import Rivals

    file = tmp_path / "rivals.parquet"
    own, other = {("cats", "/data/cats/0.png"): (CATS["files"]["0.png"],)}, {("cats", "/data/cats/1.png"): ("a dog",)}
    Rivals(own | other).save(str(file))
    section = {**SECTION, "paired_fraction": 1.0, "rivals": str(file)}
    trained(tmp_path, section, datasets=[{**CATS, "cache_text_embeddings": is_cached}], train={"steps": 20})
    rows = rows_of(tmp_path)
    rivals = {row["rival"]: row["loss_rival"] == row["loss"] for row in rows if row["rival"]}
    assert rivals == ({} if is_cached else {CATS["files"]["0.png"]: True, "a dog": False})
    assert any(row["loss_empty"] is not None for row in rows)


def test_means_are_in_the_progress_bar_and_the_trackers(tmp_path: Path) -> None:
    """Each dataset's mean is in the bar, in TensorBoard and in what W&B and the UI are given."""
    writer_class = pytest.importorskip("tensorboardX").SummaryWriter
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with writer_class(str(tmp_path / "events")) as writer:
        process = trained(tmp_path, writer=writer, train={"steps": 12})
    latest = {name: [r["loss"] for r in rows_of(tmp_path) if r["dataset"] == name] for name in ("cats", "dogs")}
    last = process.logger.rows[11]
    for name, losses in latest.items():
        assert last[f"loss/{name}"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
        assert f" {name}: {last[f'loss/{name}']:.3e}" in process.postfixes[-1]
    events = EventAccumulator(str(tmp_path / "events"), size_guidance={"histograms": 0}).Reload()
    assert {"loss", "cats", "dogs", "loss_logging/loss/cats"} <= set(events.Tags()["scalars"])
    assert "loss_logging/loss_histogram/dogs" in events.Tags()["histograms"]
    assert events.Scalars("cats")[-1].value == pytest.approx(last["loss/cats"], rel=1e-5)


def test_many_datasets_do_not_fill_the_progress_bar(tmp_path: Path) -> None:
    """They go to the trackers alone. A dataset named like one of ai-toolkit's figures does not replace it."""
    many = [{"folder_path": f"/data/{name}", "files": {"a.png": "a"}} for name in ("loss", *"abcdefgh")]
    process = trained(tmp_path, datasets=many, train={"steps": 30})
    assert process.postfixes[-1] == f"loss: {process.scalars[-1]:.3e}"
    last = process.logger.rows[29]
    assert {"loss/dataset loss", *(f"loss/{name}" for name in "abcdefgh")} <= set(last)
    assert last["loss/loss"] == process.scalars[-1]


def test_a_report_at_every_save(tmp_path: Path) -> None:
    """At ai-toolkit's save steps, when the UI asks for one, and at the end, named like the checkpoints."""
    process = trained(
        tmp_path, uid="loss_logging_diffusion_trainer", save_now=3, train={"steps": 5}, save={"save_every": 2}
    )
    reports = sorted((tmp_path / "run" / "loss_logging").glob("run_*.json"))
    assert [path.name for path in reports] == [f"run_{step:09d}.json" for step in (2, 3, 4, 5)]
    counts = [read_report(path).global_.count for path in reports]
    assert counts == [6, 6, 10, 10]  # a save is after its own step, the one of the UI before it
    assert process.logger.is_finished


@pytest.mark.parametrize("name", ["run", "loss"])
def test_checkpoints_are_found_and_cleaned_up_as_without_us(name: str, tmp_path: Path) -> None:
    """Whatever the job is called, it resumes from its own checkpoint, and its old ones alone are removed."""
    for steps in (3, 5):
        save = {"save_every": 2, "max_step_saves_to_keep": 1}
        process = trained(tmp_path, name=name, train={"steps": steps}, save=save)
    assert process.start_step == 3
    kept = {path.name for path in (tmp_path / name).glob("*.safetensors")}
    assert kept == {f"{name}_000000004.safetensors", f"{name}.safetensors"}
    (report,) = tmp_path.glob("*/loss_logging/*_000000005.json")
    assert (read_report(report).global_.count, read_report(report).job.resumed_from) == (10, 3)


def test_nothing_of_ours_is_read_as_an_embedding_or_uploaded(tmp_path: Path) -> None:
    """Where ai-toolkit would take our folder for an embedding, or upload it, the folder is beside the job's."""
    for folder, config in {"a": {"embedding": {"trigger": "los"}}, "b": {"save": {"push_to_hub": True}}}.items():
        process = trainer(tmp_path / folder, **config)
        process._loss_logging.end()
        assert list((tmp_path / folder / "run").iterdir()) == []
        assert (tmp_path / folder / "run_loss_logging" / "loss_logging").exists()


def test_a_stopped_run_goes_on_where_its_checkpoint_is(tmp_path: Path) -> None:
    """What was logged after the checkpoint is removed, and the steps from there on are logged once."""
    config: dict[str, Any] = {"uid": "loss_logging_diffusion_trainer", "train": {"steps": 9}, "save": {"save_every": 4}}
    with pytest.raises(RuntimeError, match="Job stopped"):
        trained(tmp_path, stop_at=6, **config)
    out = tmp_path / "run" / "loss_logging"
    assert read_report(out / "run_000000006.json").global_.count == 12  # it reports when it is stopped too
    trained(tmp_path, **config)
    # ai-toolkit trains step 4 again after a checkpoint that has it: both are in the weights.
    counts = {step: len(rows) for step, rows in by_step(tmp_path / "run").items()}
    assert counts == {step: 4 if step == 4 else 2 for step in range(9)}
    report = read_report(out / "run_000000009.json")
    assert (report.job.resumed_from, report.global_.count) == (4, 20)


def test_a_step_out_of_memory_is_not_logged(tmp_path: Path) -> None:
    """What ai-toolkit skips is no record."""
    process = trainer(tmp_path)
    steps = process.train_single_accumulation

    def runs_out(batch: Any) -> Any:
        loss = steps(batch)
        if process.step_num == 2:
            raise torch.cuda.OutOfMemoryError
        return loss

    process.train_single_accumulation = runs_out
    process.run()
    assert sorted(by_step(tmp_path / "run")) == [0, 1, 3, 4, 5]


def test_an_empty_forward_out_of_memory_is_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Then there are no pairs any more, and training goes on as without us."""
    plain = trained(tmp_path / "plain", None)
    process = trainer(tmp_path / "watched", {**SECTION, "paired_fraction": 1.0})
    predict = standin.SDTrainer.predict_noise

    def runs_out(*args: Any, is_primary_pred: bool = False, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            raise torch.cuda.OutOfMemoryError("no memory left")
        return predict(*args, is_primary_pred=is_primary_pred, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standin.SDTrainer, "predict_noise", runs_out)
        patch.setattr("loss_logging.integrations.trainers.ai_toolkit.observer.obstacle", lambda *_: None)
        runs_out.__signature__ = __import__("inspect").signature(predict)
        process.run()
    assert all(torch.equal(value, process.weights[name]) for name, value in plain.weights.items())
    assert len(rows_of(tmp_path / "watched")) == 12
    (warning,) = warnings_in(caplog)
    assert "no caption_mismatch: OutOfMemoryError: no memory left" in warning
    (counted,) = read_report(tmp_path / "watched" / "run" / "loss_logging" / "run_000000006.json").warnings
    assert counted == "ai-toolkit: 5 batches have no losses with the empty caption: OutOfMemoryError: no memory left"


def test_terms_of_the_whole_batch_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The losses are those of the images, and the report says that there is something besides."""
    process = trained(tmp_path, train={"batch_term": 0.5})
    assert process.scalars[0] > sum(row["loss"] for row in by_step(tmp_path / "run")[0]) / 2 * 1.001
    (sentence,) = read_report(tmp_path / "run" / "loss_logging" / "run_000000006.json").warnings
    assert f"ai-toolkit's loss is {process.scalars[0]:.4g} where the mean over the images is" in sentence
    assert sentence in warnings_in(caplog)


@pytest.mark.parametrize("fault", ["unknown rows", "stop"])
def test_rows_that_could_not_be_logged_are_counted(tmp_path: Path, fault: str) -> None:
    """Every report after a fault says how many rows of the training are missing in it, also where all are."""
    process = trainer(tmp_path, save={"save_every": 2})
    calculate, log_batch = process.calculate_loss, process._loss_logging._losses.log_batch

    def with_fault(noise_pred: Any, noise: Any, noisy_latents: Any, timesteps: Any, batch: Any, **rest: Any) -> Any:
        if process.step_num == 2:
            batch.file_items = batch.file_items * 3  # rows that cannot be told apart
        return calculate(noise_pred, noise, noisy_latents, timesteps, batch, **rest)

    def refused(step: int, *args: Any, **kwargs: Any) -> None:
        if step >= 2:
            raise ValueError("no such thing")
        log_batch(step, *args, **kwargs)

    if fault == "stop":
        process._loss_logging._losses.log_batch = refused
    else:
        process.calculate_loss = with_fault
    process.run()
    reports = sorted((tmp_path / "run" / "loss_logging").glob("*.json"))
    warnings = {int(path.stem[-9:]): read_report(path).warnings for path in reports}
    reason = "2 losses for 6 items" if fault == "unknown rows" else "ValueError: no such thing"
    missing = {step: sum(int(w.split()[0]) for w in said if reason in w) for step, said in warnings.items()}
    rows = {path: read_report(path).global_.count for path in reports}
    assert missing[max(missing)] == 12 - rows[reports[-1]] > 0
    assert [*missing.values()] == sorted(missing.values())


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"log_evry": 5}, "$.loss_logging.log_evry is no configuration key; did you mean log_every?"),
        ({"loggers": ["wandbb"]}, "wandbb"),
        ([1], "$.loss_logging: got [1] (list); allowed: a mapping"),
    ],
)
def test_a_typo_is_named_and_training_goes_on(
    section: Any, expected: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The message names the key and the fix, at the start."""
    process = trainer(tmp_path, section)
    (warning,) = warnings_in(caplog)
    assert expected in warning
    assert warning.endswith("Training goes on.")
    process.run()
    assert len(process.scalars) == 6
    assert not (tmp_path / "run" / "loss_logging").exists()


def test_the_section_may_be_missing_misspelt_or_elsewhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Missing and misspelt are said; false is not; beside ``process`` it counts too. `logging` is ai-toolkit's own."""
    process = trainer(tmp_path / "a", False, logging={"log_every": 1})
    del process.config["loss_logging"]
    ours = type(process)
    said = {}
    for name, config in {"missing": {}, "misspelt": {"loss_loging": True}, "false": {"loss_logging": False}}.items():
        caplog.clear()
        ours(0, process.job, {**process.config, **config}).run()
        said[name] = warnings_in(caplog)
    assert "add `loss_logging: true`" in said["missing"][0]
    assert "did you mean loss_logging?" in said["misspelt"][0]
    assert said["false"] == []
    job = SimpleNamespace(name="run", config={"name": "run", "loss_logging": SECTION})
    ours(0, job, {**process.config, "training_folder": str(tmp_path / "b")}).run()
    assert len(rows_of(tmp_path / "b")) == 12


def test_nobody_has_to_name_the_model(tmp_path: Path) -> None:
    """The job's ``model.arch`` says it; what the section says goes before, key by key."""
    section = {**SECTION, "captions": {"max_words": 9}}
    process = trainer(tmp_path, section, model={"arch": "flux2_klein_4b"})
    captions = process._loss_logging._losses.config.captions
    assert (captions.trainer, captions.model, captions.max_words) == ("ai-toolkit", "flux2", 9)


@pytest.mark.parametrize("seam", ["calculate_loss", "hook_train_loop", "hook_before_train_loop"])
def test_another_ai_toolkit_is_named_and_training_goes_on(
    seam: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The message names what was looked for."""

    class Other(standin.SDTrainer):
        calculate_loss = None if seam == "calculate_loss" else standin.SDTrainer.calculate_loss
        hook_train_loop = None if seam == "hook_train_loop" else standin.SDTrainer.hook_train_loop
        hook_before_train_loop = None

        def run(self) -> None:
            pass

    monkeypatch.setattr(standin, "SDTrainer", Other)
    trained(tmp_path)
    (warning,) = warnings_in(caplog)
    assert f"{seam}(" in warning
    assert "Training goes on." in warning


def test_a_seam_that_is_never_called_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After 20 steps, with what may be the reason."""
    trained(tmp_path, train={"loss_type": "mean_flow", "steps": 25})
    (warning,) = warnings_in(caplog)
    assert "20 steps have ended and no batch came by" in warning
    assert "mean_flow" in warning
    assert rows_of(tmp_path) == []


def test_a_trainer_that_is_missing_is_said_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """ai-toolkit asks every extension at the start of every job: that must not fail."""
    monkeypatch.delitem(sys.modules, "extensions_built_in.sd_trainer.DiffusionTrainer")
    _, extension = AI_TOOLKIT_EXTENSIONS
    process = extension.get_process()
    with pytest.raises(LossLoggingError, match=r"give the job the type diffusion_trainer"):
        process(0, None, {})


def test_another_rank_logs_and_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Rank 1 of 2 writes its records for rank 0 to report on; it saves, shows and warns about nothing."""
    for name, value in {"RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    other = trainer(tmp_path, is_main_process=False, training_seed=1)
    monkeypatch.setenv("RANK", "0")
    main = trainer(tmp_path)
    save = main.save

    def run_other_first(step: int | None = None) -> None:
        if step is None:
            other.run()
        save(step)

    main.save = run_other_first
    main.run()
    report = read_report(tmp_path / "run" / "loss_logging" / "run_000000006.json")
    assert (report.job.world_size, report.global_.count, report.warnings) == (2, 24, [])
    assert "cats" not in "".join(other.postfixes)
    assert "cats" in main.postfixes[-1]
    assert all("missing" in warning for warning in warnings_in(caplog))


def test_the_example_is_an_extension_that_ai_toolkit_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is found as ai-toolkit finds extensions, and the example's job names a type of it and is valid."""
    shutil.copytree(EXAMPLES / "loss_logging", tmp_path / "extensions" / "loss_logging")
    monkeypatch.syspath_prepend(tmp_path)
    found: list[Any] = []
    for module in pkgutil.iter_modules([str(tmp_path / "extensions")]):
        found += importlib.import_module(f"extensions.{module.name}").AI_TOOLKIT_EXTENSIONS
        monkeypatch.delitem(sys.modules, f"extensions.{module.name}")
    monkeypatch.delitem(sys.modules, "extensions")
    job = yaml.safe_load((EXAMPLES / "train_lora.yaml").read_text())
    (process,) = job["config"]["process"]
    assert process["type"] in {extension.uid for extension in found}
    config = {**process, "training_folder": str(tmp_path), "datasets": [CATS], "model": {}}
    made = trainer(tmp_path, process["loss_logging"], uid=process["type"], **{
        key: value for key, value in config.items() if key in ("datasets", "model", "save", "logging")})  # fmt: skip
    assert made._loss_logging is not None
    made._loss_logging.end()


# --- what a person has excluded -----------------------------------------------------------------------------------


def test_what_is_excluded_is_not_trained_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The training is bit for bit that of folders without it, also of repeats; log and report say how much."""
    (tmp_path / "exclude.txt").write_text("/data/cats/2.png\n/data/dogs/0.png\n", encoding="utf-8")
    decided = {**SECTION, "exclude": str(tmp_path / "exclude.txt")}
    datasets = [{**CATS, "num_repeats": 2}, {**DOGS, "is_reg": True}]
    ours = trained(tmp_path / "ours", decided, datasets=datasets)
    rest = [
        {**one, "files": {name: text for name, text in one["files"].items() if name != gone}}
        for one, gone in zip(datasets, ("2.png", "0.png"), strict=True)
    ]
    plain = trained(tmp_path / "plain", None, datasets=rest)
    assert all(torch.equal(tensor, plain.weights[name]) for name, tensor in ours.weights.items())
    assert ours.scalars == plain.scalars
    report = read_report(sorted((tmp_path / "ours/run/loss_logging").glob("*.json"))[-1])
    assert report.excluded == {"cats": 1, "dogs": 1}
    said = [sentence for sentence in warnings_in(caplog) if "left out" in sentence]
    assert said == ["left out of the training, as was decided: 2 items (cats 1, dogs 1)"]


def test_exclusions_that_cannot_be_are_an_error_before_the_training(tmp_path: Path) -> None:
    """A list that is not there when the job is read; a folder of which nothing stays when it is listed."""
    decided = {**SECTION, "exclude": str(tmp_path / "exclude.txt")}
    with pytest.raises(ConfigError, match=r"exclude: .*exclude\.txt: no such file"):
        trainer(tmp_path, decided)
    (tmp_path / "exclude.txt").write_text("".join(f"/data/dogs/{i}.png\n" for i in range(4)), encoding="utf-8")
    process = trainer(tmp_path, decided)
    with pytest.raises(ConfigError, match="all 4 items of the dataset 'dogs' are excluded"):
        process.run()
    assert not process.scalars


def test_another_ai_toolkit_says_that_nothing_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose datasets are made in another way, with what to do."""
    monkeypatch.setitem(sys.modules, "toolkit.data_loader", SimpleNamespace())
    trained(tmp_path)
    assert any("nothing is left out" in sentence and "apply" in sentence for sentence in warnings_in(caplog))
