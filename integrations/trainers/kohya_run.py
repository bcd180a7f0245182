"""kohya's sd-scripts and musubi-tuner: the losses of a running NetworkTrainer, and when it saves and resumes."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F  # noqa: N812
from accelerate import Accelerator

from loss_logging.capture import capture_per_example_loss
from loss_logging.config import TrainConfig
from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.accelerate import accelerate_loggers
from loss_logging.integrations.trainers.kohya_items import KEY
from loss_logging.integrations.trainers.watch import Watch
from loss_logging.logger import LossLogger
from loss_logging.per_example import per_example_loss
from loss_logging.warn import LOGGER

if TYPE_CHECKING:
    import torch

__all__ = ["Run", "see_musubi", "see_sd_scripts", "see_states"]

_POSITION = "loss_logging.json"
"""A file in the folders of the trainer's states: the step that the log goes on after."""


class Run:
    """One training: makes the LossLogger at the first batch, when the processes and the trackers are there.

    Args:
        section: the configuration with our section.
        args: the trainer's own.
    """

    def __init__(self, section: Mapping[str, Any], args: Any) -> None:
        self._section = section
        self._args = args
        self._losses: LossLogger | None = None
        self._off = False
        self._resumed: int | None = None
        self._skipped = 0
        self.step = 0
        self.watch = Watch("NetworkTrainer", "look for a newer version of loss_logging")

    def look(self, found: dict[str, Any], at: Callable[[], Mapping[str, Any]]) -> None:
        """Add to ``found`` what is ``at`` a seam; what is not as expected there costs the batch, not the training."""
        try:
            found.update(at())
        except Exception as error:  # noqa: BLE001
            self.watch.cannot(f"{type(error).__name__}: {error}")

    def log(self, done: Callable[[], int], found: Mapping[str, Any]) -> None:
        """Log a batch.

        Args:
            done: gives how many steps the trainer has counted before this one.
            found: the trainer's ``batch``, ``accelerator`` and ``network``, and ``per_example``, ``weighted`` and
                ``timesteps``, (B,) each, the last two as far as they are known.
        """
        if self._off:
            return
        try:
            names, count = _names(found["batch"]), done()
            if self._losses is None:
                self._start(count, found["accelerator"], found["network"])
            self.step = self._skipped + count + 1
            weighted = found.get("weighted")
            self._logger.log_batch(
                self.step,
                found["per_example"],
                timesteps=found.get("timesteps"),
                components=None if weighted is None else {"weighted": weighted},
                **names,
            )
            self.watch.logged()
        except Exception as error:  # noqa: BLE001, whatever the reason, the user's training is worth more
            self._off = self._losses is None
            self.watch.cannot(f"{type(error).__name__}: {error}")

    @property
    def _logger(self) -> LossLogger:
        assert self._losses is not None
        return self._losses

    def _start(self, done: int, accelerator: Any, network: Any) -> None:
        args = self._args
        config = TrainConfig.from_section(
            self._section,
            job_name=args.output_name or "last",
            save_root=args.output_dir,
            loggers=accelerate_loggers(accelerator),
            timestep_scale=1000,
        )
        if config is None:
            raise LossLoggingError("the configuration has no section loss_logging, or it is off")
        losses = LossLogger(config)
        # A trainer that resumes mostly counts from 0 again; the log does not.
        known = (getattr(args, "initial_step", None), self._resumed, done)
        position = next(step for step in known if step is not None)
        self._skipped = position - done
        if position > 0:
            losses.resume(position)
        model = accelerator.unwrap_model(network)
        model.save_weights = self._then_save(model.save_weights)
        self._losses = losses

    def _then_save(self, save_weights: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(save_weights)
        def save(*args: Any, **kwargs: Any) -> Any:
            result = save_weights(*args, **kwargs)
            self.save()
            return result

        return save

    def save(self) -> None:
        """Make a report."""
        if self._losses is not None:
            self._losses.save_step(self.step)

    def close(self) -> None:
        """Make the last report and close, while the trainer's trackers are open."""
        losses, self._losses, self._off = self._losses, None, True
        if losses is not None:
            losses.save_step(self.step)
            losses.close()

    # --- the trainer's states ---------------------------------------------------------------------------------------

    def state_saved(self, folder: Any) -> None:
        """Note beside a state where the log is."""
        if self.step == 0:  # nothing was logged; after the last step the log is closed, and its last state comes
            return
        try:
            (Path(folder) / _POSITION).write_text(json.dumps({"step": self.step}))
        except OSError as error:
            LOGGER.warning("the log cannot be resumed from %s: %s", folder, error)

    def state_loaded(self, folder: Any) -> None:
        """Go on where the log was."""
        for name, key in ((_POSITION, "step"), ("train_state.json", "current_step")):
            try:
                self._resumed = int(json.loads((Path(folder) / name).read_text())[key])
            except (OSError, ValueError, KeyError):
                continue
            return
        LOGGER.warning("%s does not say at which step it was saved: the log starts anew", folder)


def _names(batch: Mapping[str, Any]) -> dict[str, Any]:
    names = dict(batch.get(KEY) or {"error": ["the dataset is of a class that is not known"]})
    if "error" in names:
        raise LossLoggingError(f"the batch does not say which images it is of: {names['error'][0]}")
    return names


def see_states(run: Callable[[], Run | None]) -> None:
    """Notice what the current run's Accelerator saves, loads and ends."""
    save, load, end = Accelerator.save_state, Accelerator.load_state, Accelerator.end_training

    @functools.wraps(save)
    def save_state(self: Any, *args: Any, **kwargs: Any) -> Any:
        folder = save(self, *args, **kwargs)
        if (current := run()) is not None and self.is_main_process:
            current.state_saved(args[0] if args else folder)
        return folder

    @functools.wraps(load)
    def load_state(self: Any, input_dir: Any = None, *args: Any, **kwargs: Any) -> Any:
        result = load(self, input_dir, *args, **kwargs)
        if (current := run()) is not None and input_dir is not None:
            current.state_loaded(input_dir)
        return result

    @functools.wraps(end)
    def end_training(self: Any) -> None:
        if (current := run()) is not None:
            current.close()
        end(self)

    Accelerator.save_state, Accelerator.load_state, Accelerator.end_training = save_state, load_state, end_training


def _signature(method: Callable[..., Any], *names: str) -> inspect.Signature:
    signature = inspect.signature(method)
    missing = [name for name in names if name not in signature.parameters]
    if missing:
        raise LossLoggingError(
            f"this version of the trainer is not known: {method.__name__} has no parameter {', '.join(missing)}"
        )
    return signature


# --- sd-scripts ---------------------------------------------------------------------------------------------------


def see_sd_scripts(trainer: Any, run: Run, train_util: Any, masked: Callable[[Any, Any], Any], step: Any) -> None:
    """Look at what the methods of a NetworkTrainer of sd-scripts are given and return.

    The unweighted losses are those of ``conditional_loss``, with the mask and before every weight; the weighted ones
    what ``post_process_loss`` returns, whose mean the trainer takes.

    Args:
        trainer: the NetworkTrainer.
        run: where to log.
        train_util: the module.
        masked: its ``apply_masked_loss``.
        step: gives the number of steps that the trainer has counted.
    """
    seen: dict[str, Any] = {}
    process_batch, post_process_loss = trainer.process_batch, trainer.post_process_loss
    conditional_loss = train_util.conditional_loss
    signature = _signature(process_batch, "batch", "network", "accelerator", "args", "is_train")

    @functools.wraps(process_batch)
    def process(*args: Any, **kwargs: Any) -> Any:
        seen.clear()
        given = signature.bind(*args, **kwargs).arguments
        if not given.get("is_train", True):
            return process_batch(*args, **kwargs)
        seen.update(given)
        loss = process_batch(*args, **kwargs)
        if "per_example" not in seen:
            run.watch.cannot("process_batch did not call conditional_loss")
        else:
            run.log(step, seen)
        seen.clear()
        return loss

    @functools.wraps(conditional_loss)
    def elementwise(*args: Any, **kwargs: Any) -> Any:
        loss = conditional_loss(*args, **kwargs)
        if "batch" in seen and loss.ndim > 0:
            run.look(seen, lambda: {"per_example": per_example_loss(with_mask(loss.detach(), seen["batch"]))})
        return loss

    def with_mask(loss: torch.Tensor, batch: Mapping[str, Any]) -> Any:
        is_masked = seen["args"].masked_loss or batch.get("alpha_masks") is not None
        return masked(loss, batch) if is_masked else loss

    @functools.wraps(post_process_loss)
    def post_process(loss: Any, args: Any, timesteps: Any, *rest: Any, **kwargs: Any) -> Any:
        weighted = post_process_loss(loss, args, timesteps, *rest, **kwargs)
        if "batch" in seen:
            run.look(seen, lambda: {"weighted": per_example_loss(weighted), "timesteps": timesteps})
        return weighted

    trainer.process_batch, trainer.post_process_loss = process, post_process
    train_util.conditional_loss = elementwise


# --- musubi-tuner -------------------------------------------------------------------------------------------------


def see_musubi(trainer: Any, run: Run) -> None:
    """The same for musubi-tuner.

    The unweighted losses are the squared error of what ``compute_loss`` is given; the weighted ones are captured from
    its scalar, and not known where that is no one mean.
    """
    seen: dict[str, Any] = {}
    process_batch, compute_loss = trainer.process_batch, trainer.compute_loss
    signature = _signature(process_batch, "batch", "network", "accelerator", "global_step")
    _signature(compute_loss, "args", "output", "timesteps")

    @functools.wraps(process_batch)
    def process(*args: Any, **kwargs: Any) -> Any:
        seen.clear()
        seen.update(signature.bind(*args, **kwargs).arguments)
        result = process_batch(*args, **kwargs)
        if "per_example" not in seen:
            run.watch.cannot("process_batch did not call compute_loss")
        else:
            run.log(lambda: int(seen["global_step"]), seen)
        seen.clear()
        return result

    @functools.wraps(compute_loss)
    def compute(args: Any, output: Any, timesteps: Any, *rest: Any, **kwargs: Any) -> Any:
        with capture_per_example_loss(len(output.pred)) as captured:
            loss, metrics = compute_loss(args, output, timesteps, *rest, **kwargs)
        run.look(seen, lambda: {"per_example": _squared_error(output.pred, output.target)})
        run.look(seen, lambda: {"weighted": captured.losses if captured.check(loss) else None})
        run.look(seen, lambda: {"timesteps": timesteps if timesteps.ndim == 1 else None})
        return loss, metrics

    trainer.process_batch, trainer.compute_loss = process, compute


def _squared_error(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    if prediction.shape != target.shape:
        raise ValueError(f"the prediction has shape {tuple(prediction.shape)}, and the target {tuple(target.shape)}")
    return per_example_loss(F.mse_loss(prediction.detach().float(), target.detach().float(), reduction="none"))
