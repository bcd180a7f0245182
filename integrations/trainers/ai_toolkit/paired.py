"""The forward with another caption, on a share of ai-toolkit's steps."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from loss_logging.integrations.trainers.ai_toolkit.items import Items
from loss_logging.integrations.trainers.ai_toolkit.row_losses import RowLosses
from loss_logging.integrations.trainers.ai_toolkit.settings import has_seam
from loss_logging.records.no_trace import no_trace
from loss_logging.training.logger import LossLogger

__all__ = ["OtherCaptions", "obstacle"]


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


class OtherCaptions:
    """Asks a trainer for the same batch's losses with the empty caption, or rivals'. Training does not notice.

    Rivals' captions are encoded where the text encoder is there, and not only its cache.

    Args:
        trainer: ai-toolkit's, ready to train.
        losses: says on which steps.
        items: from a batch and a number of rows to what they are of.
    """

    def __init__(self, trainer: Any, losses: LossLogger, items: Callable[[Any, int], Items]) -> None:
        self._trainer = trainer
        self._losses = losses
        self._items = items
        self._rivals: list[str] = []
        self._concat = importlib.import_module("toolkit.prompt_utils").concat_prompt_embeds
        self._norms = [module for module in trainer.sd.unet.modules() if hasattr(module, "running_mean")]
        self._prediction: torch.Tensor | None = None
        with no_trace():
            blank = trainer.cached_blank_embeds
            self._has_encoder = blank is None
            self._blank = trainer.encode_static_prompt("") if blank is None else blank

    def predict(self, predict: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Right before the step's own forward: the prediction with another caption, on the steps that want one."""
        if not kwargs.get("is_primary_pred"):
            return
        self._prediction, self._rivals = None, []
        call = inspect.signature(predict).bind(*args, **kwargs)
        arguments = call.arguments
        with self._unnoticed(arguments["batch"], *self._norms) as wanted:
            if wanted:
                rows = len(arguments["noisy_latents"])
                if wanted == "rival" and self._has_encoder:
                    items = self._items(arguments["batch"], rows)
                    self._rivals = self._losses.rivals_of(items.paths, items.datasets)
                embeds = [self._encoded(caption) for caption in self._rivals or [""] * rows]
                arguments["conditional_embeds"] = self._concat(embeds)
                self._prediction = predict(*call.args, **call.kwargs)

    def _encoded(self, caption: str) -> Any:
        return self._trainer.encode_static_prompt(caption) if caption else self._blank.clone()

    def row_losses(self, calculate: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What `log_batch` takes of that prediction, right before the step's own losses; nothing where there is none.

        The step's own forward has been: its graph holds the norms' buffers, which must not be written to any more.
        """
        prediction, self._prediction = self._prediction, None
        if prediction is None:
            return {}
        with self._unnoticed(arguments["batch"]), RowLosses(len(prediction)) as seen:
            calculate(**{**arguments, "noise_pred": prediction})
        if any(self._rivals):
            return {"losses_rival": seen.losses, "rivals": self._rivals}
        return {"losses_empty": seen.losses}

    @contextmanager
    def _unnoticed(self, batch: Any, *modules: torch.nn.Module) -> Iterator[str | None]:
        """As ``paired_forward``; models also keep notes on the batch, and the loss among the trainer's figures."""
        notes, figures = dict(vars(batch)), dict(self._trainer.additional_logs)
        try:
            with self._losses.paired_forward(self._trainer.step_num, *modules) as wanted:
                yield wanted
        finally:
            vars(batch).clear()
            vars(batch).update(notes)
            self._trainer.additional_logs = figures
