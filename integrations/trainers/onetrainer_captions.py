"""OneTrainer: the losses of a batch with another caption, at the noise and timesteps that its step will draw."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.paired import OnlyEmptyError

__all__ = ["OtherCaptions", "text_modules"]


def text_modules(model: Any) -> list[torch.nn.Module]:
    """The modules that a BaseModel consists of."""
    return [one for one in vars(model).values() if isinstance(one, torch.nn.Module)]


class OtherCaptions:
    """Calls ``predict``, in which the model encodes other captions than the batch's: all models do by ``encode_text``.

    Args:
        predict: of the trainer's model_setup.
        model: the trainer's.
    """

    def __init__(self, predict: Callable[..., Any], model: Any) -> None:
        self._predict = predict
        self._model = model
        self._empty: Any = None

    def predict(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], captions: Sequence[str]) -> dict[str, Any]:
        """What ``predict`` gives with these captions, (B,).

        Raises:
            OnlyEmptyError: texts are cached, of which the empty caption alone is encoded.
            LossLoggingError: the model was not seen to encode them.
        """
        encode = self._model.encode_text
        called = False

        @functools.wraps(encode)
        def encode_text(*given: Any, **named: Any) -> Any:
            nonlocal called
            called = True
            return self._encode(encode, given, named, captions)

        self._model.encode_text = encode_text
        try:
            data: dict[str, Any] = self._predict(*args, **kwargs)
        finally:
            del self._model.encode_text  # the class has its own
        if not called:
            raise LossLoggingError("predict does not call the model's encode_text")
        return data

    def _encode(
        self, encode: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any], captions: Sequence[str]
    ) -> Any:
        cached = {name: value is not None for name, value in named.items() if name.endswith("_output")}
        text = {name: None for name in named if "token" in name or ("mask" in name and "apply" not in name)}
        if not any(cached.values()):
            return encode(*given, **{**named, **text, "text": [*captions]})
        if not all(cached.values()):
            raise LossLoggingError("the outputs of some of its text encoders are cached, and of others not")
        if any(captions):
            raise OnlyEmptyError("texts are cached")
        if self._empty is None:  # where the text encoders lie, which may not be where the model is trained
            without = {name: None for name in named if "dropout" in name}
            other = {**named, **text, **dict.fromkeys(cached), **without, "text": [""], "batch_size": 1}
            self._empty = encode(*given, **other)
        return _in_place_of(encode(*given, **named), self._empty)


def _in_place_of(own: Any, empty: Any) -> Any:
    """The encoding of the empty caption for each row of the batch's own; dropout has made rows of that zeros."""
    if isinstance(own, (tuple, list)) and isinstance(empty, tuple):
        return tuple(_in_place_of(mine, other) for mine, other in zip(own, empty, strict=True))
    if isinstance(own, list):
        return [_in_place_of(mine[None], empty[0][None])[0] for mine in own]
    if not torch.is_tensor(own):
        return own
    rows = empty.to(own.device, own.dtype).expand(len(own), *empty.shape[1:]).clone()
    rows[~own.reshape(len(own), -1).any(1)] = 0
    return rows
