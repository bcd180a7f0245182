"""Holds the data of a batch until the recorder's thread reads them."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from loss_logging.records.columns import is_missing

__all__ = ["FEW", "Pinned", "hold", "hold_components", "hold_sized", "names", "numbers", "refuse_odd_tensors"]

FEW = 64
"""So many figures are read sooner than torch makes a second tensor of them."""
_PAUSE_SECONDS = 0.002


# --- figures ------------------------------------------------------------------------------------------------------


class Pinned(NamedTuple):
    """A running copy from the device: ``host`` may be read once ``copied`` has passed."""

    host: Any
    copied: Any

    def read(self) -> Any:
        while not self.copied.query():
            time.sleep(_PAUSE_SECONDS)
        return self.host


def hold(values: Any, size: int) -> Any:
    """A private copy of a (``size``,) tensor, safe from later in-place changes, made without waiting for its device."""
    if size <= FEW and values.is_cpu:
        return values.tolist()
    values = values.detach()
    return _hold_cuda(values) if values.is_cuda else values.clone()


def _hold_cuda(values: Any) -> Pinned:
    import torch

    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)  # from the caching host allocator
    host.copy_(values, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record(torch.cuda.current_stream(values.device))
    return Pinned(host, copied)


def hold_sized(name: str, values: Any, size: int) -> Any:
    """A private copy of ``size`` figures.

    Raises:
        ValueError: ``values`` has another shape than (``size``,).
    """
    if not (is_tensor := hasattr(values, "detach")):
        values = numbers(name, values)
    elif size <= FEW and values.is_cpu and values.ndim == 1 and len(figures := values.tolist()) == size:
        return figures
    if values.shape != (size,):
        shape = tuple(values.shape)
        raise ValueError(f"{name} has shape {shape} but the batch has {size} losses; expected shape ({size},)")
    return hold(values, size) if is_tensor else values


def hold_components(components: Mapping[str, Any], size: int) -> dict[str, Any]:
    """A private copy of named figures."""
    if not isinstance(components, Mapping):
        raise TypeError(f"components is a {type(components).__name__}; expected a mapping of names to (B,) figures")
    return {str(name): hold_sized(f"components[{name!r}]", value, size) for name, value in components.items()}


def numbers(name: str, values: Any) -> Any:
    """A copy of values in no tensor: an array of float64, with NaN for a missing figure; or a tensor from 0-d tensors.

    Raises:
        TypeError, ValueError: a value is no number.
    """
    try:
        if isinstance(values, np.ma.MaskedArray):
            values = np.ma.filled(values.astype(np.float64), np.nan)
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a tensor that requires grad
        try:
            return _one_by_one(values)
        except (TypeError, ValueError, RuntimeError):
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{name} is {_shown(values)}; expected one number for each example") from error


def _one_by_one(values: Any) -> Any:
    if isinstance(values, (Mapping, set, frozenset)):  # they have no order, or no figures
        raise TypeError(type(values))
    if len(values) and all(hasattr(value, "detach") for value in values):
        return sys.modules["torch"].stack([value.detach() for value in values])
    plain = (value.detach() if hasattr(value, "detach") else value for value in values)
    return np.array([math.nan if is_missing(value) else float(value) for value in plain])


def refuse_odd_tensors(given: Mapping[str, Any]) -> None:
    """Looks, after torch could not read one of them, for tensors that hold their figures in no plain way.

    Raises:
        ValueError: one is sparse, nested or quantized; names it.
    """
    for name, values in given.items():
        if hasattr(values, "detach") and (kind := _odd_kind(values)):
            raise ValueError(
                f"{name} is a {kind} tensor; expected a dense one of plain numbers, one for each example "
                "(to_dense() or dequantize() makes it)"
            )


def _odd_kind(values: Any) -> str:
    if values.is_nested or values.is_quantized:
        return "nested" if values.is_nested else "quantized"
    return str(values.layout).removeprefix("torch.").strip("_").replace("strided", "")


# --- names --------------------------------------------------------------------------------------------------------


class _DeviceNames(Collection[object]):
    """Names that are numbers on a device; their copy is running."""

    def __init__(self, ids: Any) -> None:
        self._size = len(ids)
        self._ids = _hold_cuda(ids)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[object]:
        return iter(self._ids.read().tolist())

    def __contains__(self, name: object) -> bool:
        return name in list(self)


def names(name: str, values: Any, size: int) -> Collection[object]:
    """B names from a data loader: a sequence, an array, a tensor or a column of a frame.

    Raises:
        TypeError: ``values`` is a single text, or has no order.
        ValueError: ``values`` has another shape than (B,).
    """
    if name == "datasets" and _is_one(values):
        values = values.reshape(1).expand(size) if hasattr(values, "detach") else [values] * size
    if isinstance(values, (str, bytes, bytearray)):
        raise TypeError(f"{name} is the text {values[:40]!r}; expected a sequence of {size}, one for each loss")
    try:
        length = len(values)
    except TypeError:
        _no_sequence(name, values, size)
    if isinstance(values, (Mapping, set, frozenset)):
        _no_sequence(name, values, size)
    shape = tuple(getattr(values, "shape", (length,)))
    if len(shape) != 1:
        raise ValueError(f"{name} has shape {shape}; expected a name for each of the {size} losses, shape ({size},)")
    if length != size:
        raise ValueError(f"{name} has {length} elements but the batch has {size} losses; expected one for each loss")
    if hasattr(values, "detach"):
        return _DeviceNames(values) if values.is_cuda else tuple(values.tolist())
    return tuple(values)


def _is_one(values: Any) -> bool:
    """Whether this is a single name and no sequence; None is neither."""
    return isinstance(values, (bytes, int, os.PathLike)) or getattr(values, "shape", None) == ()


def _no_sequence(name: str, values: object, size: int) -> NoReturn:
    raise TypeError(f"{name} is {_shown(values)}; expected a sequence of {size}, one for each loss")


def _shown(values: object) -> str:
    return " ".join(repr(values).split())[:80]
