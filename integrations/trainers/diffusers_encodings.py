"""Encodings of captions and images that outlive an evaluation: by their content, and that of the models behind them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loss_logging.evaluation.tensor_cache import TensorCache, digest
from loss_logging.integrations.trainers.diffusers_captions import Encoded, rows_of

if TYPE_CHECKING:
    import torch

__all__ = ["KeptEncodings", "fingerprint"]

_LIBRARIES = ("torch", "transformers", "diffusers")


class KeptEncodings:
    """Encodes what a cache has not. ``fingerprint`` names what they depend on besides; it is asked once, when needed.

    Args:
        cache: where encodings are.
        made_by: makes the fingerprint.
    """

    def __init__(self, cache: TensorCache, made_by: Callable[[], str]) -> None:
        self._cache = cache
        self._made_by = made_by

    @cached_property
    def _fingerprint(self) -> str:
        return self._made_by()

    def __call__(self, contents: Sequence[Any], encode: Callable[[list[int]], Encoded]) -> list[Encoded]:
        """The encoding of each content, a text or a buffer, on the CPU; ``encode`` makes those at some places."""
        keys = [digest(self._fingerprint, content) for content in contents]
        found = {key: row for key in dict.fromkeys(keys) if (row := self._cache.get(key)) is not None}
        missing = {key: place for place, key in enumerate(keys) if key not in found}
        if missing:
            for key, row in zip(missing, rows_of(encode([*missing.values()])), strict=True):
                self._cache.put(key, row)
                found[key] = row
        return [found[key] for key in keys]


def fingerprint(parts: Sequence[Any], *more: object) -> str:
    """Of models, with their weights and adapters, and of tokenizers; of ``more``, and of the libraries' versions."""
    import torch

    models = [part for part in parts if isinstance(part, torch.nn.Module)]
    others = [part for part in parts if hasattr(part, "save_pretrained") and part not in models]
    with ThreadPoolExecutor() as pool:  # the digests are made outside of the interpreter's lock
        weights = pool.map(_weight, (item for model in models for item in model.state_dict().items()))
        versions = (f"{library} {version(library)}" for library in _LIBRARIES)
        settings = (f"{type(model)} {getattr(model, 'config', None)} {_adapters(model)}" for model in models)
        return digest(*versions, *map(str, more), *settings, *weights, *map(_files, others))


def _weight(item: tuple[str, Any]) -> str:
    import torch

    name, tensor = item
    if not isinstance(tensor, torch.Tensor):  # what a layer keeps beside its weights
        return digest(name, repr(tensor))
    values = tensor.detach().cpu().contiguous()
    return digest(name, f"{values.dtype} {tuple(values.shape)}", values.reshape(-1).view(torch.uint8).numpy())


def _adapters(model: torch.nn.Module) -> list[str]:
    """How strongly adapters of PEFT count, which no weight says."""
    return [
        f"{name} {module.scaling} {module.active_adapters} {module.disable_adapters}"
        for name, module in model.named_modules()
        if hasattr(module, "scaling") and hasattr(module, "active_adapters")
    ]


def _files(tokenizer: Any) -> str:
    with tempfile.TemporaryDirectory(prefix="loss_logging-") as folder:
        tokenizer.save_pretrained(folder)
        written = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return digest(*(part for path in written for part in (path.name, path.read_bytes())))
