"""Hugging Face's Trainer: the loss of every example, with one call after the Trainer is built."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import transformers
from torch.utils.data import IterableDataset, get_worker_info

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.token_losses import Losses, ModelLosses
from loss_logging.integrations.trainers.watch import Watch
from loss_logging.runs.config import TrainConfig
from loss_logging.support.warn import LOGGER
from loss_logging.training.logger import LossLogger

if TYPE_CHECKING:
    import torch

__all__ = ["log_losses"]

_KEY = "loss_logging_names"
_LOGGERS = {"tensorboard": "tensorboard", "wandb": "wandb", "comet_ml": "comet", "trackio": "trackio"}
_MAX_CAPTION = 2000


def log_losses(
    trainer: Any,
    config: TrainConfig | None = None,
    *,
    path: str | None = None,
    dataset: str | None = None,
    caption: str | None = None,
    per_example: Callable[[Any, Mapping[str, Any]], torch.Tensor] | None = None,
) -> LossLogger:
    """Log the loss of every training example of a ``transformers.Trainer``. Call it once, before ``train()``.

    The loss and the gradient stay bit for bit what they are: the examples' losses are computed from the model's logits,
    without a graph, as the mean over the tokens of each example that are not ignored. The number of those tokens is
    logged as the component ``tokens``: weighted by it, the mean of the losses is the Trainer's scalar. Losses of
    language models, classifiers (also of tokens, and with several labels) and regression are recognised, by comparing
    the first batches with the scalar.

    A report is made at each of the Trainer's saves and at the end; a training that is resumed from a checkpoint resumes
    the log.

    Args:
        trainer: a Trainer, or one of a subclass.
        config: where and what to log. By default the folder is the Trainer's ``output_dir`` and the trackers are those
            of ``report_to`` that can be written to beside the Trainer.
        path: column that identifies an example; its number in the dataset by default.
        dataset: column with the name of the dataset; all are in "train" by default.
        caption: column with the text to show; by default the tokens are decoded, where there are some.
        per_example: for losses that are not recognised: from the model's outputs and the inputs, (B,) losses.

    Returns:
        the LossLogger, which is closed when the training ends.

    Raises:
        LossLoggingError: this version of transformers is unknown, or a column is missing from the dataset.
    """
    if trainer.train_dataset is None:
        raise LossLoggingError("the Trainer has no train_dataset; give it one before log_losses")
    _require_own_batches(trainer)
    losses = LossLogger(_default_config(trainer.args) if config is None else config)
    watch = Watch("transformers.Trainer", "give log_losses(per_example=...), from outputs and inputs to (B,) losses")
    _keep_names(trainer, _Names(path, dataset, caption, getattr(trainer, "processing_class", None)))
    _see_losses(trainer, losses, per_example or ModelLosses(), watch)
    trainer.add_callback(_Callback(losses, watch))
    return losses


def _default_config(args: Any) -> TrainConfig:
    loggers = [_LOGGERS[name] for name in args.report_to if name in _LOGGERS]
    return TrainConfig(job_name=Path(args.output_dir).name or "train", save_root=args.output_dir, loggers=loggers)


# --- who an example is --------------------------------------------------------------------------------------------


class _Names(NamedTuple):
    """The columns that name an example."""

    path: str | None
    dataset: str | None
    caption: str | None
    tokenizer: Any

    def add(self, item: Any, index: int | str) -> Any:
        """The item with its names; as it is where it has no columns."""
        return {**item, _KEY: self.of(item, index)} if isinstance(item, Mapping) else item

    def of(self, item: Any, index: int | str) -> tuple[str, str, str]:
        try:
            return (
                str(index) if self.path is None else str(item[self.path]),
                "train" if self.dataset is None else str(item[self.dataset]),
                self._text(item) if self.caption is None else str(item[self.caption]),
            )
        except KeyError as error:
            raise LossLoggingError(
                f"log_losses: the dataset has no column {error}; it has {', '.join(item)}"
            ) from error

    def _text(self, item: Any) -> str:
        if isinstance(item, Mapping) and "input_ids" in item and hasattr(self.tokenizer, "decode"):
            text: str = self.tokenizer.decode(item["input_ids"], skip_special_tokens=True)
            return text[:_MAX_CAPTION]
        return ""


def _require_own_batches(trainer: Any) -> None:
    """Where rank 0 loads for all, accelerate sends tensors and nothing else."""
    dispatch = trainer.accelerator.dispatch_batches
    if dispatch is None:  # accelerate's default
        dispatch = isinstance(trainer.train_dataset, IterableDataset)
    if trainer.args.world_size > 1 and dispatch:
        raise LossLoggingError(
            "rank 0 loads the batches of all ranks, and the names of the examples do not get through; set "
            'TrainingArguments(accelerator_config={"dispatch_batches": False})'
        )


def _keep_names(trainer: Any, names: _Names) -> None:
    """Have each item carry its names through the loader, past the removal of columns that the model does not take."""
    if trainer.args.remove_unused_columns:
        prepare = getattr(trainer, "_set_signature_columns_if_needed", None)
        if prepare is None:
            raise LossLoggingError(
                f"transformers {transformers.__version__} removes columns in a way that this version of loss_logging "
                "does not know; set TrainingArguments(remove_unused_columns=False), or update loss_logging"
            )
        prepare()
        trainer._signature_columns = [*trainer._signature_columns, _KEY]
    trainer.train_dataset = _named(trainer.train_dataset, names)
    trainer.data_collator = _Collator(trainer.data_collator)


def _named(dataset: Any, names: _Names) -> Any:
    """A dataset that offers what this one does, so that it is read in the same way and order."""
    if isinstance(dataset, IterableDataset):
        return (_SizedStream if hasattr(dataset, "__len__") else _NamedStream)(dataset, names)
    return (_NamedBatches if hasattr(dataset, "__getitems__") else _NamedItems)(dataset, names)


class _Named:
    def __init__(self, dataset: Any, names: _Names) -> None:
        self._dataset = dataset
        self._names = names

    def __getattr__(self, name: str) -> Any:  # such as set_epoch, which shuffles anew
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._dataset, name)


class _NamedItems(_Named):
    """A dataset whose items carry their names."""

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        return self._names.add(self._dataset[index], index)


class _NamedBatches(_NamedItems):
    """One that is asked for a batch at once, as those of ``datasets`` are: their transforms see the whole batch."""

    def __getitems__(self, indices: list[int]) -> list[Any]:
        items = self._dataset.__getitems__(indices)
        return [self._names.add(item, index) for item, index in zip(items, indices, strict=True)]


class _NamedStream(_Named, IterableDataset[Any]):
    """A dataset without numbers whose items carry their names: they are counted, in each worker."""

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        prefix = "" if worker is None or worker.num_workers == 1 else f"{worker.id}/"
        for index, item in enumerate(self._dataset):
            yield self._names.add(item, f"{prefix}{index}")


class _SizedStream(_NamedStream):
    def __len__(self) -> int:
        return len(self._dataset)


class _Collator:
    """Collates as before, and hands the names on."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self._collate = collate

    def __call__(self, features: list[Any]) -> Any:
        names = [feature.pop(_KEY, None) if isinstance(feature, dict) else None for feature in features]
        batch = self._collate(features)
        if None not in names and isinstance(batch, MutableMapping):
            batch[_KEY] = names  # and not in a copy: a BatchEncoding stays one
        return batch


# --- its loss -----------------------------------------------------------------------------------------------------


def _see_losses(trainer: Any, logger: LossLogger, losses: Callable[..., Any], watch: Watch) -> None:
    """Look at what ``compute_loss`` is given and returns, also where a subclass overrides it."""
    compute: Callable[..., Any] = trainer.compute_loss

    @functools.wraps(compute)
    def compute_loss(
        model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        names = inputs.pop(_KEY, None) if isinstance(inputs, MutableMapping) else None
        if names is None or not model.training:
            return compute(model, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch)
        given = dict(inputs)  # a smoothed loss takes the labels out
        result = compute(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if not isinstance(result, tuple):
            watch.cannot("compute_loss returns no outputs with return_outputs=True")
            return result
        loss, outputs = result
        try:
            _log(trainer.state.global_step + 1, names, _found(losses, outputs, given, loss, num_items_in_batch))
        except Exception as error:  # noqa: BLE001, whatever the reason, the user's training is worth more
            watch.cannot(f"{type(error).__name__}: {error}")
        return result if return_outputs else loss

    def _log(step: int, names: Sequence[tuple[str, str, str]], found: Losses | str | None) -> None:
        if found is None:
            return
        if isinstance(found, str):
            watch.cannot(found)
            return
        paths, datasets, captions = zip(*names, strict=True)
        components = None if found.tokens is None else {"tokens": found.tokens}
        logger.log_batch(step, found.losses, paths=paths, datasets=datasets, captions=captions, components=components)
        watch.logged()

    trainer.compute_loss = compute_loss


def _found(
    losses: Callable[..., Any], outputs: Any, inputs: Mapping[str, Any], loss: Any, items: Any
) -> Losses | str | None:
    if isinstance(losses, ModelLosses):
        return losses(outputs, inputs, loss, items)
    return Losses(losses(outputs, inputs), None)


# --- when to report -----------------------------------------------------------------------------------------------


class _Callback(transformers.TrainerCallback):  # type: ignore[misc, unused-ignore]
    def __init__(self, losses: LossLogger, watch: Watch) -> None:
        self._losses = losses
        self._watch = watch
        self._ended = False

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        if self._ended:
            self._watch.cannot("an earlier train() has closed the log; call log_losses again before the next one")
        elif state.global_step > 0:
            try:
                self._losses.resume(state.global_step)
            except LossLoggingError as error:  # auto_find_batch_size begins anew after it ran out of memory
                LOGGER.warning("the losses of the attempt that was broken off stay in the log: %s", error)

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        self._watch.step_ended(state.global_step)

    def on_save(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        if not self._ended:
            self._losses.save_step(state.global_step)

    def on_train_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        if not self._ended:
            self._ended = True
            self._losses.save_step(state.global_step)
            self._losses.close()
