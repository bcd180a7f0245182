"""SimpleTuner: loss logging as its custom tracker, which looks at the loss of every example.

In ``simpletuner/custom-trackers/losses.py``, switched on by ``--report_to=custom-tracker --custom_tracker=losses``::

    from loss_logging.integrations.trainers.simpletuner import LossTracker

    class Losses(LossTracker):
        config = "config/losses.toml"
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

from accelerate.tracking import GeneralTracker

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.accelerate import accelerate_loggers
from loss_logging.integrations.trainers.model_family import captions_of
from loss_logging.integrations.trainers.paired import modules_among, with_arguments
from loss_logging.integrations.trainers.seam_run import SeamRun, squared_error
from loss_logging.integrations.trainers.settings import read_settings
from loss_logging.integrations.trainers.simpletuner_captions import Captions
from loss_logging.integrations.trainers.simpletuner_exclusions import backends_without
from loss_logging.integrations.trainers.watch import Watch
from loss_logging.records.capture import CapturedLosses, capture_per_example_loss
from loss_logging.support.warn import LOGGER
from loss_logging.training.logger import LossLogger

if TYPE_CHECKING:
    import torch

__all__ = ["LossTracker"]

_TRAINER = "simpletuner.helpers.training.trainer"
_LOADER = "simpletuner.helpers.data_backend.factory"
_KEY = "loss_logging"


class LossTracker(GeneralTracker):  # type: ignore[misc, unused-ignore]
    """A tracker to derive from, in a file of its own, as SimpleTuner asks for.

    What SimpleTuner logs itself is left to its other trackers. A report is made at each of its checkpoints and at the
    end; a training that goes on from a checkpoint resumes the log.

    Attributes:
        config: a TOML, YAML or JSON file with a section ``loss_logging``; None for the defaults.
    """

    name = "loss_logging"
    requires_logging_directory = False
    main_process_only = False
    config: ClassVar[str | None] = None

    def __init__(self, run_name: str, logging_dir: str | None = None) -> None:  # noqa: ARG002, SimpleTuner gives it
        super().__init__()
        self._watch = Watch("SimpleTuner", "look for a newer version of loss_logging")
        self._run: _Run | None = None
        self._without = ExitStack()
        section = read_settings(self.config)
        if section is None:
            return
        try:
            _see_trainer(
                lambda trainer: self._leave_out(trainer, run_name, section),
                lambda trainer: self._start(trainer, run_name, section),
                self._without.close,
            )
        except LossLoggingError as error:
            LOGGER.error("%s. No losses are logged; training goes on.", error)

    def _leave_out(self, trainer: Any, run_name: str, section: Mapping[str, Any]) -> None:
        exclusions = self._start(trainer, run_name, section).exclude(run_name, trainer.config.output_dir)
        if exclusions is not None:
            self._without.enter_context(backends_without(exclusions))

    def _start(self, trainer: Any, run_name: str, section: Mapping[str, Any]) -> _Run:
        if self._run is None:
            self._run = _Run(trainer, run_name, section, self._watch)
        return self._run

    @property
    def tracker(self) -> LossLogger | None:
        """The LossLogger, while it trains."""
        return None if self._run is None else self._run.losses

    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Left to the other trackers."""

    def log(self, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:  # noqa: ARG002
        """Left to the other trackers; but a step has ended."""
        if self._run is not None and not self._run.off and step is not None:
            self._watch.step_ended(step)


class _Run(SeamRun):
    """One training."""

    def __init__(self, trainer: Any, run_name: str, section: Mapping[str, Any], watch: Watch) -> None:
        super().__init__(section, watch)
        self._trainer = trainer
        self._run_name = run_name

    def batch_begins(self, batch: Mapping[str, Any]) -> None:
        """Before the forward."""

        def make() -> LossLogger:
            _names(batch)  # a batch that does not say what it is of begins nothing
            return self._begin()

        self.begin(make)

    def log_found(
        self,
        batch: Mapping[str, Any],
        found: Callable[[], tuple[torch.Tensor, torch.Tensor | None]],
        compared: Mapping[str, Any],
    ) -> None:
        """Log a batch, with its losses, its weighted losses and those with another caption."""

        def log_batch(logger: LossLogger) -> None:
            losses, weighted = found()
            timesteps = batch.get("timesteps")
            logger.log_batch(
                self.step + 1,
                losses,
                **_names(batch),
                timesteps=timesteps if timesteps is not None and timesteps.ndim == 1 else None,
                is_reg=[bool(batch.get("is_regularisation_data"))] * len(losses),
                components=None if weighted is None else {"weighted": weighted},
                **compared,
            )

        self.log(log_batch)

    @property
    def step(self) -> int:
        """As the trainer counts."""
        return int(self._trainer.state["global_step"])

    def _begin(self) -> LossLogger:
        config = self._trainer.config
        tokens = getattr(config, "tokenizer_max_length", None)
        captions = captions_of("simpletuner", [getattr(config, "model_family", "")], tokens)
        losses = self.logger(accelerate_loggers(self._trainer.accelerator), self._run_name, config.output_dir, captions)
        if self.step > 0:
            losses.resume(self.step)
        return losses


def _names(batch: Mapping[str, Any]) -> dict[str, Any]:
    names = batch.get(_KEY)
    if names is None and batch.get("filepaths") and batch.get("prompts"):
        names = {"paths": batch["filepaths"], "datasets": batch.get("data_backend_id", "")}
    if names is None:
        raise LossLoggingError("the batch does not say which files it is of")
    return {**names, "captions": [str(prompt) for prompt in batch["prompts"]]}


# --- what is wrapped ----------------------------------------------------------------------------------------------


def _see_trainer(leave_out: Callable[[Any], None], start: Callable[[Any], _Run], ended: Callable[[], None]) -> None:
    """Look at the next training: before its data backends are made, when it starts, and when it has ended."""
    loader: Any = importlib.import_module(_LOADER)
    kind: Any = getattr(importlib.import_module(_TRAINER), "Trainer", None)
    wanted = ("init_data_backend", "train", "model_predict", "checkpoint_state_save")
    missing = [f"{_TRAINER}.Trainer.{name}" for name in wanted if not hasattr(kind, name)]
    if not hasattr(loader, "collate_fn"):
        missing.append(f"{_LOADER}.collate_fn")
    if kind is None or missing:
        raise LossLoggingError(
            f"this version of SimpleTuner is not known: it has no {', '.join(missing)}. Use one that "
            "docs/simpletuner.md names, or a newer loss_logging"
        )
    loader.collate_fn = _naming(loader.collate_fn)
    train, init = kind.train, kind.init_data_backend

    @functools.wraps(init)
    def init_data_backend(self: Any) -> Any:
        kind.init_data_backend = init
        leave_out(self)
        return init(self)

    @functools.wraps(train)
    def logged(self: Any) -> Any:
        kind.train = train  # the next Trainer has a tracker of its own
        run = start(self)
        _see(self, run)
        try:
            return train(self)
        finally:
            run.close()
            ended()

    kind.train, kind.init_data_backend = logged, init_data_backend


def _naming(collate: Callable[..., Any]) -> Callable[..., Any]:
    """A collate function whose batches say which files they are of, and which captions were dropped."""
    if hasattr(collate, "__wrapped__"):
        return collate

    @functools.wraps(collate)
    def named(batch: Any) -> Any:
        samples = batch[0]["training_samples"]
        captions = [sample["instance_prompt_text"] for sample in samples]
        result = collate(batch)
        if isinstance(result, dict):
            result[_KEY] = {
                "paths": [str(sample["image_path"]) for sample in samples],
                "datasets": [str(sample["data_backend_id"]) for sample in samples],
                "caption_dropped": [
                    bool(before) and not used for before, used in zip(captions, result["prompts"], strict=True)
                ],
            }
        return result

    return named


def _see(trainer: Any, run: _Run) -> None:
    """Look at what a Trainer's methods are given and return.

    The loss of the examples is captured from ``model.loss_with_logs``, whose scalar it adds up to; most models call
    ``loss`` in it, which versions before 4 call themselves. With ``--snr_gamma`` that is weighted, and the squared
    errors of prediction and target are the unweighted ones.
    """
    import torch

    model = trainer.model
    predict, save, end = trainer.model_predict, trainer.checkpoint_state_save, trainer.accelerator.end_training
    seam = "loss_with_logs" if hasattr(model, "loss_with_logs") else "loss"
    loss_of = getattr(model, seam)
    signature, captions = inspect.signature(predict), Captions(trainer)
    predicted: bool = False
    compared: Mapping[str, Any] = {}

    @functools.wraps(predict)
    def model_predict(*args: Any, **kwargs: Any) -> Any:
        nonlocal predicted, compared
        predicted, compared = True, {}
        if torch.is_grad_enabled() and not run.off:
            batch = signature.bind(*args, **kwargs).arguments.get("prepared_batch", {})
            run.batch_begins(batch)
            forward = functools.partial(with_captions, batch, args, kwargs)
            modules = modules_among(vars(model).values())
            compared = run.pairs.compare(run.losses, run.step + 1, lambda: _names(batch), forward, modules)
        return predict(*args, **kwargs)

    def with_captions(batch: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], other: Sequence[str]) -> Any:
        prepared = captions.batch(batch, other)
        args, kwargs = with_arguments(signature, args, kwargs, prepared_batch=prepared)
        output = predict(*args, **kwargs)
        captured, result = _capture(loss_of, prepared, output, apply_conditioning_mask=True)
        return _losses(captured, _scalar(result), model, output, prepared)[0]

    @functools.wraps(loss_of)
    def loss(prepared_batch: Any, model_output: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal predicted
        first, predicted = predicted, False  # regularisers ask for the loss of something else once more
        if not first or run.off:
            return loss_of(prepared_batch, model_output, *args, **kwargs)
        captured, result = _capture(loss_of, prepared_batch, model_output, *args, **kwargs)
        if not _scalar(result).requires_grad:  # it evaluates
            return result
        found = functools.partial(_losses, captured, _scalar(result), model, model_output, prepared_batch)
        run.log_found(prepared_batch, found, compared)
        return result

    @functools.wraps(save)
    def checkpoint_state_save(*args: Any, **kwargs: Any) -> Any:
        result = save(*args, **kwargs)
        run.save()
        return result

    @functools.wraps(end)
    def end_training() -> Any:
        run.close()
        return end()

    setattr(model, seam, loss)
    trainer.model_predict = model_predict
    trainer.checkpoint_state_save, trainer.accelerator.end_training = checkpoint_state_save, end_training


def _capture(loss_of: Callable[..., Any], batch: Any, *args: Any, **kwargs: Any) -> tuple[CapturedLosses, Any]:
    with capture_per_example_loss(len(batch["prompts"])) as captured:
        result = loss_of(batch, *args, **kwargs)
    return captured, result


def _scalar(result: Any) -> torch.Tensor:
    """With the loss come figures for the trackers, or none."""
    scalar: torch.Tensor = result[0] if isinstance(result, tuple) else result
    return scalar


def _losses(
    captured: CapturedLosses, scalar: torch.Tensor, model: Any, model_output: Any, batch: Any
) -> tuple[torch.Tensor, torch.Tensor | None]:
    captured.check(scalar)
    if captured.losses is None:
        raise LossLoggingError(f"the loss is not one mean over the examples: {captured.reason}")
    if not _is_weighted(model.config):
        return captured.losses, None
    return squared_error(model_output["model_prediction"], model.get_prediction_target(batch)), captured.losses


def _is_weighted(config: Any) -> bool:
    return bool(getattr(config, "snr_gamma", None)) and getattr(config, "loss_type", "l2") == "l2"
