"""SimpleTuner: a stand-in that loads the tracker as it does, and trains a small model."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import simpletuner_standin
import torch
from records import by_step, component
from simpletuner_standin import (
    CAPTIONS,
    COLLATE,
    LOADER,
    METADATA,
    TRAINER,
    FactoryRegistry,
    MetadataBackend,
    Model,
    ModelWithLogs,
    StateTracker,
    collate_fn,
    samples,
    trainer_class,
)

from loss_logging import read_report
from loss_logging.errors import ConfigError

accelerate = pytest.importorskip("accelerate")

EXAMPLE = Path(__file__).parents[3] / "examples" / "simpletuner" / "losses.py"


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Puts the stand-in where the adapter looks for SimpleTuner."""

    def into(kind: Any, loader: Any = collate_fn) -> Any:
        for name in ("simpletuner", "simpletuner.helpers", "simpletuner.helpers.training"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, COLLATE, simpletuner_standin)
        monkeypatch.setitem(sys.modules, "simpletuner.helpers.data_backend", ModuleType("data_backend"))
        monkeypatch.setitem(sys.modules, TRAINER, ModuleType(TRAINER))
        monkeypatch.setitem(sys.modules, LOADER, ModuleType(LOADER))
        sys.modules[TRAINER].Trainer = kind  # type: ignore[attr-defined]
        sys.modules[LOADER].collate_fn = loader  # type: ignore[attr-defined]
        sys.modules[LOADER].FactoryRegistry = FactoryRegistry  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, METADATA, ModuleType(METADATA))
        sys.modules[METADATA].MetadataBackend = MetadataBackend  # type: ignore[attr-defined]
        return kind

    yield into
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)


SECTION = '[loss_logging]\nreporter = "inline"\npaired_fraction = 0.5\n'


def tracker_file(folder: Path, section: str | None = SECTION) -> Path:
    """What a user puts into simpletuner/custom-trackers."""
    config = folder / "losses.toml"
    if section is not None:
        config.write_text(section, encoding="utf-8")
    file = folder / "losses.py"
    file.write_text(f"{EXAMPLE.read_text(encoding='utf-8')}    config = {str(config)!r}\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(("snr_gamma", "model"), [(None, Model), (5.0, ModelWithLogs)])
def test_each_file_has_its_loss_and_training_is_bit_for_bit_the_same(
    snr_gamma: float | None, model: type[Model], install: Callable[..., Any], tmp_path: Path
) -> None:
    """Files, datasets, captions, dropped ones, regularisation; one row per example, with the scalar as their mean."""
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    plain = install(trainer_class(7))(tmp_path / "without", snr_gamma)
    plain.model = model(plain.config)
    plain.accelerator = accelerate.Accelerator(cpu=True)
    plain.train()
    trainer = install(trainer_class(7))(tmp_path / "with", snr_gamma)
    trainer.model = model(trainer.config)
    trainer.load_tracker(tracker_file(tmp_path))
    trainer.train()
    assert trainer.scalars == plain.scalars
    state = plain.model.network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in trainer.model.network.state_dict().items())
    rows, paired = by_step(tmp_path / "with"), 0
    assert sorted(rows) == [*range(1, 8)]
    for step, of_step in rows.items():
        given = samples(step - 1)[0]
        assert [row["path"] for row in of_step] == [sample["image_path"] for sample in given["training_samples"]]
        assert {row["dataset"] for row in of_step} == {"cats" if step % 2 else "reg"}
        assert {row["is_reg"] for row in of_step} == {step % 2 == 0}
        for row in of_step:
            number = int(Path(row["path"]).stem)
            assert row["caption"] == ("" if number % 3 == 0 else CAPTIONS[number])
            assert row["caption_dropped"] == (number % 3 == 0)
        weights = [1 + row["timestep"] / 1000 if snr_gamma else 1 for row in of_step]
        mean = sum(row["loss"] * weight for row, weight in zip(of_step, weights, strict=True)) / 3
        assert mean == pytest.approx(trainer.scalars[step - 1], rel=1e-5)
        pairs = {row["loss_empty"] is not None for row in of_step}
        assert len(pairs) == 1
        paired += pairs == {True}
        for row in of_step if pairs == {True} else ():  # at the same noise and timestep, with the same dropout
            assert (row["loss_empty"] == row["loss"]) == (row["caption"] == "")
        if snr_gamma:
            assert sum(component(row, "weighted") for row in of_step) / 3 == pytest.approx(mean, rel=1e-5)
    assert 0 < paired < len(rows)
    reports = sorted(path.name for path in (tmp_path / "with" / "loss_logging").glob("*.json"))
    assert reports == [f"cats_{step:09d}.json" for step in (3, 6, 7)]
    checkpoints = {path.name for path in (tmp_path / "with").iterdir()} - {"loss_logging"}
    assert checkpoints == {path.name for path in (tmp_path / "without").iterdir()}


def test_a_loss_of_two_kinds_is_counted(install: Callable[..., Any], tmp_path: Path) -> None:
    """Of a model with a loss_with_logs of its own: each batch, with the reason, and nothing is guessed."""
    trainer = install(trainer_class(3))(tmp_path)
    trainer.model = ModelWithLogs(trainer.config)
    trainer.model.kind = "of two kinds"
    trainer.load_tracker(tracker_file(tmp_path))
    trainer.train()
    assert (len(trainer.scalars), by_step(tmp_path)) == (3, {})
    warnings = read_report(max((tmp_path / "loss_logging").glob("*.json"))).warnings
    assert any("3 batches were not logged" in line and "not one mean over the examples" in line for line in warnings)


@pytest.mark.parametrize(
    ("without", "said"),
    [("empty", "the cache of text embeddings lacks it (FileNotFoundError: no embedding)"), ("states", "has changed")],
)
def test_a_batch_without_a_pair_is_counted_and_said_once(
    without: str,
    said: str,
    install: Callable[..., Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the empty caption is not cached, or the model makes something else of it, all else is logged."""
    trainer = install(trainer_class(7))(tmp_path)
    if without == "empty":
        monkeypatch.setattr(StateTracker, "has_empty", False)
    else:
        prepare = trainer.model.prepare_batch

        def changed(batch: dict[str, Any]) -> dict[str, Any]:
            prepared: dict[str, Any] = prepare(batch)
            return {**prepared, "encoder_hidden_states": prepared["encoder_hidden_states"] * 2}

        trainer.model.prepare_batch = changed
    trainer.load_tracker(tracker_file(tmp_path))
    trainer.train()
    rows = [row for of_step in by_step(tmp_path).values() for row in of_step]
    assert (len(rows), {row["loss_empty"] for row in rows}) == (21, {None})
    assert len([record for record in caplog.records if said in record.message]) == 1
    warnings = read_report(max((tmp_path / "loss_logging").glob("*.json"))).warnings
    assert len([line for line in warnings if "no losses with the empty caption" in line and said in line]) >= 1


def test_a_checkpoint_resumes_the_log(install: Callable[..., Any], tmp_path: Path) -> None:
    """What came after it is gone, and the figures are those of one run."""
    out = tmp_path / "out"
    out.mkdir()
    trainer = install(trainer_class(5))(out)
    trainer.load_tracker(tracker_file(tmp_path))
    trainer.train()
    resumed = install(trainer_class(5))(out, step=3)
    resumed.load_tracker(tracker_file(tmp_path))
    resumed.train()
    assert {step: len(rows) for step, rows in by_step(out).items()} == dict.fromkeys(range(1, 6), 3)
    report = read_report(out / "loss_logging" / "cats_000000005.json")
    assert (report.job.resumed_from, report.global_.count) == (3, 15)


@pytest.mark.parametrize(
    ("section", "seam", "message"),
    [
        ("[loss_logging]\nlog_evry = 1\n", "", "did you mean log_every"),
        (None, "", "No such file"),
        ("[loss_logging]\n", "checkpoint_state_save", "it has no simpletuner.helpers.training.trainer.Trainer."),
        ("[loss_logging]\n", "collate_fn", "it has no simpletuner.helpers.data_backend.factory.collate_fn"),
    ],
)
def test_what_is_wrong_is_named_and_training_goes_on(
    section: str | None,
    seam: str,
    message: str,
    install: Callable[..., Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A bad section, a missing file, an unknown version: nothing is logged, and it trains."""
    kind = install(trainer_class(2))
    if seam == "collate_fn":
        del sys.modules[LOADER].collate_fn  # type: ignore[attr-defined]
    elif seam:
        delattr(kind, seam)
    trainer = kind(tmp_path)
    trainer.load_tracker(tracker_file(tmp_path, section))
    assert message in caplog.text
    if seam != "collate_fn":
        trainer.train()
        assert len(trainer.scalars) == 2
    assert not (tmp_path / "loss_logging").exists()


def test_a_loss_that_is_never_seen_is_said_so(
    install: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After 20 steps, once, with what can be done."""
    trainer = install(trainer_class(22, calls_loss=False))(tmp_path)
    trainer.load_tracker(tracker_file(tmp_path))
    trainer.model.loss = lambda *_, **__: torch.zeros(())
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert len(trainer.scalars) == 22
    assert len([record for record in caplog.records if "SimpleTuner: no per-example losses" in record.message]) == 1


def test_the_installed_simpletuner_has_the_seams() -> None:
    """Where there is one: what the adapter wraps is in its source, which is read and not imported."""
    spec = importlib.util.find_spec("simpletuner")
    if spec is None or spec.origin is None:
        pytest.skip("simpletuner is not installed")
    helpers = Path(spec.origin).parent / "helpers"
    trainer = (helpers / "training" / "trainer.py").read_text(encoding="utf-8")
    for name in (
        "def train(self)",
        "def init_data_backend(self)",
        "def model_predict(",
        "def checkpoint_state_save(",
        "def _load_custom_tracker(",
    ):
        assert name in trainer, name
    assert "collate_fn=lambda examples: collate_fn(" in (helpers / "data_backend" / "factory.py").read_text("utf-8")
    assert "def loss(self, prepared_batch" in (helpers / "models" / "common.py").read_text(encoding="utf-8")


# --- what a person has excluded -----------------------------------------------------------------------------------

GONE = ("/data/3.png", "/data/5.png", "/data/reg/1.png")


def test_what_is_excluded_is_not_trained_on(
    install: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The training is bit for bit that of backends without it, which are cached without it; the list on disk stays
    whole; log and report say how much it was, and afterwards SimpleTuner's classes are its own again."""
    (tmp_path / "exclude.txt").write_text("".join(f"{path}\n" for path in GONE), encoding="utf-8")
    section = f'[loss_logging]\nreporter = "inline"\nexclude = "{tmp_path}/exclude.txt"\n'
    seams = (MetadataBackend.split_buckets_between_processes, FactoryRegistry._handle_bucket_operations)
    trainer = install(trainer_class(6))(tmp_path)
    trainer.load_tracker(tracker_file(tmp_path, section))
    trainer.init_data_backend()
    trainer.train()
    assert (MetadataBackend.split_buckets_between_processes, FactoryRegistry._handle_bucket_operations) == seams
    cats, reg = (backend["metadata_backend"] for backend in trainer.backends)
    assert cats.cached == {"1.0": ["/data/0.png", "/data/1.png", "/data/2.png", "/data/4.png"]}
    assert cats.read_only
    assert reg.read_only
    report = read_report(sorted((tmp_path / "loss_logging").glob("*.json"))[-1])
    assert report.excluded == {"cats": 2, "reg": 1}
    assert not {row["path"] for rows in by_step(tmp_path).values() for row in rows} & set(GONE)
    said = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert said == ["left out of the training, as was decided: 3 items (cats 2, reg 1)"]

    make = MetadataBackend.__init__

    def without(self: Any, name: str) -> None:
        make(self, name)
        of = self.aspect_ratio_bucket_indices
        rest = {key: [path for path in paths if path not in GONE] for key, paths in of.items()}
        self.aspect_ratio_bucket_indices = {key: paths for key, paths in rest.items() if paths}

    monkeypatch.setattr(MetadataBackend, "__init__", without)
    (tmp_path / "plain").mkdir()
    plain = install(trainer_class(6))(tmp_path / "plain")
    plain.accelerator = accelerate.Accelerator(cpu=True)
    plain.init_data_backend()
    plain.train()
    assert plain.scalars == trainer.scalars


def test_exclusions_that_cannot_be_are_an_error_before_the_training(
    install: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that is not there; a backend of which nothing stays."""
    seams = ((MetadataBackend, "split_buckets_between_processes"), (FactoryRegistry, "_handle_bucket_operations"))
    for kind, name in seams:
        monkeypatch.setattr(kind, name, getattr(kind, name))  # since no training ends, nothing is put back
    section = f'[loss_logging]\nexclude = "{tmp_path}/exclude.txt"\n'
    for message in (r"exclude: .*exclude\.txt: no such file", "all 6 items of the dataset 'reg' are excluded"):
        trainer = install(trainer_class(6))(tmp_path)
        trainer.load_tracker(tracker_file(tmp_path, section))
        with pytest.raises(ConfigError, match=message):
            trainer.init_data_backend()
        assert not trainer.scalars
        (tmp_path / "exclude.txt").write_text("".join(f"/data/reg/{i}.png\n" for i in range(6)), encoding="utf-8")


def test_nobody_has_to_name_the_model(tmp_path: Path) -> None:
    """The trainer's settings say it, and the number of tokens."""
    from loss_logging.integrations.trainers.simpletuner import _Run
    from loss_logging.integrations.trainers.watch import Watch

    config = SimpleNamespace(output_dir=str(tmp_path), model_family="sd3", tokenizer_max_length=256)
    accelerator = SimpleNamespace(is_main_process=False)
    trainer: Any = SimpleNamespace(config=config, accelerator=accelerator, state={"global_step": 0})
    losses = _Run(trainer, "a", {"loss_logging": True}, Watch("SimpleTuner", ""))._begin()
    captions = losses.config.captions
    assert (captions.trainer, captions.model, captions.reading.max_tokens) == ("simpletuner", "sd3", 255)
    losses.close()
