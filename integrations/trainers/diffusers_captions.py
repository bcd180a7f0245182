"""Encoded captions, remembered up to a size: each is needed once per draw, and the empty one by every batch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch

__all__ = ["CaptionCache", "Encoded", "rows_of"]

Encoded: TypeAlias = "dict[str, torch.Tensor]"


class CaptionCache:
    """Encodes captions, and keeps the results of those used last, in host memory.

    Args:
        encode: gives named tensors of each caption, on the CPU.
        max_bytes: most memory to use.
    """

    def __init__(self, encode: Callable[[list[str]], Iterable[Encoded]], max_bytes: int) -> None:
        self._encode = encode
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Encoded] = OrderedDict()
        self._bytes = 0

    def __call__(self, captions: Sequence[str], device: torch.device) -> Encoded:
        """What the denoiser is given of each caption, by name; each (B, ...) on ``device``, as long as the longest."""
        rows = self._rows(captions)
        names = rows[captions[0]]
        return {name: _stack([rows[caption][name] for caption in captions]).to(device) for name in names}

    def _rows(self, captions: Sequence[str]) -> dict[str, Encoded]:
        rows = {caption: self._kept[caption] for caption in captions if caption in self._kept}
        missing = [caption for caption in dict.fromkeys(captions) if caption not in rows]
        if missing:
            rows |= zip(missing, self._encode(missing), strict=True)
        for caption, row in rows.items():
            self._keep(caption, row)
        return rows

    def _keep(self, caption: str, row: Encoded) -> None:
        if caption not in self._kept:
            self._bytes += _size(row)
        self._kept[caption] = row
        self._kept.move_to_end(caption)
        while self._bytes > self._max_bytes:
            _, forgotten = self._kept.popitem(last=False)
            self._bytes -= _size(forgotten)


def _stack(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Rows of several lengths (L, ...) end in zeros, which a mask among them says."""
    import torch

    return torch.nn.utils.rnn.pad_sequence([*rows], batch_first=True) if rows[0].ndim else torch.stack([*rows])


def _size(row: Encoded) -> int:
    return sum(tensor.nbytes for tensor in row.values())


def rows_of(encoded: Encoded) -> Iterator[Encoded]:
    """Each row by itself, on the CPU, in memory of its own: a view would keep all others alive."""
    on_host = {name: tensor.cpu() for name, tensor in encoded.items()}
    for values in zip(*on_host.values(), strict=True):
        yield {name: value.clone() for name, value in zip(on_host, values, strict=True)}
