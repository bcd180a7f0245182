"""Lightning, on real small models."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from records import by_step

from loss_logging import TrainConfig, read_report
from loss_logging.errors import LossLoggingError

lightning = pytest.importorskip("lightning.pytorch")

from loss_logging.integrations.trainers.lightning import LossLoggingCallback  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*treespec"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint"),
    pytest.mark.filterwarnings("ignore:.*number of training batches"),
]


class Images(torch.utils.data.Dataset[Any]):
    """Noise with a class, a path, a dataset and a caption."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(index))
        names = {"path": f"{index}.png", "dataset": "odd" if index % 2 else "even", "caption": f"image {index}"}
        return {"image": image, "label": index % 3, **names}


class Module(lightning.LightningModule):  # type: ignore[misc]
    """A classifier; ``kind`` says what its training_step returns."""

    def __init__(self, kind: str, fails_at: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.fails_at = fails_at
        self.layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3))
        self.scalars: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if batch_idx == self.fails_at:
            raise RuntimeError("of the user's own")
        logits = self.layers(batch["image"])
        loss = F.cross_entropy(logits, batch["label"])
        result: Any = {"loss": loss, "accuracy": (logits.argmax(1) == batch["label"]).float().mean()}
        if self.kind == "scalar":
            result = loss
        elif self.kind == "two terms":
            loss = result = loss + self.layers[1].weight.square().sum()
        elif self.kind == "returned":
            losses = F.cross_entropy(logits, batch["label"], reduction="none")
            loss = losses.mean() + self.layers[1].weight.square().sum()
            result = {"loss": loss, "per_example_loss": losses.detach()}
            loss = losses.mean()
        self.scalars.append(float(loss.detach()))
        return result

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=0.01)


def fit(
    folder: Path, module: Module, callbacks: list[Any], data: Any = None, *, steps: int = 6,
    ckpt: str | None = None, **more: Any,
) -> Any:  # fmt: skip
    loader = torch.utils.data.DataLoader(data or Images(), batch_size=4, shuffle=False)
    trainer = lightning.Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder, callbacks=callbacks, **{"enable_checkpointing": False, **more},
    )  # fmt: skip
    trainer.fit(module, loader, ckpt_path=ckpt)
    return trainer


def config_of(folder: Path) -> TrainConfig:
    return TrainConfig(job_name="run", save_root=folder, loggers=[], reporter="inline")


@pytest.mark.parametrize("kind", ["scalar", "mapping", "returned"])
def test_losses_add_up_to_the_scalar(kind: str, tmp_path: Path) -> None:
    """The mean of the examples' losses is the scalar of training_step, and each has its names."""
    module = Module(kind)
    fit(tmp_path, module, [LossLoggingCallback(config_of(tmp_path))])
    steps = by_step(tmp_path)
    assert sorted(steps) == [1, 2, 3, 4, 5, 6]
    for step, scalar in enumerate(module.scalars, 1):
        assert sum(row["loss"] for row in steps[step]) / 4 == pytest.approx(scalar, rel=1e-5)
    assert [(r["path"], r["dataset"], r["caption"]) for r in steps[1]][:2] == [
        ("0.png", "even", "image 0"),
        ("1.png", "odd", "image 1"),
    ]
    assert "training_step" not in vars(module)


def test_training_is_bit_for_bit_the_same(tmp_path: Path) -> None:
    """The weights after training are those of the same run without us."""
    plain, watched = Module("scalar"), Module("scalar")
    fit(tmp_path / "a", plain, [])
    fit(tmp_path / "b", watched, [LossLoggingCallback(config_of(tmp_path / "b"))])
    assert all(torch.equal(value, watched.state_dict()[name]) for name, value in plain.state_dict().items())


def test_gradient_accumulation_counts_optimizer_steps(tmp_path: Path) -> None:
    """The batches of one optimizer step are logged under that step."""
    fit(tmp_path, Module("scalar"), [LossLoggingCallback(config_of(tmp_path))], steps=3, accumulate_grad_batches=2)
    assert {step: len(rows) for step, rows in by_step(tmp_path).items()} == {1: 8, 2: 8, 3: 8}


def test_it_reports_at_checkpoints_and_resumes_from_one(tmp_path: Path) -> None:
    """A report at each checkpoint; a run that goes on from one logs what follows once."""
    for ckpt in (None, str(tmp_path / "step=2.ckpt")):
        saver = lightning.callbacks.ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=2, save_top_k=-1)
        callbacks = [LossLoggingCallback(config_of(tmp_path)), saver]
        fit(tmp_path, Module("scalar"), callbacks, ckpt=ckpt, enable_checkpointing=True)
    reports = [read_report(path) for path in config_of(tmp_path).report_paths()]
    assert [report.job.step for report in reports] == [2, 4, 6]
    assert reports[-1].global_.count == 24
    assert reports[-1].job.resumed_from == 2


def test_the_training_may_be_saved_and_go_on_after_its_end(tmp_path: Path) -> None:
    """A checkpoint after fit() is written; a second fit() logs what follows, under the steps that follow."""
    module = Module("scalar")
    trainer = fit(tmp_path, module, [LossLoggingCallback(config_of(tmp_path))], steps=2)
    trainer.save_checkpoint(tmp_path / "final.ckpt")
    assert (tmp_path / "final.ckpt").exists()
    trainer.fit_loop.epoch_loop.max_steps = 5
    trainer.fit(module, torch.utils.data.DataLoader(Images(), batch_size=4))
    assert {step: len(rows) for step, rows in by_step(tmp_path).items()} == dict.fromkeys(range(1, 6), 4)
    reports = [read_report(path) for path in config_of(tmp_path).report_paths()]
    assert [(report.job.step, report.global_.count) for report in reports] == [(2, 8), (5, 20)]


def test_an_exception_is_the_users_own_and_its_checkpoint_is_written(tmp_path: Path) -> None:
    """A training that fails fails as without us, leaves its last checkpoint, and what it had logged."""
    saver = lightning.callbacks.ModelCheckpoint(tmp_path, save_on_exception=True)
    callbacks = [LossLoggingCallback(config_of(tmp_path)), saver]
    with pytest.raises(RuntimeError, match="of the user's own"):
        fit(tmp_path, Module("scalar", fails_at=2), callbacks, enable_checkpointing=True)
    assert len(list(tmp_path.glob("*.ckpt"))) == 1
    assert sorted(by_step(tmp_path)) == [1, 2]


@pytest.mark.parametrize(("tokens", "strings"), [("text", "caption"), ("caption", "text")])
def test_tokens_are_not_captions(tokens: str, strings: str, tmp_path: Path) -> None:
    """Where a batch has tokens under one of the names of captions, the captions are the strings beside them."""

    class Tokens(Images):
        def __getitem__(self, index: int) -> dict[str, Any]:
            item = super().__getitem__(index)
            return item | {strings: item["caption"], tokens: torch.arange(5)}

    fit(tmp_path, Module("scalar"), [LossLoggingCallback(config_of(tmp_path))], Tokens(), steps=1)
    assert [row["caption"] for row in by_step(tmp_path)[1]] == [f"image {i}" for i in range(4)]


def test_numbers_are_names(tmp_path: Path) -> None:
    """Paths and datasets that are numbers, of which a loader makes tensors, name the items and their datasets."""

    class Numbered(Images):
        def __getitem__(self, index: int) -> dict[str, Any]:
            return super().__getitem__(index) | {"path": 100 + index, "dataset": index % 2}

    fit(tmp_path, Module("scalar"), [LossLoggingCallback(config_of(tmp_path))], Numbered())
    rows = [row for of_step in by_step(tmp_path).values() for row in of_step]
    assert [(row["path"], row["dataset"]) for row in rows] == [(f"{100 + i}", f"{i % 2}") for i in range(24)]


def test_a_loss_of_two_terms_is_not_guessed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the losses are not known nothing is logged, training goes on, and the warning names the way out."""
    module = Module("two terms")
    fit(tmp_path, module, [LossLoggingCallback(config_of(tmp_path))])
    assert len(module.scalars) == 6
    assert by_step(tmp_path) == {}
    (warning,) = [r.getMessage() for r in caplog.records if r.name == "loss_logging" and r.levelno == logging.WARNING]
    assert 'return {"loss": loss, "per_example_loss": losses}' in warning


@pytest.mark.parametrize("folders", [("a", "a"), ("a", "b")])
def test_two_callbacks_do_not_stop_the_training(
    folders: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of one run, the second one writes it and the first one says so once; of two, both have all losses. Afterwards
    the module is as it was, and the same callbacks log another training."""
    callbacks = [LossLoggingCallback(config_of(tmp_path / folder)) for folder in folders]
    module = Module("scalar")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            fit(tmp_path, module, callbacks)
            assert "training_step" not in vars(module)
            for folder in folders:
                steps = by_step(tmp_path / folder)
                assert {step: len(rows) for step, rows in steps.items()} == dict.fromkeys(range(1, 7), 4)
    assert len(module.scalars) == 12
    said = [line for line in caplog.messages if "another one of this process writes its run" in line]
    assert len(said) == len(folders) - len({*folders})


def test_a_batch_without_names_is_an_error(tmp_path: Path) -> None:
    """Names that cannot be found are an error at the first batch that says how to give them."""
    callback = LossLoggingCallback(config_of(tmp_path), identify=None)
    loader = torch.utils.data.DataLoader([(torch.rand(3, 8, 8), 1)])
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(
        max_steps=1, accelerator="cpu", enable_checkpointing=False, callbacks=[callback], **quiet
    )
    with pytest.raises(LossLoggingError, match="give identify="):
        trainer.fit(Module("scalar"), loader)


def test_what_is_excluded_is_not_trained_on(tmp_path: Path) -> None:
    """A loader over the callback's subset trains as one over a dataset without the items, and reports count them."""
    (tmp_path / "exclude.txt").write_text("3.png\n10.png\n", encoding="utf-8")
    config = TrainConfig(
        job_name="run", save_root=tmp_path, loggers=[], reporter="inline", exclude=tmp_path / "exclude.txt"
    )
    callback = LossLoggingCallback(config)
    paths = [f"{i}.png" for i in range(24)]
    sources = ["odd" if i % 2 else "even" for i in range(24)]
    module, plain = Module("scalar"), Module("scalar")
    fit(tmp_path, module, [callback], callback.exclusions.subset(Images(), paths, sources))
    rest = torch.utils.data.Subset(Images(), [i for i in range(24) if i not in (3, 10)])
    fit(tmp_path, plain, [], rest)
    assert all(torch.equal(tensor, plain.state_dict()[name]) for name, tensor in module.state_dict().items())
    assert read_report(config.report_paths()[-1]).excluded == {"even": 1, "odd": 1}
    assert not {"3.png", "10.png"} & {row["path"] for rows in by_step(tmp_path).values() for row in rows}
