"""kohya's sd-scripts and musubi-tuner: the log of a running NetworkTrainer, and when it saves and resumes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate import Accelerator

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.accelerate import accelerate_loggers
from loss_logging.integrations.trainers.kohya_items import KEY
from loss_logging.integrations.trainers.model_family import captions_of
from loss_logging.integrations.trainers.paired import require_same
from loss_logging.integrations.trainers.seam_run import SeamRun
from loss_logging.integrations.trainers.watch import Watch
from loss_logging.runs.config import TrainConfig
from loss_logging.support.warn import LOGGER
from loss_logging.training.logger import LossLogger

if TYPE_CHECKING:
    import torch

__all__ = ["Run", "see_states"]

_POSITION = "loss_logging.json"
"""A file in the folders of the trainer's states: the step that the log goes on after."""


class Run(SeamRun):
    """One training of a NetworkTrainer.

    Args:
        section: the configuration with our section.
        args: the trainer's own.
        trainer: the NetworkTrainer, whose class says which model it is.
    """

    def __init__(self, section: Mapping[str, Any], args: Any, trainer: Any) -> None:
        super().__init__(section, Watch("NetworkTrainer", "look for a newer version of loss_logging"))
        self._args = args
        self._trainer = trainer
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

    @property
    def wants_pairs(self) -> bool:
        """Whether the section asks for losses with another caption on any step."""
        config = TrainConfig.from_section(self._section, job_name="asked", save_root=".")
        return config is not None and config.paired_fraction > 0

    def batch_begins(self, done: Callable[[], int], found: Mapping[str, Any]) -> None:
        """Before the forward.

        Args:
            done: gives how many steps the trainer has counted before this one.
            found: the trainer's ``batch``, ``accelerator`` and ``network``.
        """

        def make() -> LossLogger:
            _names(found["batch"])  # a batch that does not say what it is of begins nothing
            return self._begin(done(), found["accelerator"], found["network"])

        self.begin(make)

    def compare(
        self,
        done: Callable[[], int],
        found: dict[str, Any],
        batch: Mapping[str, Any],
        forward: Callable[[Sequence[str]], Mapping[str, Any]],
        modules: Any,
    ) -> None:
        """On the steps that want it, add to ``found`` what was ``compared``, and the ``other_target`` of that.

        Args:
            done: as above.
            found: what is seen of the batch.
            batch: the trainer's.
            forward: from other captions, (B,), to ``per_example`` and ``target``.
            modules: are as before afterwards.
        """
        target: list[torch.Tensor] = []

        def losses(captions: Sequence[str]) -> torch.Tensor:
            seen = forward(captions)
            target[:] = [seen["target"]]
            per_example: torch.Tensor = seen["per_example"]
            return per_example

        step = self._skipped + done() + 1
        if compared := self.pairs.compare(self.losses, step, lambda: _names(batch), losses, modules):
            found.update(compared=compared, other_target=target[0])

    def log_found(self, done: Callable[[], int], found: Mapping[str, Any]) -> None:
        """Log a batch, after its forward.

        Args:
            done: as above.
            found: as above, and ``per_example``, ``weighted`` and ``timesteps``, (B,) each, the last two as far as
                they are known; ``target`` where another caption was ``compared``.
        """

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
                **self._compared(found),
            )

        self.log(log_batch)

    def _compared(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of the same noise; or nothing, and nothing any more."""
        if "compared" not in found:
            return {}
        try:
            require_same("noise or targets", found["other_target"], found["target"])
        except LossLoggingError as error:
            self.pairs.refuse(str(error))
            return {}
        compared: Mapping[str, Any] = found["compared"]
        return compared

    def _begin(self, done: int, accelerator: Any, network: Any) -> LossLogger:
        losses = self.logger(accelerate_loggers(accelerator), *self.place, _captions(self._trainer, self._args))
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


_LIMITS = ("t5xxl_max_token_length", "gemma2_max_token_length", "t5_max_token_length")


def _captions(trainer: Any, args: Any) -> dict[str, Any]:
    """The model and the token limit, as the trainer was told."""
    if hasattr(trainer, "architecture"):
        return captions_of("musubi", [getattr(trainer, "architecture_full_name", ""), trainer.architecture])
    kinds = [kind.__name__ for kind in type(trainer).__mro__]
    special = "flux-schnell" if getattr(trainer, "is_schnell", False) else getattr(args, "model_type", None) or ""
    tokens = next((getattr(args, name) for name in _LIMITS if hasattr(args, name)), None)
    found = captions_of("kohya", [special, *kinds], tokens)
    blocks = getattr(args, "max_token_length", None)  # of 75, without start and end; for CLIP alone
    return captions_of("kohya", kinds, blocks + 2) if blocks and found.get("model") in ("sd15", "sdxl") else found


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
