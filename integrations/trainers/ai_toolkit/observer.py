"""What is looked at in an ai-toolkit trainer, and what is made of it."""

from __future__ import annotations

import functools
import inspect
import math
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar

import torch

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.ai_toolkit.exclusions import datasets_without
from loss_logging.integrations.trainers.ai_toolkit.items import Items, dataset_names, folder_of, items_of
from loss_logging.integrations.trainers.ai_toolkit.paired import OtherCaptions, obstacle
from loss_logging.integrations.trainers.ai_toolkit.row_losses import RowLosses
from loss_logging.integrations.trainers.ai_toolkit.settings import config_of, require_seams
from loss_logging.integrations.trainers.paired import PairedForwards
from loss_logging.integrations.trainers.watch import Watch
from loss_logging.runs.exclusions import Exclusions
from loss_logging.support.warn import LOGGER
from loss_logging.training.logger import LossLogger

__all__ = ["Observer"]

WEIGHTED = "weighted_loss"
_LATEST = 100  # losses that a dataset's mean in the progress bar is over
_BAR_DATASETS = 6  # a bar with more does not fit into a line
_OURS = ("loss", "lr", "learning_rate")  # ai-toolkit's own names, which a dataset must not take

Result = TypeVar("Result")


def _harmless(give_up: str, *, always: bool = False) -> Callable[[Callable[..., Result]], Callable[..., Result | None]]:
    """Whatever goes wrong in the method is told to the method ``give_up``, and training goes on.

    When losses are logged no more, it is called only where it is for ``always``.
    """

    def decorate(method: Callable[..., Result]) -> Callable[..., Result | None]:
        @functools.wraps(method)
        def guarded(self: Observer, *args: Any, **kwargs: Any) -> Result | None:
            if self._stopped is not None and not always:
                return None
            try:
                return method(self, *args, **kwargs)
            except Exception as error:  # noqa: BLE001  (training must not end by what only looks at it)
                getattr(self, give_up)(f"{type(error).__name__}: {error}")
                LOGGER.debug("where that came from", exc_info=True)
                return None

        return guarded

    return decorate


class _Rows(NamedTuple):
    """What is known of one batch until its step has ended."""

    losses: torch.Tensor
    items: Items
    timesteps: Any
    compared: Mapping[str, Any]
    weighted: torch.Tensor


class Observer:
    """Logs the losses of a trainer whose methods call those of the same purpose here.

    Args:
        trainer: ai-toolkit's, made and not yet running.
        base: the same without our overrides.
        losses: where to log.
    """

    def __init__(self, trainer: Any, base: Any, losses: LossLogger) -> None:
        self._trainer = trainer
        self._base = base
        self._losses = losses
        self._signature = inspect.signature(base.calculate_loss)
        self._names = dataset_names(folder_of(dataset) for dataset in trainer.dataset_configs)
        self._watch = Watch(
            "ai-toolkit",
            "guided losses (unconditional_path, guidance) and loss_type: mean_flow have no loss of each image; "
            "for others ask for an update of loss_logging",
        )
        self._pending: list[_Rows] = []
        self._latest: dict[str, deque[float]] = {}
        self._other: OtherCaptions | None = None
        self._pairs = PairedForwards("ai-toolkit")
        self._steps = 0
        self._has_logged = self._ended = False
        self._stopped: str | None = None

    @classmethod
    def of(cls, trainer: Any, base: Any) -> Observer | None:
        """One as the job's section ``loss_logging`` wants it; None when it wants none, or it cannot be made.

        Raises:
            ConfigError: there is no list ``exclude``: what must not be trained on would be.
        """
        try:
            config = config_of(trainer)
            if config is None:
                return None
            require_seams(base)
        except (LossLoggingError, AttributeError) as error:
            LOGGER.warning("ai-toolkit: no losses are logged, and nothing is left out: %s. Training goes on.", error)
            return None
        Exclusions(config)
        try:
            return cls(trainer, base, LossLogger(config))
        except (LossLoggingError, AttributeError, OSError) as error:
            LOGGER.warning("ai-toolkit: no losses are logged, and nothing is left out: %s. Training goes on.", error)
            return None

    def datasets_without(self) -> AbstractContextManager[None]:
        """Around the whole training, in which datasets are made."""
        return datasets_without(self._losses.exclusions, self._names)

    # --- in the order of a training ---------------------------------------------------------------------------------

    @_harmless("_stop")
    def training_begins(self) -> None:
        """Resume the log where a checkpoint was loaded, and see whether steps can be paired."""
        if self._trainer.step_num > 0:
            self._losses.resume(self._trainer.step_num)
        if self._losses.config.paired_fraction > 0:
            self._prepare_pairs()

    @_harmless("_stop_pairs")
    def _prepare_pairs(self) -> None:
        reason = obstacle(self._trainer, self._base)
        if reason is not None:
            self._stop_pairs(reason)
        else:
            self._other = OtherCaptions(self._trainer, self._losses, self._items)

    @_harmless("_stop")
    def step_begins(self) -> None:
        """Forget the batches of a step that ended without memory."""
        self._pending.clear()

    @_harmless("_stop_pairs")
    def before_forward(self, predict: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """The forward with another caption."""
        if self._other is not None:
            self._other.predict(predict, args, kwargs)
        elif kwargs.get("is_primary_pred"):
            self._pairs.count(self._losses, self._trainer.step_num)

    def calculate_loss(self, calculate: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What ``calculate`` returns, and on the side the losses of the rows."""
        arguments = self._arguments(args, kwargs)
        if arguments is None or self._stopped is not None:
            self._count(arguments)
            return calculate(*args, **kwargs)
        compared = self._compared(calculate, arguments) or {}
        with RowLosses(len(arguments["noise_pred"])) as seen:
            loss = calculate(*args, **kwargs)
        self._keep(arguments, seen, compared, loss)
        return loss

    @_harmless("_stop", always=True)
    def _arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return self._signature.bind(*args, **kwargs).arguments

    @_harmless("_stop", always=True)
    def _count(self, arguments: Mapping[str, Any] | None) -> None:
        """A batch after the stop: reports say how many rows of theirs are missing."""
        if arguments is not None:
            self._losses.count_unlogged(len(arguments["noise_pred"]), str(self._stopped))

    @_harmless("_stop_pairs")
    def _compared(self, calculate: Callable[..., Any], arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return {} if self._other is None else self._other.row_losses(calculate, arguments)

    @_harmless("_stop")
    def _keep(
        self, arguments: Mapping[str, Any], seen: RowLosses, compared: Mapping[str, Any], loss: torch.Tensor
    ) -> None:
        if seen.losses is None or seen.weighted is None:
            self._cannot(
                arguments, "calculate_loss took no mean over (B, C, H, W) or (B, C, T, H, W), and then over (B,)"
            )
            return
        try:
            items = self._items(arguments["batch"], len(seen.losses))
        except LookupError as error:
            self._cannot(arguments, str(error))
            return
        if not self._has_logged:
            self._compare(float(seen.weighted.mean()), float(loss.detach()))
        self._has_logged = True
        self._pending.append(_Rows(seen.losses, items, arguments["timesteps"], compared, seen.weighted))

    def _items(self, batch: Any, rows: int) -> Items:
        trainer = self._trainer
        has_refiner = trainer.model_config.refiner_name_or_path is not None and trainer.train_config.train_unet
        return items_of(batch, rows, self._names, has_refiner=has_refiner)

    def _cannot(self, arguments: Mapping[str, Any], reason: str) -> None:
        self._watch.cannot(reason)
        self._losses.count_unlogged(len(arguments["noise_pred"]), reason)

    def _compare(self, mean: float, scalar: float) -> None:
        """Once: a reader of the report must know of terms that no image has, and a loss that we misread shows here."""
        if math.isfinite(mean) and not math.isclose(mean, scalar, rel_tol=1e-3):
            sentence = (
                f"ai-toolkit's loss is {scalar:.4g} where the mean over the images is {mean:.4g}: it has terms of the "
                "whole batch, or a limit (max_loss), which are in no image's loss"
            )
            self._losses.add_warning(sentence)
            LOGGER.warning("%s", sentence)

    @_harmless("_stop")
    def step_ends(self, figures: MutableMapping[str, float]) -> None:
        """Log the step's batches, and give ai-toolkit the mean of each dataset to show.

        Args:
            figures: what the step returns: it goes to the progress bar, TensorBoard, W&B and the UI.
        """
        shown = self._pending[:]
        while self._pending:  # what is left when one of them fails is counted
            rows = self._pending[0]
            self._losses.log_batch(
                self._trainer.step_num,
                rows.losses,
                timesteps=rows.timesteps,
                components={WEIGHTED: rows.weighted},
                **rows.items._asdict(),
                **rows.compared,
            )
            self._watch.logged()
            del self._pending[0]
        if shown and self._trainer.accelerator.is_main_process:
            self._show(shown, figures)
        self._steps += 1
        self._watch.step_ended(self._steps)

    def _show(self, shown: list[_Rows], figures: MutableMapping[str, float]) -> None:
        """ai-toolkit has just waited for the device to read its own loss, so that reading ours costs a copy."""
        losses = torch.cat([rows.losses for rows in shown]).tolist()
        datasets = [name for rows in shown for name in rows.items.datasets]
        for name, loss in zip(datasets, losses, strict=True):
            if math.isfinite(loss):
                self._latest.setdefault(name, deque(maxlen=_LATEST)).append(loss)
        means = {
            f"dataset {name}" if name in _OURS else name: sum(latest) / len(latest)
            for name, latest in self._latest.items()
        }
        if len(means) <= _BAR_DATASETS:
            figures.update(means)
        else:
            self._trainer.additional_logs.update({f"loss/{name}": mean for name, mean in means.items()})

    @_harmless("_stop", always=True)
    def saved(self, step: int | None = None) -> None:
        """Report on what a checkpoint was trained with. The last one has no step."""
        if step is None:
            self.end()
        elif self._has_logged:
            self._report(step)

    def _report(self, step: int) -> None:
        self._pairs.note(self._losses)
        self._losses.save_step(step)

    def end(self) -> None:
        """Report on everything and close: before ai-toolkit ends the W&B run that we write to."""
        if not self._ended:
            self._ended = True
            self._last_report()
            self._losses.close()

    @_harmless("_stop", always=True)
    def _last_report(self) -> None:
        if self._has_logged:
            self._report(self._trainer.step_num)
        elif self._trainer.step_num > 0:
            self._watch.cannot("the training has ended and no batch came by")

    # --- when something is not as expected --------------------------------------------------------------------------

    def _stop(self, reason: str) -> None:
        if self._stopped is None:
            self._stopped = reason
            self._losses.count_unlogged(sum(len(rows.losses) for rows in self._pending), reason)
            self._pending.clear()
        LOGGER.warning("ai-toolkit: losses are logged no more: %s. Training goes on.", reason)

    def _stop_pairs(self, reason: str) -> None:
        self._other = None
        self._pairs.refuse(reason)
