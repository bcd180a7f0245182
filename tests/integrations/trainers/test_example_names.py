"""The names of a Trainer's examples: found in the data, which stay what they were."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from records import by_step
from tiny_trainers import Images, Texts, config_of, image_model, language_model, report_of, trainer_of, warning

from loss_logging import read_report
from loss_logging.errors import LossLoggingError

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from loss_logging.integrations.trainers.transformers import log_losses  # noqa: E402


@pytest.mark.parametrize(
    ("workers", "names"),
    [
        (0, [str(i) for i in range(24)]),
        (2, [f"{worker}/{i}" for worker in range(2) for i in range(12)]),
    ],
)
def test_streams_are_named_by_their_order(workers: int, names: list[str], tmp_path: Path) -> None:
    """A dataset without numbers works: its examples are counted, by each worker under names of its own."""

    class Stream(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            worker = torch.utils.data.get_worker_info()
            mine = range(24) if worker is None else range(worker.id, 24, worker.num_workers)
            return iter([Images()[i] for i in mine])

    trainer = trainer_of(tmp_path, image_model(), Stream(), dataloader_num_workers=workers)
    log_losses(trainer, config_of(tmp_path))
    trainer.train()
    assert sorted(row["path"] for rows in by_step(tmp_path).values() for row in rows) == sorted(names)


def test_a_stream_is_shuffled_as_without_us(tmp_path: Path) -> None:
    """It is told of each epoch, and its examples come in the same order and number."""

    class Stream(torch.utils.data.IterableDataset[Any]):
        def __init__(self) -> None:
            self.epoch = 0
            self.done: list[Any] = []

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch
            self.done.append(f"epoch {epoch}")

        def __len__(self) -> int:
            return 8

        def __iter__(self) -> Iterator[Any]:
            for i in torch.randperm(8, generator=torch.Generator().manual_seed(self.epoch)).tolist():
                self.done.append(i)
                yield Images()[i]

    plain, watched = Stream(), Stream()
    for stream in (plain, watched):
        trainer = trainer_of(tmp_path, image_model(), stream, max_steps=-1, num_train_epochs=3)
        if stream is watched:
            log_losses(trainer, config_of(tmp_path))
        trainer.train()
        assert trainer.state.global_step == 6
    assert "epoch 2" in plain.done
    assert watched.done == plain.done


def test_a_dataset_is_asked_for_whole_batches_as_without_us(tmp_path: Path) -> None:
    """A transform of several items at once, such as those of ``datasets``, sees the batches that it saw before."""

    class Batches(Images):
        def __init__(self) -> None:
            self.asked: list[list[int]] = []

        def __getitems__(self, indices: list[int]) -> list[Any]:
            self.asked.append(indices)
            return [self[i] for i in indices]

    plain, watched = Batches(), Batches()
    for data in (plain, watched):
        trainer = trainer_of(tmp_path, image_model(), data)
        if data is watched:
            log_losses(trainer, config_of(tmp_path))
        trainer.train()
    assert [len(indices) for indices in plain.asked] == [4] * 6
    assert watched.asked == plain.asked
    assert [[int(row["path"]) for row in rows] for rows in by_step(tmp_path).values()] == plain.asked


def test_a_batch_stays_what_the_collator_made_of_it(tmp_path: Path) -> None:
    """A compute_loss that takes the parts of a BatchEncoding as its attributes goes on doing so, and is logged."""

    class ByAttribute(transformers.Trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            outputs = model(inputs.pixel_values, labels=inputs.labels)
            return (outputs.loss, outputs) if return_outputs else outputs.loss

    trainer = trainer_of(tmp_path, image_model(), Images(), ByAttribute)
    collate = trainer.data_collator
    trainer.data_collator = lambda features: transformers.BatchEncoding(collate(features))
    log_losses(trainer, config_of(tmp_path))
    trainer.train()
    assert {step: len(rows) for step, rows in by_step(tmp_path).items()} == dict.fromkeys(range(1, 7), 4)


def test_a_stream_that_rank_0_reads_for_all_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On several ranks its names would not get through; the error has the option that is to be set, which works."""

    class Stream(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            return iter([Images()[i] for i in range(24)])

    monkeypatch.setattr(transformers.TrainingArguments, "world_size", 2)
    with pytest.raises(LossLoggingError, match=r'accelerator_config={"dispatch_batches": False}'):
        log_losses(trainer_of(tmp_path, image_model(), Stream()), config_of(tmp_path))
    options = {"accelerator_config": {"dispatch_batches": False}}
    log_losses(trainer_of(tmp_path, image_model(), Stream(), **options), config_of(tmp_path)).close()


def test_a_column_that_is_not_there_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A column with a typo does not end the training: one warning and the report list those that there are."""
    trainer = trainer_of(tmp_path, language_model(), Texts(), max_steps=2)
    log_losses(trainer, config_of(tmp_path), path="flie")
    trainer.train()
    assert re.search(r"no column 'flie'; it has .*file", warning(caplog))
    assert "2 batches were not logged (8 examples): log_losses: the dataset has no" in report_of(tmp_path).warnings[0]


def test_a_column_of_a_table_is_looked_at_first(tmp_path: Path) -> None:
    """Where a dataset says which columns it has, a typo is an error of log_losses; a transform may add some."""
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_list(Texts().items)
    with pytest.raises(LossLoggingError, match=r"no column 'flie'; it has .*file"):
        log_losses(trainer_of(tmp_path, language_model(), table), config_of(tmp_path), path="flie")
    seen = table.with_transform(lambda rows: {**rows, "flie": rows["file"]})
    trainer = trainer_of(tmp_path, language_model(), seen, remove_unused_columns=False)
    trainer.data_collator = lambda features: transformers.default_data_collator(
        [{name: feature[name] for name in ("input_ids", "attention_mask", "labels")} for feature in features]
    )
    log_losses(trainer, config_of(tmp_path), path="flie")
    trainer.train()
    assert {row["path"] for rows in by_step(tmp_path).values() for row in rows} == {f"{i}.txt" for i in range(24)}


def test_a_trainer_keeps_its_dataset_and_collator(tmp_path: Path) -> None:
    """They are the user's own before, during and after the training, for what looks at them; also a later dataset."""
    trainer = trainer_of(tmp_path, image_model(), Images())
    log_losses(trainer, config_of(tmp_path))
    data, collate = trainer.train_dataset, trainer.data_collator
    seen = []

    class Look(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            seen.append((trainer.train_dataset, trainer.data_collator))

    trainer.add_callback(Look())
    trainer.train()
    assert seen == [(data, collate)] * 6
    assert len(by_step(tmp_path)) == 6


@pytest.mark.parametrize("strategy", ["random", "sequential", "group_by_length", "batch_rebalance"])
def test_batches_are_drawn_as_without_us(strategy: str, tmp_path: Path) -> None:
    """Samplers that look at the dataset's kind and columns, or at the length of each item, draw what they drew."""
    datasets = pytest.importorskip("datasets")
    drawn = []
    for watched in (False, True):
        rows = [{**row, "length": (7 * i) % 24} for i, row in enumerate(Texts().items)]
        table = datasets.Dataset.from_list(rows)
        trainer = trainer_of(
            tmp_path, language_model(), table, train_sampling_strategy=strategy, label_names=["labels", "length"]
        )
        if watched:
            log_losses(trainer, config_of(tmp_path), path="file")
        loader = trainer.get_train_dataloader()
        torch.manual_seed(0)
        drawn.append([batch["input_ids"].tolist() for batch in loader])
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 6


def test_columns_that_nobody_needs_are_not_read(tmp_path: Path) -> None:
    """A column that the Trainer would have removed, such as pictures of which one is broken, is removed with us too."""
    datasets = pytest.importorskip("datasets")
    rows = [{**row, "picture": {"bytes": b"broken", "path": None}} for row in Texts().items]
    table = datasets.Dataset.from_list(rows).cast_column("picture", datasets.Image())
    trainer = trainer_of(tmp_path, language_model(), table)
    log_losses(trainer, config_of(tmp_path), path="file", caption="text")
    trainer.train()
    assert {step: len(rows) for step, rows in by_step(tmp_path).items()} == dict.fromkeys(range(1, 7), 4)


# --- what a person has excluded -----------------------------------------------------------------------------------

EXCLUDED = (3, 17)


class Stream(torch.utils.data.IterableDataset[Any]):
    """Sentences as they come, divided between the workers by their numbers."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = torch.utils.data.get_worker_info()
        of, mine = (1, 0) if worker is None else (worker.num_workers, worker.id)
        return (item for item in self.items if int(item["file"].removesuffix(".txt")) % of == mine)


def table(items: list[dict[str, Any]]) -> Any:
    """Of `datasets`."""
    return pytest.importorskip("datasets").Dataset.from_list(items)


def texts(items: list[dict[str, Any]]) -> Texts:
    """Of torch."""
    made = Texts()
    made.items = items
    return made


def trained(tmp_path: Path, data: Any, exclude: str | None, options: Any, **names: Any) -> dict[str, torch.Tensor]:
    """The weights of a training, logged where there is a list, which may be empty."""
    trainer = trainer_of(tmp_path, language_model(), data, **options)
    if exclude is not None:
        tmp_path.mkdir(exist_ok=True)
        (tmp_path / "exclude.txt").write_text(exclude, encoding="utf-8")
        log_losses(trainer, config_of(tmp_path, exclude=tmp_path / "exclude.txt"), **names)
    trainer.train()
    weights: dict[str, torch.Tensor] = trainer.model.state_dict()
    return weights


@pytest.mark.parametrize(
    ("kind", "names", "options"),
    [
        pytest.param(table, {}, {}, marks=pytest.mark.long),
        (table, {"path": "file", "dataset": "source", "caption": "text"}, {}),
        (texts, {}, {}),
        pytest.param(Stream, {"path": "file", "dataset": "source"}, {}, marks=pytest.mark.long),
        (Stream, {"path": "file", "dataset": "source"}, {"dataloader_num_workers": 2}),
    ],
    ids=["table by number", "table by column", "torch by number", "stream", "stream of workers"],
)
def test_what_is_excluded_is_not_trained_on(kind: Any, names: Any, options: Any, tmp_path: Path) -> None:
    """Weights are those of a dataset without it, items keep their names, and the report says how many it was; an
    empty list changes nothing."""
    items = Texts().items
    listed = "".join(f"{i}.txt\n" if "path" in names else f"{i}\n" for i in EXCLUDED)
    rest = [item for i, item in enumerate(items) if i not in EXCLUDED]
    with_list = trained(tmp_path / "a", kind(items), listed, options, **names)
    without = trained(tmp_path / "b", kind(rest), None, options)
    assert all(torch.equal(tensor, without[name]) for name, tensor in with_list.items())
    logged = {row["path"] for rows in by_step(tmp_path / "a").values() for row in rows}
    assert logged <= {f"{i}.txt" if "path" in names else f"{i}" for i in range(24) if i not in EXCLUDED}
    assert max(map(len, logged)) == (6 if "path" in names else 2)  # the last ones are called as they were
    report = read_report(config_of(tmp_path / "a").report_paths()[-1])
    assert report.excluded == ({"books": 2} if "dataset" in names else {"train": 2})
    assert not report.warnings
    whole = trained(tmp_path / "c", kind(items), "", options, **names)
    plain = trained(tmp_path / "d", kind(items), None, options)
    assert all(torch.equal(tensor, plain[name]) for name, tensor in whole.items())


def test_items_that_alone_know_their_path(tmp_path: Path) -> None:
    """None of them is loaded for it: the report says that the list was not heard, and a subset made by hand is."""
    (tmp_path / "exclude.txt").write_text("3.txt\n", encoding="utf-8")
    for by_hand in (False, True):
        data = Texts()
        trainer = trainer_of(tmp_path, language_model(), data)
        config = config_of(tmp_path, exclude=tmp_path / "exclude.txt")
        losses = log_losses(trainer, config, path="file", caption="text")
        if by_hand:
            paths = [item["file"] for item in data.items]
            trainer.train_dataset = losses.exclusions.subset(trainer.train_dataset, paths)
        trainer.train()
        report = read_report(config.report_paths()[-1])
        assert report.excluded == ({"train": 1} if by_hand else {})
        assert len([sentence for sentence in report.warnings if "nothing is left out" in sentence]) == 1 - by_hand
