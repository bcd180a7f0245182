"""diffusion-pipe: batches that say which files they are of, where the loss is computed, and the log of a training.

A label consists of tensors, as DeepSpeed wants it. A number for each example goes in front of it and comes off before
the trainer's own loss function.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.folder_names import FolderNames
from loss_logging.integrations.trainers.model_family import captions_of
from loss_logging.integrations.trainers.seam_run import SeamRun
from loss_logging.integrations.trainers.watch import Watch
from loss_logging.records.capture import CapturedLosses, capture_per_example_loss
from loss_logging.training.logger import LossLogger

__all__ = ["Run"]

_UNKNOWN = -1
_REMEMBERED = 2**16
"""Examples whose names are kept until their loss comes by; those of an evaluation are never asked for."""


class _Name(NamedTuple):
    path: str
    dataset: str
    caption: str


class _Seen(NamedTuple):
    """A micro-batch after its loss: nobody waits for the device before the step has ended."""

    numbers: torch.Tensor
    captured: CapturedLosses
    scalar: torch.Tensor


class Run(SeamRun):
    """The training of one process."""

    def __init__(self, section: Mapping[str, Any]) -> None:
        super().__init__(section, Watch("diffusion-pipe", "look for a newer version of loss_logging"))
        self._names: OrderedDict[int, _Name] = OrderedDict()
        self._count = 0
        self._pending: list[_Seen] = []
        self._folders = FolderNames([])
        self._engine: Any = None
        self._folder = Path()
        self._model: Any = None

    @property
    def step(self) -> int:
        """As DeepSpeed counts the steps of the optimizer, and the script its own."""
        return int(self._engine.global_steps)

    # --- what is wrapped ------------------------------------------------------------------------------------------

    def see_loader(self, loader: Any) -> None:
        """Have its batches numbered; the first loader is that of the training, and the model is the same in all."""
        if self._model is not None or self.off:
            return
        engine = loader.model_engine
        if getattr(engine, "num_stages", 1) > 1:
            self.off = True
            self.watch.cannot(f"pipeline_stages is {engine.num_stages}: the process that reports has no losses")
            return
        self._model, self._engine = loader.model, engine
        self._folders = FolderNames([("", str(one.path)) for one in loader.dataset.directory_datasets])
        loader.model.prepare_inputs = self._numbering(loader.model.prepare_inputs)
        engine.train_batch = self._then_log(engine.train_batch)

    def see_saver(self, saver: Any) -> None:
        """A report for each checkpoint and each saved model, beside them."""
        self._folder = Path(saver.save_root)
        for name in ("save_checkpoint", "save_model"):
            setattr(saver, name, self._then_save(getattr(saver, name)))

    def seeing(self, loss_fn: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """The same loss function, looked at where the label begins with numbers."""

        @functools.wraps(loss_fn)
        def loss(output: Any, label: Any) -> Any:
            if self._model is None:
                return loss_fn(output, label)
            numbers, *own = label
            if not torch.is_grad_enabled():  # it evaluates
                return loss_fn(output, tuple(own))
            with capture_per_example_loss(len(numbers)) as captured:
                scalar = loss_fn(output, tuple(own))
            self._pending.append(_Seen(numbers, captured, scalar))
            return scalar

        return loss

    def _numbering(self, prepare: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(prepare)
        def prepared(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            names = self._named(inputs)
            features, label = prepare(inputs, *args, **kwargs)
            size = features[0].size(0)
            numbers = self._remember(names) if len(names) == size else [_UNKNOWN] * size
            return features, (torch.tensor(numbers), *label)

        return prepared

    def _then_log(self, train_batch: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(train_batch)
        def trained(*args: Any, **kwargs: Any) -> Any:
            loss = train_batch(*args, **kwargs)
            pending, self._pending = self._pending, []
            self.begin(self._begin)
            for seen in pending:
                self.log(functools.partial(self._log, seen))
            self.watch.step_ended(self.step)
            return loss

        return trained

    def _then_save(self, save: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(save)
        def saved(*args: Any, **kwargs: Any) -> Any:
            result = save(*args, **kwargs)
            self.save()
            return result

        return saved

    # --- who an example is ----------------------------------------------------------------------------------------

    def _named(self, inputs: Any) -> list[_Name]:
        """The files and captions of a batch; none where it does not say."""
        specs, captions = inputs.get("image_spec"), inputs.get("caption")
        if specs is None or captions is None or len(specs) != len(captions) or any(path is None for _, path in specs):
            return []
        paths = [str(path) if archive is None else f"{archive}/{path}" for archive, path in specs]
        return [
            _Name(path, self._folders.name_of(path), str(caption))
            for path, caption in zip(paths, captions, strict=True)
        ]

    def _remember(self, names: Sequence[_Name]) -> list[int]:
        numbers = [*range(self._count, self._count + len(names))]
        self._count += len(names)
        self._names.update(zip(numbers, names, strict=True))
        while len(self._names) > _REMEMBERED:
            self._names.popitem(last=False)
        return numbers

    # --- the log --------------------------------------------------------------------------------------------------

    def _begin(self) -> LossLogger:
        model = getattr(self._model, "config", {}).get("model", {})
        captions = captions_of("diffusion-pipe", [model.get("type", "")])
        losses = self.logger([], self._folder.parent.name or "train", str(self._folder), captions)
        if self.step > 1:
            losses.resume(self.step - 1)
        return losses

    def _log(self, seen: _Seen, losses: LossLogger) -> None:
        names = [self._names.pop(number, None) for number in seen.numbers.tolist()]
        if None in names:
            raise LossLoggingError("the batch does not say which files it is of")
        if not seen.captured.check(seen.scalar):
            raise LossLoggingError(f"the loss is not one mean over the examples: {seen.captured.reason}")
        paths, datasets, captions = zip(*[name for name in names if name is not None], strict=True)
        losses.log_batch(self.step, seen.captured.losses, paths=paths, datasets=datasets, captions=captions)
