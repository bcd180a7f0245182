"""kohya's sd-scripts and musubi-tuner: what the methods of a NetworkTrainer are given and return."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.kohya_captions import MusubiCaptions, SdCaptions
from loss_logging.integrations.trainers.kohya_run import Run
from loss_logging.integrations.trainers.paired import modules_among, with_arguments
from loss_logging.integrations.trainers.seam_run import squared_error
from loss_logging.records.capture import capture_per_example_loss
from loss_logging.records.per_example import per_example_loss

if TYPE_CHECKING:
    import torch

__all__ = ["see_musubi", "see_sd_scripts"]


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
    seams = _SdScripts(trainer, run, train_util, masked, step)
    trainer.process_batch = _in_place_of(trainer.process_batch, seams.process_batch)
    trainer.post_process_loss = _in_place_of(trainer.post_process_loss, seams.post_process_loss)
    train_util.conditional_loss = _in_place_of(train_util.conditional_loss, seams.conditional_loss)


def _in_place_of(original: Callable[..., Any], seam: Callable[..., Any]) -> Callable[..., Any]:
    """A function that looks like the original one, for whoever asks for its signature."""

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        return seam(*args, **kwargs)

    return call


class _SdScripts:
    """What takes the place of the trainer's methods; each calls the one that was there."""

    def __init__(
        self, trainer: Any, run: Run, train_util: Any, masked: Callable[[Any, Any], Any], step: Callable[[], int]
    ) -> None:
        self._trainer, self._run, self._masked, self._step = trainer, run, masked, step
        self._process_batch, self._post_process_loss = trainer.process_batch, trainer.post_process_loss
        self._conditional_loss = train_util.conditional_loss
        self._signature = _signature(trainer, "process_batch", "batch", "network", "accelerator", "args", "is_train")
        self._captions = SdCaptions(train_util)
        self._seen: dict[str, Any] = {}  # of the batch that is computed; empty between batches and for validation

    def process_batch(self, *args: Any, **kwargs: Any) -> Any:
        seen, run = self._seen, self._run
        seen.clear()
        given = self._signature.bind(*args, **kwargs).arguments
        if not given.get("is_train", True):
            return self._process_batch(*args, **kwargs)
        run.batch_begins(self._step, given)
        forward = functools.partial(self._with_captions, args, kwargs)
        run.compare(self._step, seen, given["batch"], forward, modules_among(given.values()))
        seen.update(given)
        loss = self._process_batch(*args, **kwargs)
        if "per_example" not in seen:
            run.watch.missed(seen.get("problem", "process_batch did not call conditional_loss"))
        else:
            run.log_found(self._step, seen)
        seen.clear()
        return loss

    def _with_captions(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], other: Sequence[str]) -> dict[str, Any]:
        """A validation step, which the trainer makes without gradients; it draws what the step's own will draw."""
        seen = self._seen
        given = self._signature.bind(*args, **kwargs).arguments
        batch = self._captions.batch(given, other)
        try:
            seen.update(given, batch=batch)
            args, kwargs = with_arguments(self._signature, args, kwargs, batch=batch, is_train=False)
            self._process_batch(*args, **kwargs)
            if "per_example" not in seen:
                raise LossLoggingError(seen.get("problem", "process_batch did not call conditional_loss"))
            return {name: seen[name] for name in ("per_example", "target")}
        finally:
            seen.clear()
            if hasattr(
                self._trainer, "on_validation_step_end"
            ):  # blocks that were swapped go where a step expects them
                ends = inspect.signature(self._trainer.on_validation_step_end).parameters
                self._trainer.on_validation_step_end(**{name: given[name] for name in ends})

    def conditional_loss(self, *args: Any, **kwargs: Any) -> Any:
        loss, seen = self._conditional_loss(*args, **kwargs), self._seen
        if "batch" in seen and loss.ndim > 0:
            self._run.look(seen, lambda: {"per_example": per_example_loss(self._with_mask(loss.detach()))})
            target = args[1] if len(args) > 1 else kwargs.get("target")
            if target is not None:
                seen["target"] = target.detach()
        return loss

    def _with_mask(self, loss: torch.Tensor) -> Any:
        batch = self._seen["batch"]
        is_masked = self._seen["args"].masked_loss or batch.get("alpha_masks") is not None
        return self._masked(loss, batch) if is_masked else loss

    def post_process_loss(self, loss: Any, args: Any, timesteps: Any, *rest: Any, **kwargs: Any) -> Any:
        weighted = self._post_process_loss(loss, args, timesteps, *rest, **kwargs)
        if "batch" in self._seen:
            self._run.look(self._seen, lambda: {"weighted": per_example_loss(weighted), "timesteps": timesteps})
        return weighted


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
    captions = MusubiCaptions(trainer, wanted=run.wants_pairs)

    def done() -> int:
        return int(seen["global_step"])

    @functools.wraps(process_batch)
    def process(*args: Any, **kwargs: Any) -> Any:
        seen.clear()
        seen.update(signature.bind(*args, **kwargs).arguments)
        run.batch_begins(done, seen)
        result = process_batch(*args, **kwargs)
        if "per_example" not in seen:
            run.watch.missed(seen.get("problem", "process_batch did not call compute_loss"))
        else:
            run.log_found(done, seen)
        seen.clear()
        return result

    try:
        _see_call_dit(trainer, run, seen, done, captions)
    except (LossLoggingError, AttributeError) as error:  # the losses themselves are logged in any case
        run.pairs.refuse(str(error))

    @functools.wraps(compute_loss)
    def compute(args: Any, output: Any, timesteps: Any, *rest: Any, **kwargs: Any) -> Any:
        with capture_per_example_loss(len(output.pred)) as captured:
            loss, metrics = compute_loss(args, output, timesteps, *rest, **kwargs)
        run.look(seen, lambda: _squared(output))
        run.look(seen, lambda: {"weighted": captured.losses if captured.check(loss) else None})
        run.look(seen, lambda: {"timesteps": timesteps if timesteps.ndim == 1 else None})
        return loss, metrics

    trainer.process_batch, trainer.compute_loss = process, compute


def _see_call_dit(
    trainer: Any, run: Run, seen: dict[str, Any], done: Callable[[], int], captions: MusubiCaptions
) -> None:
    """Before the model is called for a step's batch, call it with the other caption: noise and timesteps are drawn."""
    call_dit = trainer.call_dit
    signature = _signature(trainer, "call_dit", "batch")

    def with_captions(args: tuple[Any, ...], kwargs: Mapping[str, Any], other: Sequence[str]) -> Mapping[str, Any]:
        given = signature.bind(*args, **kwargs).arguments
        args, kwargs = with_arguments(signature, args, kwargs, batch=captions.batch(given["batch"], other))
        try:
            return _squared(call_dit(*args, **kwargs))
        finally:
            if getattr(trainer, "blocks_to_swap", 0):  # they go where a step expects them
                seen["accelerator"].unwrap_model(seen["transformer"]).prepare_block_swap_before_forward()

    @functools.wraps(call_dit)
    def call(*args: Any, **kwargs: Any) -> Any:
        if "batch" in seen and "called" not in seen:
            seen["called"] = True  # a step may call it again
            modules = modules_among([*seen.values(), *args, *kwargs.values()])
            run.compare(done, seen, seen["batch"], functools.partial(with_captions, args, kwargs), modules)
        return call_dit(*args, **kwargs)

    trainer.call_dit = call


def _squared(output: Any) -> dict[str, torch.Tensor]:
    return {"per_example": squared_error(output.pred, output.target), "target": output.target.detach()}
