"""kohya's sd-scripts and musubi-tuner: a batch as it would be with another caption."""

from __future__ import annotations

import copy
import functools
import importlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.paired import OnlyEmptyError, modules_among
from loss_logging.records.no_trace import no_trace

if TYPE_CHECKING:
    import torch

__all__ = ["MusubiCaptions", "SdCaptions"]


class SdCaptions:
    """sd-scripts: tokens for its text encoders, or what these make of the caption when the cache is made.

    Args:
        train_util: the module; when it caches, the text encoders are there for the last time.
    """

    def __init__(self, train_util: Any) -> None:
        self._util = train_util
        self._outputs: Sequence[Any] | None = None
        self._problem = "the outputs of the text encoders come from a cache that was made in another way"
        group = train_util.DatasetGroup
        if hasattr(group, "new_cache_text_encoder_outputs"):
            group.new_cache_text_encoder_outputs = self._then_encode(group.new_cache_text_encoder_outputs)

    def batch(self, given: Mapping[str, Any], captions: Sequence[str]) -> dict[str, Any]:
        """The batch of a call of ``process_batch`` with other captions, (B,).

        Raises:
            OnlyEmptyError: texts are cached, of which the empty caption alone is encoded.
            LossLoggingError: the text encoders were not seen to cache.
        """
        import torch

        batch, device = given["batch"], given["accelerator"].device
        other = {**batch, "captions": [*captions]}
        if batch.get("input_ids_list") is not None:
            tokens = [given["tokenize_strategy"].tokenize(caption) for caption in captions]
            other["input_ids_list"] = [torch.stack([one[0] for one in of]) for of in zip(*tokens, strict=True)]
        if batch.get("text_encoder_outputs_list") is not None:
            if any(captions):
                raise OnlyEmptyError("texts are cached")
            if self._outputs is None:
                raise LossLoggingError(self._problem)
            rows = [torch.as_tensor(output).float().to(device) for output in self._outputs]
            other["text_encoder_outputs_list"] = [torch.stack([row] * len(captions)) for row in rows]
        return other

    def _then_encode(self, cache: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(cache)
        def cached(group: Any, models: Any, *args: Any, **kwargs: Any) -> Any:
            result = cache(group, models, *args, **kwargs)
            try:
                with no_trace(*modules_among([models])):
                    self._outputs = self._encode(models)
            except Exception as error:  # noqa: BLE001, said on the first step that wants it
                self._problem = f"the text encoders did not encode it ({type(error).__name__}: {error})"
            return result

        return cached

    def _encode(self, models: Any) -> Sequence[Any]:
        """As the trainer's cache has it, which depends on the model."""
        util = self._util
        strategy = copy.copy(util.TextEncoderOutputsCachingStrategy.get_strategy())
        strategy._cache_to_disk = False
        info = util.ImageInfo("", 1, "", False, "")
        encoding = util.TextEncodingStrategy.get_strategy()
        strategy.cache_batch_outputs(util.TokenizeStrategy.get_strategy(), models, encoding, [info])
        outputs: Sequence[Any] = info.text_encoder_outputs
        return outputs


_ENCODINGS: dict[str, dict[str, tuple[str, str]]] = {
    "wan": {"t5": ("t5_embeds", "")},
    "fk": {"t5_vec": ("t5_vec", ""), "clip_l_pooler": ("clip_l_pooler", "")},
    "f2d": {"ctx_vec": ("ctx_vec", "")},
    "f2k4b": {"ctx_vec": ("ctx_vec", "")},
    "f2k9b": {"ctx_vec": ("ctx_vec", "")},
    "qi": {"vl_embed": ("vl_embed", "")},
    "zi": {"llm_embed": ("cap_feats", "cap_mask")},
    "kr2": {"krea2_vl_embed": ("krea2_vl_embed", "")},
    "hv": {
        "llm": ("llm_embeds", ""),
        "llm_mask": ("llm_mask", ""),
        "clipL": ("clipL_embeds", ""),
        "clipL_mask": ("clipL_mask", ""),
    },
    "hv15": {"vl_embed": ("vl_embed", "vl_mask"), "byt5_embed": ("byt5_embed", "byt5_mask")},
}
"""Of each architecture the batch's names for a caption's encoding, and those of a sample prompt: values and mask."""

_ENCODERS = ("t5", "text_encoder", "text_encoder1")
"""Arguments that name a file with a text encoder, which only sample prompts need."""


class MusubiCaptions:
    """musubi-tuner: its caches have the encodings; the empty caption's is made as those of the sample prompts are.

    Args:
        trainer: the NetworkTrainer; it loads its text encoders before the transformer, if at all.
        wanted: whether any step wants another caption.
    """

    def __init__(self, trainer: Any, *, wanted: bool) -> None:
        self._trainer = trainer
        self._encoding: Mapping[str, Any] | None = None
        self._problem = (
            "the captions' encodings come from a cache, and no text encoder is named; name it "
            f"({' or '.join(f'--{name}' for name in _ENCODERS)}) as for sample prompts"
        )
        if wanted and all(hasattr(trainer, name) for name in ("process_sample_prompts", "load_transformer")):
            self._process = trainer.process_sample_prompts
            trainer.process_sample_prompts = self._with_samples
            trainer.load_transformer = self._before(trainer.load_transformer)

    def batch(self, batch: Mapping[str, Any], captions: Sequence[str]) -> dict[str, Any]:
        """The batch with the encodings of other captions, (B,).

        Raises:
            OnlyEmptyError: they are not the empty one.
            LossLoggingError: there is none, or it does not look like those of the cache.
        """
        import torch

        if any(captions):
            raise OnlyEmptyError("texts are cached")
        if self._encoding is None:
            raise LossLoggingError(self._problem)
        architecture = self._trainer.architecture
        names = _ENCODINGS.get(architecture)
        if names is None:
            raise LossLoggingError(f"what a caption's encoding consists of is not known for {architecture}")
        other = dict(batch)
        for name, (value, mask) in names.items():
            is_list = isinstance(batch[name], list)
            row = _like(name, self._encoding[value], self._encoding.get(mask), batch[name][0], is_list=is_list)
            rows = [row.clone() for _ in batch[name]]
            other[name] = rows if is_list else torch.stack(rows)
        return other

    def _with_samples(self, args: Any, accelerator: Any, sample_prompts: str) -> Any:
        """The empty caption is one more prompt, so that no text encoder is loaded twice."""
        try:
            prompts = importlib.import_module("musubi_tuner.training.sampling_prompts").load_prompts(sample_prompts)
            *theirs, ours = self._encode(args, accelerator, prompts)
        except Exception as error:  # noqa: BLE001, theirs must be encoded in any case
            self._problem = f"the text encoder did not encode it ({type(error).__name__}: {error})"
            return self._process(args, accelerator, sample_prompts)
        self._encoding = ours
        return theirs

    def _before(self, load_transformer: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(load_transformer)
        def load(accelerator: Any, args: Any, *rest: Any, **kwargs: Any) -> Any:
            if self._encoding is None and any(getattr(args, name, None) for name in _ENCODERS):
                try:
                    with no_trace():
                        (self._encoding,) = self._encode(args, accelerator, [])
                except Exception as error:  # noqa: BLE001, said on the first step that wants it
                    self._problem = f"the text encoder did not encode it ({type(error).__name__}: {error})"
            return load_transformer(accelerator, args, *rest, **kwargs)

        return load

    def _encode(self, args: Any, accelerator: Any, prompts: list[Any]) -> Any:
        ours = {"prompt": "", "negative_prompt": ""}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "prompts.json"
            file.write_text(json.dumps([*prompts, ours]), encoding="utf-8")
            return self._process(args, accelerator, str(file))


def _like(name: str, value: Any, mask: Any, own: torch.Tensor, *, is_list: bool) -> torch.Tensor:
    """A sample prompt's encoding as a row of the batch: without the batch's dimension, and without padding."""
    row: torch.Tensor = value[0] if value.ndim == own.ndim + 1 else value
    if mask is not None:
        row = row[: int(mask.sum())]
    where = slice(1, None) if is_list else slice(None)
    if row.ndim != own.ndim or row.shape[where] != own.shape[where]:
        raise LossLoggingError(
            f"the encoding {name} of a sample prompt has shape {tuple(row.shape)}, that of the cache {tuple(own.shape)}"
        )
    return row.to(own.device, own.dtype)
