"""The forward with the empty caption, on a share of ai-toolkit's steps."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from loss_logging.integrations.trainers.ai_toolkit.row_losses import RowLosses
from loss_logging.integrations.trainers.ai_toolkit.settings import has_seam
from loss_logging.records.no_trace import no_trace
from loss_logging.training.logger import LossLogger

__all__ = ["EmptyCaption", "obstacle"]


def obstacle(trainer: Any, base: Any) -> str | None:
    """Why this job cannot be asked for losses with the empty caption; None when it can."""
    train, sd = trainer.train_config, trainer.sd
    reasons = {
        "it trains an adapter": trainer.adapter is not None or trainer.assistant_adapter is not None,
        "it trains a decorator": trainer.decorator is not None,
        "it trains the text encoder": train.train_text_encoder or trainer.embedding is not None,
        "it trains without captions": train.unload_text_encoder and not trainer.is_caching_text_embeddings,
        "its target depends on the captions (do_guidance_loss)": train.do_guidance_loss,
        "its text embeddings contain an image": sd.encode_control_in_text_embeddings
        or getattr(sd, "encode_first_frame_in_text_embeddings", False),
        "this ai-toolkit has no SDTrainer.predict_noise(conditional_embeds, is_primary_pred)": not has_seam(
            base, "predict_noise", ("noisy_latents", "conditional_embeds", "batch", "is_primary_pred")
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


class EmptyCaption:
    """Asks a trainer for the same batch's losses with the empty caption. Training does not notice.

    Args:
        trainer: ai-toolkit's, ready to train.
        losses: says on which steps.
    """

    def __init__(self, trainer: Any, losses: LossLogger) -> None:
        self._trainer = trainer
        self._losses = losses
        self._concat = importlib.import_module("toolkit.prompt_utils").concat_prompt_embeds
        self._norms = [module for module in trainer.sd.unet.modules() if hasattr(module, "running_mean")]
        self._prediction: torch.Tensor | None = None
        with no_trace():
            blank = trainer.cached_blank_embeds
            self._blank = trainer.encode_static_prompt("") if blank is None else blank

    def predict(self, predict: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Right before the step's own forward: the prediction with the empty caption, on the steps that want one."""
        if not kwargs.get("is_primary_pred"):
            return
        self._prediction = None
        call = inspect.signature(predict).bind(*args, **kwargs)
        arguments = call.arguments
        with self._unnoticed(arguments["batch"], *self._norms) as wanted:
            if wanted:
                rows = len(arguments["noisy_latents"])
                arguments["conditional_embeds"] = self._concat([self._blank.clone() for _ in range(rows)])
                self._prediction = predict(*call.args, **call.kwargs)

    def row_losses(self, calculate: Callable[..., Any], arguments: Mapping[str, Any]) -> torch.Tensor | None:
        """(B,) losses of that prediction, right before the step's own; None where there is none.

        The step's own forward has been: its graph holds the norms' buffers, which must not be written to any more.
        """
        prediction, self._prediction = self._prediction, None
        if prediction is None:
            return None
        with self._unnoticed(arguments["batch"]), RowLosses(len(prediction)) as seen:
            calculate(**{**arguments, "noise_pred": prediction})
        losses: torch.Tensor | None = seen.losses
        return losses

    @contextmanager
    def _unnoticed(self, batch: Any, *modules: torch.nn.Module) -> Iterator[bool]:
        """As ``paired_forward``; models also keep notes on the batch, and the loss among the trainer's figures."""
        notes, figures = dict(vars(batch)), dict(self._trainer.additional_logs)
        try:
            with self._losses.paired_forward(self._trainer.step_num, *modules) as wanted:
                yield wanted is not None
        finally:
            vars(batch).clear()
            vars(batch).update(notes)
            self._trainer.additional_logs = figures
