"""The rivals of the items that a dataloader has, for an evaluation that compares with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.selection import items_of
from loss_logging.evidence.features import picture_features
from loss_logging.evidence.find_rivals import find_rivals
from loss_logging.evidence.rivals import Rivals

__all__ = ["rivals_of_batches"]


def rivals_of_batches(dataloader: Iterable[Any], most: int, *, progress: bool = True) -> Rivals:
    """Read a dataloader once, and find up to ``most`` rivals of each item.

    Args:
        dataloader: its batches are mappings with ``paths`` (or ``path``), ``captions`` (or ``caption``) and pictures:
            ``pixel_values``, (B, 3, H, W) in [-1, 1], or image files at the paths.
        most: how many.
        progress: whether to show progress bars.

    Raises:
        ConfigError: the dataloader can be read once only, or a batch has no paths or no captions.
        MissingExtraError: the extra ``evidence`` is not installed.
    """
    if iter(dataloader) is dataloader:
        raise ConfigError(
            "rivals takes a dataloader that can be read twice; this one is an iterator: give a list of it"
        )
    captions: list[str] = []
    keys: list[tuple[str, str]] = []

    def pictures() -> Iterator[Any]:
        for batch in dataloader:
            items, said = items_of(batch), _captions(batch)
            if items is None or said is None:
                raise ConfigError("rivals takes batches that are mappings with paths and captions")
            captions.extend(map(str, said))
            keys.extend((item.dataset or "", item.path) for item in items)
            pixels = batch.get("pixel_values")
            yield from (item.path for item in items) if pixels is None else map(_picture, pixels)

    try:
        read = picture_features(pictures(), progress=progress)
    except ConfigError:
        raise
    except LossLoggingError as error:
        return Rivals({}, str(error))
    kept = read.kept.tolist()
    return find_rivals(
        [captions[item] for item in kept],
        paths=[keys[item][1] for item in kept],
        datasets=[keys[item][0] for item in kept],
        most=most,
        features=read.features,
        progress=progress,
    )


def _captions(batch: Any) -> Any:
    if not isinstance(batch, Mapping):
        return None
    return batch.get("captions", batch.get("caption"))


def _picture(pixels: Any) -> Any:
    """(3, H, W) in [-1, 1] -> (H, W, 3) in [0, 1]."""
    array = pixels.float().cpu().numpy() if hasattr(pixels, "detach") else pixels
    return (array.transpose(1, 2, 0) + 1) / 2
