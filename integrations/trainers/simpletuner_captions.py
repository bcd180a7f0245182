"""SimpleTuner: a prepared batch as it would be with another caption."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.paired import OnlyEmptyError

__all__ = ["Captions"]

_COLLATE = "simpletuner.helpers.training.collate"
_UNKNOWN = ("encoder_hidden_states_2", "encoder_attention_mask_2", "t5xxl_ids", "conditioning_image_embeds")
"""What a caption is turned into in some models, beside what is replaced here."""


class Captions:
    """The other captions' encodings are taken from SimpleTuner's cache of text embeddings, as its batches' are.

    It caches the empty one for its caption dropout.

    Args:
        trainer: SimpleTuner's, which knows the device and the type of numbers.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._encodings: dict[int, Mapping[str, Any]] = {}

    def batch(self, prepared: Mapping[str, Any], captions: Sequence[str]) -> dict[str, Any]:
        """The batch with other captions, (B,); noise and timesteps are those that it has.

        Raises:
            OnlyEmptyError: they are not the empty one.
            LossLoggingError: the model's batches are made of captions in another way, or the cache lacks it.
        """
        import torch

        if any(captions):
            raise OnlyEmptyError("a cached caption is found by its file in some models")
        encoding = self._encoding(len(captions))
        device, dtype = self._trainer.accelerator.device, self._trainer.config.weight_dtype
        self._check(prepared, device, dtype)
        states = encoding["prompt_embeds"]
        other = {
            **prepared,
            "prompts": [*captions],
            "text_encoder_output": {**(prepared.get("text_encoder_output") or {}), **encoding},
            "prompt_embeds": states,
            "encoder_hidden_states": states.to(device=device, dtype=dtype),
        }
        mask, pooled = encoding.get("attention_masks"), encoding.get("pooled_prompt_embeds")
        if torch.is_tensor(mask):
            other["encoder_attention_mask"] = mask.to(device=device, dtype=dtype)
        if torch.is_tensor(pooled):
            other["add_text_embeds"] = pooled
            moved = pooled.to(device=device, dtype=dtype)
            other["added_cond_kwargs"] = {**prepared.get("added_cond_kwargs", {}), "text_embeds": moved}
        return other

    def _encoding(self, count: int) -> Mapping[str, Any]:
        if count not in self._encodings:
            collate: Any = importlib.import_module(_COLLATE)
            state = collate.StateTracker
            records = [{"prompt": "", "key": "", "metadata": {}} for _ in range(count)]
            try:
                self._encodings[count] = collate.compute_prompt_embeddings(
                    records, state.get_default_text_embed_cache(), state.get_model()
                )
            except Exception as error:
                raise LossLoggingError(
                    f"the cache of text embeddings lacks it ({type(error).__name__}: {error}); SimpleTuner puts it "
                    "there with --caption_dropout_probability above 0"
                ) from error
        return self._encodings[count]

    def _check(self, prepared: Mapping[str, Any], device: Any, dtype: Any) -> None:
        """The model uses the embeddings as the cache has them."""
        import torch

        unknown = [name for name in _UNKNOWN if prepared.get(name) is not None]
        own, states = prepared.get("prompt_embeds"), prepared.get("encoder_hidden_states")
        if unknown:
            raise LossLoggingError(f"the batch has {', '.join(unknown)}, made of more than the caption's embeddings")
        if not (torch.is_tensor(own) and torch.is_tensor(states)):
            raise LossLoggingError("the batch has no prompt_embeds and encoder_hidden_states")
        if own.shape != states.shape or not torch.equal(own.to(device=device, dtype=dtype), states):
            raise LossLoggingError("the model has changed the embeddings of the captions after they were cached")
