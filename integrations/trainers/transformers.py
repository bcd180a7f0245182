"""Hugging Face's Trainer: the loss of every example, with one call after the Trainer is built."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import transformers
from torch.utils.data import IterableDataset
from transformers.utils import is_datasets_available

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.example_names import KEY, Batch, Collator, Names, named
from loss_logging.integrations.trainers.forwards import Forward, forwards_of
from loss_logging.integrations.trainers.token_losses import Losses, ModelLosses, Scalar
from loss_logging.integrations.trainers.watch import Watch
from loss_logging.records.capture import CapturedLosses, capture_per_example_loss
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.exclusions import Exclusions, rows_of
from loss_logging.support.warn import LOGGER
from loss_logging.training.logger import LossLogger

if TYPE_CHECKING:
    import torch

__all__ = ["log_losses"]

_LOGGERS = {"tensorboard": "tensorboard", "wandb": "wandb", "comet_ml": "comet", "trackio": "trackio"}
_PerExample: TypeAlias = "Callable[[Any, Mapping[str, Any]], torch.Tensor]"


def log_losses(
    trainer: Any,
    config: TrainConfig | None = None,
    *,
    path: str | None = None,
    dataset: str | None = None,
    caption: str | None = None,
    per_example: _PerExample | None = None,
) -> LossLogger:
    """Log the loss of every training example of a ``transformers.Trainer``. Call it once, before ``train()``.

    The training stays bit for bit what it is: the examples' losses are computed from what the model's own forward
    returned, without a graph, as the mean over the tokens of each example that are not ignored. The number of those
    tokens is logged as the component ``tokens``: weighted by it, the mean of the losses is the Trainer's scalar. The
    losses of language models, classifiers (also of tokens, and with several labels) and regression are recognised, by
    comparing the first batches with the scalar, and those of TRL's SFTTrainer; where a batch has two rows for each
    example, as in DPOTrainer and RewardTrainer, each pair has the loss that the scalar is the mean of.

    Examples that lie in one row, without padding, are told apart, and so are the documents that an item was packed of:
    they are named by the item and their place in it, such as "7/0".

    What is excluded is not trained on: the Trainer's dataset is one without it, or a stream that leaves it out. Of a
    dataset whose items alone know their ``path``, make that yourself before ``train()``:
    ``trainer.train_dataset = losses.exclusions.subset(trainer.train_dataset, paths)``.

    A second call for the same training says so, and changes nothing.

    A report is made at each of the Trainer's saves and at the end; a training that is resumed from a checkpoint resumes
    the log.

    Args:
        trainer: a Trainer, or one of a subclass.
        config: where and what to log. By default the folder is the Trainer's ``output_dir`` and the trackers are those
            of ``report_to`` that can be written to beside the Trainer.
        path: column that identifies an example; its number in the dataset by default.
        dataset: column with the name of the dataset; all are in "train" by default.
        caption: column with the text to show; by default the tokens are decoded, where there are some.
        per_example: for losses that are not recognised: from the outputs of the model's last forward and the inputs,
            (B,) losses.

    Returns:
        the LossLogger, which is closed when the training ends.

    Raises:
        LossLoggingError: this version of transformers is unknown, or a column is missing from the dataset.
        ConfigError: there is no list ``exclude``, or everything is excluded.
    """
    for earlier in [one for one in trainer.callback_handler.callbacks if isinstance(one, _Callback)]:
        if not earlier.ended:
            return earlier.stays()
        trainer.remove_callback(earlier)
    if trainer.train_dataset is None:
        raise LossLoggingError("the Trainer has no train_dataset; give it one before log_losses")
    _require_own_batches(trainer)
    names = Names(path, dataset, caption, getattr(trainer, "processing_class", None))
    _check_columns(trainer.train_dataset, names)
    losses = LossLogger(_default_config(trainer.args) if config is None else config)
    watch = Watch("transformers.Trainer", "give log_losses(per_example=...), from outputs and inputs to (B,) losses")
    names = _leave_out(trainer, names, losses.exclusions)
    _keep_names(trainer, names, losses.exclusions)
    _see_losses(trainer, losses, per_example, watch)
    trainer.add_callback(_Callback(losses, watch))
    return losses


def _default_config(args: Any) -> TrainConfig:
    loggers = [_LOGGERS[name] for name in args.report_to if name in _LOGGERS]
    return TrainConfig(job_name=Path(args.output_dir).name or "train", save_root=args.output_dir, loggers=loggers)


# --- who an example is --------------------------------------------------------------------------------------------


def _check_columns(dataset: Any, names: Names) -> None:
    """Raise before the training where a column is missing, if that can be seen without reading an item."""
    columns = getattr(dataset, "column_names", None)
    style = getattr(dataset, "format", None)
    is_transformed = isinstance(style, Mapping) and style.get("type") == "custom"  # its items may have other columns
    if isinstance(columns, list) and not is_transformed:
        names.check(columns)


def _leave_out(trainer: Any, names: Names, exclusions: Exclusions) -> Names:
    """Give the Trainer a dataset without what is excluded, as far as that is known; returns the names of its items."""
    dataset = trainer.train_dataset
    if isinstance(dataset, IterableDataset):
        exclusions.await_stream()
        return names
    known = names.of_table(dataset)
    if known is None:
        return names
    kept = exclusions.kept(*known)
    trainer.train_dataset = rows_of(dataset, kept)
    return names if trainer.train_dataset is dataset else names._replace(numbers=kept)


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


def _keep_names(trainer: Any, names: Names, exclusions: Exclusions) -> None:
    """Have each item carry its names through the loader, past the removal of columns that the model does not take.

    The Trainer's dataset and collator are replaced while it makes the loader, and are its own again afterwards.
    """
    if trainer.args.remove_unused_columns and not hasattr(trainer, "_set_signature_columns_if_needed"):
        raise LossLoggingError(
            f"transformers {transformers.__version__} removes columns in a way that this version of loss_logging "
            "does not know; set TrainingArguments(remove_unused_columns=False), or update loss_logging"
        )
    make: Callable[[], Any] = trainer.get_train_dataloader

    @functools.wraps(make)
    def get_train_dataloader() -> Any:
        with _naming(trainer, names, exclusions):
            return make()

    trainer.get_train_dataloader = get_train_dataloader


@contextmanager
def _naming(trainer: Any, names: Names, exclusions: Exclusions) -> Iterator[None]:
    plain, sampler = trainer.train_dataset, getattr(trainer, "_get_train_sampler", None)
    trained, with_names = _without_unused(trainer, plain, names)
    replaced = {"train_dataset": named(with_names, names, exclusions), "data_collator": Collator(trainer.data_collator)}
    if trainer.args.remove_unused_columns:
        trainer._set_signature_columns_if_needed()
        replaced["_signature_columns"] = [*trainer._signature_columns, KEY]
    if sampler is not None:  # it may look at the dataset: at its kind, its columns, or each item's length
        replaced["_get_train_sampler"] = lambda *given: sampler(trained) if given else sampler()
    before = {name: vars(trainer)[name] for name in replaced if name in vars(trainer)}
    vars(trainer).update(replaced)
    try:
        yield
    finally:
        for name in replaced:
            del vars(trainer)[name]
        vars(trainer).update(before)


def _without_unused(trainer: Any, dataset: Any, names: Names) -> tuple[Any, Any]:
    """The dataset without the columns that the Trainer would remove from it, which may be large; and with the names."""
    if not trainer.args.remove_unused_columns or not _is_table(dataset):
        return dataset, dataset
    trained = trainer._remove_unused_columns(dataset, "Training")
    kept = {*trained.column_names, *names.columns}
    return trained, dataset.remove_columns([column for column in dataset.column_names if column not in kept])


def _is_table(dataset: Any) -> bool:
    if not is_datasets_available():
        return False
    import datasets

    return isinstance(dataset, datasets.Dataset)


# --- its loss -----------------------------------------------------------------------------------------------------


class _Seen(NamedTuple):
    """A batch after ``compute_loss``: what was given to it, what it did, and the loss."""

    batch: Batch
    inputs: Mapping[str, Any]
    forwards: list[Forward]
    pairs: CapturedLosses | None
    scalar: Scalar


def _see_losses(trainer: Any, losses: LossLogger, per_example: _PerExample | None, watch: Watch) -> None:
    """Look at what ``compute_loss`` is given and returns, also where a subclass overrides it.

    It is called as its caller calls it, and asked for nothing more: outputs can cost a forward of their own.
    """
    compute: Callable[..., Any] = trainer.compute_loss
    find = _Finder(per_example, _split(trainer))

    @functools.wraps(compute)
    def compute_loss(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        batch = inputs.pop(KEY, None) if isinstance(inputs, MutableMapping) else None
        if batch is None or not model.training:
            return compute(model, inputs, *args, **kwargs)
        step = trainer.state.global_step + 1
        for name in batch.left_out:
            losses.exclusions.leave_out(name.path, name.dataset)
        if reason := batch.problem or find.given_up:
            watch.missed(reason, step, batch.items)
            return compute(model, inputs, *args, **kwargs)
        given = dict(inputs)  # a smoothed loss takes the labels out
        with find.watching(model, batch) as (forwards, pairs):
            result = compute(model, inputs, *args, **kwargs)
        loss = result[0] if isinstance(result, tuple) else result
        items = kwargs.get("num_items_in_batch", args[1] if len(args) > 1 else None)
        try:
            scalar = Scalar(loss, items, _terms(trainer, forwards))
            log(step, batch, find(_Seen(batch, given, forwards, pairs, scalar)))
        except Exception as error:  # noqa: BLE001, whatever the reason, the user's training is worth more
            watch.missed(f"{type(error).__name__}: {error}", step, batch.items)
        return result

    def log(step: int, batch: Batch, found: Losses | None) -> None:
        if found is None and find.reason:
            watch.missed(find.reason, step, batch.items)
        elif found is None:
            watch.count("the loss is 0 or no number, and its kind was not known yet", step, batch.items)
        else:
            paths, datasets, captions = zip(*batch.names, strict=True)
            components = None if found.tokens is None else {"tokens": found.tokens}
            losses.log_batch(
                step, found.losses, paths=paths, datasets=datasets, captions=captions, components=components
            )
            watch.logged()

    trainer.compute_loss = compute_loss


_TRIES = 20


class _Finder:
    """The losses of the examples of a batch, of each on its own.

    Attributes:
        reason: why those of the last batch are not known; "" where they are, or where it cannot tell.
        given_up: why there will be none; that is tried for so many batches until the first is known.
    """

    def __init__(self, per_example: _PerExample | None, given_up: str) -> None:
        self._per_example = per_example
        self._model = ModelLosses()
        self._tries = _TRIES
        self.reason = ""
        self.given_up = given_up

    @contextmanager
    def watching(self, model: Any, batch: Batch) -> Iterator[tuple[list[Forward], CapturedLosses | None]]:
        """What happens in the block that the losses are found from."""
        if batch.paired and self._per_example is None:
            with capture_per_example_loss(batch.items, blocks=2) as captured:
                yield [], captured
        else:
            with forwards_of(model) as forwards:
                yield forwards, None

    def __call__(self, seen: _Seen) -> Losses | None:
        """The losses; None where this batch cannot tell, or where there is a ``reason``."""
        self.reason = ""
        found = self._find(seen)
        if found is not None:
            self._tries = 0  # it has been known once
        elif self._tries and self.reason:
            self._tries -= 1
            self.given_up = "" if self._tries else self.reason
        return found

    def _find(self, seen: _Seen) -> Losses | None:
        if seen.pairs is not None:
            seen.pairs.check(seen.scalar.loss)
            if seen.pairs.losses is not None:
                return Losses(seen.pairs.losses, None)
            self.reason = f"the losses of the pairs are not known: {seen.pairs.reason}"
            return None
        if self._per_example is not None:
            if not seen.forwards:
                raise LossLoggingError("compute_loss did not call the model that it was given")
            return Losses(self._per_example(seen.forwards[-1].outputs, seen.inputs), None)
        found = self._model(seen.forwards, seen.inputs.get("labels"), seen.scalar, seen.batch.spans)
        self.reason = self._model.reason
        return found


def _split(trainer: Any) -> str:
    """Why no rank has a whole example, if so."""
    plan = getattr(trainer.accelerator, "parallelism_config", None)
    is_split = plan is not None and (getattr(plan, "cp_enabled", False) or getattr(plan, "sp_enabled", False))
    return "context and sequence parallelism give each rank a part of every example" if is_split else ""


def _terms(trainer: Any, forwards: list[Forward]) -> list[torch.Tensor]:
    """What mixtures of experts add to balance them, whole or spread over the accumulated batches."""
    term = next((found for one in forwards if (found := getattr(one.outputs, "aux_loss", None)) is not None), None)
    if term is None:
        return []
    text_config = trainer.accelerator.unwrap_model(trainer.model).config.get_text_config()
    share = getattr(trainer, "router_aux_loss_coef", getattr(text_config, "router_aux_loss_coef", 0.0))
    whole = term.detach() * share
    return [whole, whole / trainer.args.gradient_accumulation_steps]


# --- when to report -----------------------------------------------------------------------------------------------


class _Callback(transformers.TrainerCallback):  # type: ignore[misc, unused-ignore]
    def __init__(self, losses: LossLogger, watch: Watch) -> None:
        self._losses = losses
        self._watch = watch
        self.ended = False

    def stays(self) -> LossLogger:
        """Say that the training is logged already."""
        LOGGER.warning(
            "log_losses was called for this Trainer before: its losses are logged as %r in %s, as that call said",
            self._losses.config.job_name,
            self._losses.config.save_root,
        )
        return self._losses

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        if self.ended:
            self._watch.cannot("an earlier train() has closed the log; call log_losses again before the next one")
        elif state.global_step > 0:
            try:
                self._losses.resume(state.global_step)
            except LossLoggingError as error:  # auto_find_batch_size begins anew after it ran out of memory
                LOGGER.warning("the losses of the attempt that was broken off stay in the log: %s", error)

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        self._watch.step_ended(state.global_step)

    def on_save(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        if not self.ended:
            self._watch.report(self._losses, state.global_step)

    def on_train_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        if not self.ended:
            self.ended = True
            self._watch.report(self._losses, state.global_step)
            self._losses.close()
