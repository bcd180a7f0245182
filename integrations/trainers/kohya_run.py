"""kohya's sd-scripts and musubi-tuner: the losses of a running NetworkTrainer, and when it saves and resumes."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate import Accelerator

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.kohya_items import KEY
from loss_logging.integrations.trainers.seam_run import SeamRun, squared_error
from loss_logging.integrations.trainers.watch import Watch
from loss_logging.records.capture import capture_per_example_loss
from loss_logging.records.per_example import per_example_loss
from loss_logging.support.warn import LOGGER
from loss_logging.training.logger import LossLogger

if TYPE_CHECKING:
    import torch

__all__ = ["Run", "see_musubi", "see_sd_scripts", "see_states"]

_POSITION = "loss_logging.json"
"""A file in the folders of the trainer's states: the step that the log goes on after."""


class Run(SeamRun):
    """One training of a NetworkTrainer.

    Args:
        section: the configuration with our section.
        args: the trainer's own.
    """

    def __init__(self, section: Mapping[str, Any], args: Any) -> None:
        super().__init__(section, Watch("NetworkTrainer", "look for a newer version of loss_logging"))
        self._args = args
        self._resumed: int | None = None
        self._skipped = 0
        self._step = 0

    @property
    def place(self) -> tuple[str, str]:
        """The trainer's names for its output and its folder."""
        return self._args.output_name or "last", self._args.output_dir

    @property
    def step(self) -> int:
        """The number of the last batch in the log; 0 before the first."""
        return self._step

    def look(self, found: dict[str, Any], at: Callable[[], Mapping[str, Any]]) -> None:
        """Add to ``found`` what is ``at`` a seam; what is not as expected there costs the batch, not the training."""
        try:
            found.update(at())
        except Exception as error:  # noqa: BLE001
            found["problem"] = f"{type(error).__name__}: {error}"
            self.watch.cannot(found["problem"])

    def log_found(self, done: Callable[[], int], found: Mapping[str, Any]) -> None:
        """Log a batch.

        Args:
            done: gives how many steps the trainer has counted before this one.
            found: the trainer's ``batch``, ``accelerator`` and ``network``, and ``per_example``, ``weighted`` and
                ``timesteps``, (B,) each, the last two as far as they are known.
        """

        def begin() -> LossLogger:
            _names(found["batch"])  # a batch that does not say what it is of begins nothing
            return self._begin(done(), found["accelerator"], found["network"])

        def log_batch(losses: LossLogger) -> None:
            names = _names(found["batch"])
            self._step = self._skipped + done() + 1
            weighted = found.get("weighted")
            losses.log_batch(
                self.step,
                found["per_example"],
                timesteps=found.get("timesteps"),
                components=None if weighted is None else {"weighted": weighted},
                **names,
            )

        self.log(begin, log_batch)

    def _begin(self, done: int, accelerator: Any, network: Any) -> LossLogger:
        losses = self.logger(accelerator, *self.place)
        # A trainer that resumes mostly counts from 0 again; the log does not.
        known = (getattr(self._args, "initial_step", None), self._resumed, done)
        position = next(step for step in known if step is not None)
        self._skipped = position - done
        if position > 0:
            losses.resume(position)
        model = accelerator.unwrap_model(network)
        model.save_weights = self._then_save(model.save_weights)
        return losses

    def _then_save(self, save_weights: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(save_weights)
        def save(*args: Any, **kwargs: Any) -> Any:
            result = save_weights(*args, **kwargs)
            self.save()
            return result

        return save

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


def _signature(trainer: Any, method: str, *names: str) -> inspect.Signature:
    """How the trainer's own loop calls a method of it: as its first definition says, whatever a subclass takes.

    Raises:
        LossLoggingError: a parameter that is needed is missing there.
    """
    first = [kind for kind in type(trainer).__mro__ if method in vars(kind)][-1]
    signature = inspect.signature(getattr(first, method).__get__(trainer))
    missing = [name for name in names if name not in signature.parameters]
    if missing:
        raise LossLoggingError(
            f"this version of the trainer is not known: {method} has no parameter {', '.join(missing)}"
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
    signature = _signature(trainer, "process_batch", "batch", "network", "accelerator", "args", "is_train")

    @functools.wraps(process_batch)
    def process(*args: Any, **kwargs: Any) -> Any:
        seen.clear()
        given = signature.bind(*args, **kwargs).arguments
        if not given.get("is_train", True):
            return process_batch(*args, **kwargs)
        seen.update(given)
        loss = process_batch(*args, **kwargs)
        if "per_example" not in seen:
            run.watch.missed(seen.get("problem", "process_batch did not call conditional_loss"))
        else:
            run.log_found(step, seen)
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
    signature = _signature(trainer, "process_batch", "batch", "network", "accelerator", "global_step")
    _signature(trainer, "compute_loss", "args", "output", "timesteps")

    @functools.wraps(process_batch)
    def process(*args: Any, **kwargs: Any) -> Any:
        seen.clear()
        seen.update(signature.bind(*args, **kwargs).arguments)
        result = process_batch(*args, **kwargs)
        if "per_example" not in seen:
            run.watch.missed(seen.get("problem", "process_batch did not call compute_loss"))
        else:
            run.log_found(lambda: int(seen["global_step"]), seen)
        seen.clear()
        return result

    @functools.wraps(compute_loss)
    def compute(args: Any, output: Any, timesteps: Any, *rest: Any, **kwargs: Any) -> Any:
        with capture_per_example_loss(len(output.pred)) as captured:
            loss, metrics = compute_loss(args, output, timesteps, *rest, **kwargs)
        run.look(seen, lambda: {"per_example": squared_error(output.pred, output.target)})
        run.look(seen, lambda: {"weighted": captured.losses if captured.check(loss) else None})
        run.look(seen, lambda: {"timesteps": timesteps if timesteps.ndim == 1 else None})
        return loss, metrics

    trainer.process_batch, trainer.compute_loss = process, compute
