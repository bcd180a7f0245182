"""Lightning: a callback that logs the loss of every example."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lightning.pytorch.callbacks import Callback

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.watch import Watch
from loss_logging.records.capture import capture_per_example_loss
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.exclusions import Exclusions
from loss_logging.training.logger import LossLogger

__all__ = ["LossLoggingCallback"]

_KEYS = {"paths": ("path", "paths"), "datasets": ("dataset", "datasets"), "captions": ("text", "captions", "caption")}
_PER_EXAMPLE = "per_example_loss"


class LossLoggingCallback(Callback):  # type: ignore[misc, unused-ignore]
    """Logs the loss of every example of ``training_step``, which stays as it is.

    They are those that ``training_step`` returns under ``"per_example_loss"``, (B,), beside ``"loss"``; or else what
    :func:`~loss_logging.capture_per_example_loss` finds, whose scalar and gradient stay bit for bit what they are. A
    report is made at each checkpoint and at the end; a run that goes on from a checkpoint resumes the log.

    Args:
        config: where and what to log.
        identify: from a batch to ``paths``, ``captions`` and, if there are several, ``datasets``, as
            ``LossLogger.log_batch`` takes them; ``timesteps`` and other things that it takes may be there too. By
            default a batch is a mapping with keys of these names, or "path", "caption" (or "text") and "dataset".

    Attributes:
        exclusions: which items are to be left out of the training; ``exclusions.subset(dataset, paths)`` is the dataset
            without them, for a DataLoader.
    """

    def __init__(self, config: TrainConfig, identify: Callable[[Any], Mapping[str, Any]] | None = None) -> None:
        self.exclusions = Exclusions(config)
        self._config = config
        self._losses: LossLogger | None = None
        self._identify = identify or _by_key
        fix = f'return {{"loss": loss, "{_PER_EXAMPLE}": losses}} from training_step'
        self._watch = Watch("lightning.Trainer", fix)
        self._step: _Step | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Put the capture around ``training_step``, and resume the log where a checkpoint was loaded."""
        self._losses = LossLogger(self._config)  # not before the ranks know of each other
        self._losses.exclusions = self.exclusions
        if trainer.global_step > 0:
            self._losses.resume(trainer.global_step)
        self._step = _Step(pl_module, functools.partial(self._logged_step, trainer))

    def _logged_step(self, trainer: Any, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        batch = args[0] if args else next(iter(kwargs.values()))
        names = dict(self._identify(batch))
        with capture_per_example_loss(len(names["paths"])) as captured:
            output = step(*args, **kwargs)
        self._log(trainer.global_step + 1, names, output, captured)
        return output

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Notice when nothing is logged."""
        self._watch.step_ended(trainer.global_step)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Make a report; a checkpoint may also be saved before and after the training, and when it has failed."""
        if self._losses is not None:
            self._watch.report(self._losses, trainer.global_step)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Make the last report."""
        if self._losses is not None:
            self._watch.report(self._losses, trainer.global_step)
        self._end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        """Write what there is."""
        self._end()

    def _end(self) -> None:
        if self._step is not None:
            self._step.remove()
            self._step = None
        losses, self._losses = self._losses, None
        if losses is not None:
            losses.close()

    def _log(self, step: int, names: dict[str, Any], output: Any, captured: Any) -> None:
        given = output.get(_PER_EXAMPLE) if isinstance(output, Mapping) else None
        if given is None:
            loss = output["loss"] if isinstance(output, Mapping) else output
            if loss is None:
                return  # the step is skipped
            captured.check(loss)
            given = captured.losses
        if given is None:
            self._watch.missed(captured.reason, step, len(names["paths"]))
            return
        assert self._losses is not None
        try:
            self._losses.log_batch(step, given, **names)
        except LossLoggingError as error:  # such as another callback that writes the same run
            self._watch.missed(str(error), step, len(names["paths"]))
            return
        self._watch.logged()


class _Step:
    """Around a module's ``training_step``; of several, each may be removed first.

    Args:
        module: the LightningModule.
        around: is given the step that was there, and its arguments.
    """

    def __init__(self, module: Any, around: Callable[..., Any]) -> None:
        self._module = module
        self._around: Callable[..., Any] | None = around
        self._inner = vars(module).get("training_step")
        step = module.training_step

        @functools.wraps(step)
        def training_step(*args: Any, **kwargs: Any) -> Any:
            return step(*args, **kwargs) if self._around is None else self._around(step, *args, **kwargs)

        training_step.of = self  # type: ignore[attr-defined]
        module.training_step = training_step

    def remove(self) -> None:
        """Now, or as soon as what has been put around it is removed."""
        self._around = None
        top: Any = vars(self._module).get("training_step")
        while (own := getattr(top, "of", None)) is not None and own._around is None:
            top = own._inner
        if top is None:
            vars(self._module).pop("training_step", None)
        else:
            self._module.training_step = top


def _by_key(batch: Any) -> dict[str, Sequence[Any] | str]:
    found: dict[str, Sequence[Any] | str] = {"datasets": "train", "captions": ()}
    if isinstance(batch, Mapping):
        # A loader makes a tensor of numbers: names, but for captions, where they are tokens.
        found |= {
            name: batch[key]
            for name, keys in _KEYS.items()
            for key in keys
            if key in batch and not (name == "captions" and hasattr(batch[key], "detach"))
        }
    if "paths" not in found:
        raise LossLoggingError(
            'LossLoggingCallback: the batch has no "path" and no "paths"; give '
            'identify=lambda batch: {"paths": ..., "captions": ...}'
        )
    return found if len(found["captions"]) else found | {"captions": [""] * len(found["paths"])}
