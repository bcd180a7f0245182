"""SimpleTuner: a stand-in that loads the tracker as it does, and calls a small model that truly trains in its order."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from records import by_step, component

from loss_logging import read_report
from loss_logging.errors import ConfigError

accelerate = pytest.importorskip("accelerate")

CAPTIONS = [f"picture {i}" for i in range(6)]
EXAMPLE = Path(__file__).parents[3] / "examples" / "simpletuner" / "losses.py"


class Model:
    """What SimpleTuner calls a model foundation: it has the loss."""

    def __init__(self, config: SimpleNamespace) -> None:
        torch.manual_seed(0)
        self.config = config
        self.network = torch.nn.Conv2d(4, 4, 1)
        self.dropout = torch.nn.Dropout(0.1)

    def prepare_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Embeddings, noise and timesteps."""
        batch["encoder_hidden_states"] = batch["prompt_embeds"].to(dtype=self.config.weight_dtype)
        batch["added_cond_kwargs"] = {"text_embeds": batch["add_text_embeds"].to(dtype=self.config.weight_dtype)}
        latents = batch["latent_batch"]
        batch["noise"], batch["timesteps"] = torch.randn_like(latents), torch.rand(len(latents)) * 1000
        share = (batch["timesteps"] / 1000).view(-1, 1, 1, 1)
        batch["noisy_latents"] = (1 - share) * latents + share * batch["noise"]
        return batch

    def get_prediction_target(self, prepared_batch: dict[str, Any]) -> torch.Tensor:
        """The noise."""
        target: torch.Tensor = prepared_batch["noise"]
        return target

    def loss(self, prepared_batch: dict[str, Any], model_output: Any, apply_conditioning_mask: bool = True) -> Any:
        """The mean over all but the batch, weighted by timestep with snr_gamma, and the mean of these."""
        target = self.get_prediction_target(prepared_batch)
        loss = F.mse_loss(model_output["model_prediction"].float(), target.float(), reduction="none")
        if self.config.snr_gamma:
            loss = loss * (1 + prepared_batch["timesteps"] / 1000).view(-1, 1, 1, 1)
        return loss.mean(dim=[1, 2, 3]).mean()


class ModelWithLogs(Model):
    """As since 4: the trainer asks for figures, too, and some models have a loss of another kind there."""

    kind = "plain"

    def loss_with_logs(
        self, prepared_batch: dict[str, Any], model_output: Any, apply_conditioning_mask: bool = True
    ) -> tuple[torch.Tensor, dict[str, float] | None]:
        """The loss, or a sum of the video's own and the sound's."""
        if self.kind == "plain":
            return self.loss(prepared_batch, model_output, apply_conditioning_mask=apply_conditioning_mask), None
        sound = model_output["model_prediction"].abs().amax()
        return F.mse_loss(model_output["model_prediction"], prepared_batch["noise"]) + sound, {"sound": sound.item()}


class StateTracker:
    """Where the parts of SimpleTuner find each other."""

    has_empty = True

    @classmethod
    def get_default_text_embed_cache(cls) -> str:
        """The cache."""
        return "cache"

    @classmethod
    def get_model(cls) -> None:
        """The model."""


def compute_prompt_embeddings(prompt_entries: list[Any], text_embed_cache: Any, model: Any) -> dict[str, Any]:
    """(B, 2, 4) and (B, 4) for prompts whose embeddings are in the cache."""
    prompts = [entry["prompt"] for entry in prompt_entries]
    if not StateTracker.has_empty and set(prompts) == {""}:
        raise FileNotFoundError("no embedding")
    values = torch.tensor([[len(prompt), sum(map(ord, prompt)) % 7] for prompt in prompts], dtype=torch.float64)
    return {"prompt_embeds": values[:, :, None].expand(-1, -1, 4) / 7, "pooled_prompt_embeds": values.repeat(1, 2) / 9}


def collate_fn(batch: list[dict[str, Any]]) -> dict[str, Any]:
    """Drops the caption of every third sample, as its dropout does, and forgets the file names, as 3.1 does."""
    samples = batch[0]["training_samples"]
    for sample in samples:
        if int(Path(sample["image_path"]).stem) % 3 == 0:
            sample["instance_prompt_text"] = ""
    latents = [
        torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(int(Path(sample["image_path"]).stem)))
        for sample in samples
    ]
    records = [{"prompt": sample["instance_prompt_text"]} for sample in samples]
    encoding = compute_prompt_embeddings(records, StateTracker.get_default_text_embed_cache(), None)
    return {
        "latent_batch": torch.stack(latents),
        "text_encoder_output": encoding,
        "prompt_embeds": encoding["prompt_embeds"],
        "add_text_embeds": encoding["pooled_prompt_embeds"],
        "prompts": [sample["instance_prompt_text"] for sample in samples],
        "is_regularisation_data": batch[0]["is_regularisation_data"],
    }


def trainer_class(steps: int, calls_loss: bool = True) -> Any:
    """Trainer, with the order of calls of its training loop."""

    class Trainer:
        def __init__(self, out: Path, snr_gamma: float | None = None, step: int = 0) -> None:
            self.config = SimpleNamespace(output_dir=str(out), snr_gamma=snr_gamma, weight_dtype=torch.float32)
            self.model = Model(self.config)
            self.state = {"global_step": step}
            self.scalars: list[float] = []
            self.backends: list[Any] = []
            self.accelerator: Any = None

        def load_tracker(self, file: Path) -> None:
            spec = importlib.util.spec_from_file_location(f"simpletuner.custom_trackers.{file.stem}", file)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            mine = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
            (tracker,) = [value for value in mine if isinstance(value, type)]
            self.accelerator = accelerate.Accelerator(cpu=True, log_with=[tracker("cats", logging_dir="logs")])

        def model_predict(self, prepared_batch: dict[str, Any], custom_timesteps: Any = None) -> Any:
            text = prepared_batch["encoder_hidden_states"].mean(1) + prepared_batch["added_cond_kwargs"]["text_embeds"]
            noisy = self.model.dropout(prepared_batch["noisy_latents"])
            return {"model_prediction": self.model.network(noisy + text[:, :, None, None])}

        def checkpoint_state_save(self, output_dir: str, suffix: str | None = None) -> str:
            path = Path(output_dir, f"checkpoint-{self.state['global_step']}")
            path.mkdir()
            return str(path)

        def init_data_backend(self) -> None:
            self.backends = [{"metadata_backend": MetadataBackend(name)} for name in ("cats", "reg")]
            for backend in self.backends:
                sys.modules[LOADER].FactoryRegistry()._handle_bucket_operations({}, backend, None)

        def samples(self, step: int) -> list[dict[str, Any]]:
            if not self.backends:
                return samples(step)
            backend = self.backends[step % 2]["metadata_backend"]
            paths = [path for bucket in backend.aspect_ratio_bucket_indices.values() for path in bucket]
            return batch_of([paths[(3 * step + i) % len(paths)] for i in range(3)], backend.id)

        def train(self) -> None:
            torch.manual_seed(3)
            self.accelerator.init_trackers("project", config={})
            optimizer = torch.optim.AdamW(self.model.network.parameters(), lr=1e-2)
            for i in range(self.state["global_step"], steps):
                batch = self.model.prepare_batch(sys.modules[LOADER].collate_fn(self.samples(i)))
                output = self.model_predict(prepared_batch=batch)
                given = {"prepared_batch": batch, "model_output": output, "apply_conditioning_mask": True}
                if calls_loss and isinstance(self.model, ModelWithLogs):
                    loss, _ = self.model.loss_with_logs(**given)
                elif calls_loss:
                    loss = self.model.loss(**given)
                else:
                    loss = output["model_prediction"].square().mean()
                self.model.loss(batch, output)  # as a regulariser does
                self.accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
                self.scalars.append(loss.item())
                self.state["global_step"] += 1
                self.accelerator.log({"train_loss": loss.item()}, step=self.state["global_step"])
                if self.state["global_step"] % 3 == 0:
                    self.checkpoint_state_save(self.config.output_dir)
                    with torch.no_grad():  # its evaluation
                        self.model.loss(batch, self.model_predict(batch))
            self.accelerator.end_training()

    return Trainer


COLLATE = "simpletuner.helpers.training.collate"
TRAINER, LOADER = "simpletuner.helpers.training.trainer", "simpletuner.helpers.data_backend.factory"
METADATA = "simpletuner.helpers.metadata.backends.base"


def samples(step: int) -> list[dict[str, Any]]:
    """A batch of 3 of one data backend, every second one of regularisation images."""
    return batch_of([f"/data/{(3 * step + i) % 6}.png" for i in range(3)], "reg" if step % 2 else "cats")


def batch_of(paths: list[str], backend: str) -> list[dict[str, Any]]:
    rows = [
        {"image_path": path, "data_backend_id": backend, "instance_prompt_text": CAPTIONS[int(Path(path).stem)]}
        for path in paths
    ]
    return [{"training_samples": rows, "is_regularisation_data": backend == "reg"}]


class MetadataBackend:
    """The files of a data backend, by aspect ratio."""

    def __init__(self, name: str) -> None:
        self.id, self.read_only = name, False
        folder = "/data" if name == "cats" else "/data/reg"
        self.aspect_ratio_bucket_indices = {
            "1.0": [f"{folder}/{i}.png" for i in (0, 1, 2, 4)],
            "1.5": [f"{folder}/{i}.png" for i in (3, 5)],
        }

    def split_buckets_between_processes(
        self, gradient_accumulation_steps: int = 1, apply_padding: bool = False
    ) -> None:
        self.cached = {name: sorted(paths) for name, paths in self.aspect_ratio_bucket_indices.items()}


class FactoryRegistry:
    """Makes the backends; with an evaluation dataset, it splits no other."""

    def _handle_bucket_operations(
        self, backend: Any, init_backend: Any, conditioning_type: Any, skip_bucket_split: bool = False
    ) -> None:
        if init_backend["metadata_backend"].id == "cats":
            init_backend["metadata_backend"].split_buckets_between_processes()


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Puts the stand-in where the adapter looks for SimpleTuner."""

    def into(kind: Any, loader: Any = collate_fn) -> Any:
        for name in ("simpletuner", "simpletuner.helpers", "simpletuner.helpers.training"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, COLLATE, sys.modules[__name__])
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
