"""Features: pictures as rows of numbers that lie close together where pictures look alike."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.support.colours import in_colour
from loss_logging.support.extras import require
from loss_logging.support.images import load_image_function
from loss_logging.support.progress_bar import progress_bar

__all__ = ["FEATURES", "as_features", "picture_features", "pixels"]

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Featurizer: TypeAlias = Callable[[Floats], Any]
"""Pictures (B, S, S, 3), RGB in [0, 1] -> features (B, D)."""

SIDE = 32
"""Width and height, in pixels, that pictures are brought to."""
_BATCH = 256
_GRIDS = (6, 3)
"""Cells along each side, at each scale."""
_DIRECTIONS = 6
_COLOUR = 1.0
_MIRROR = 0.5
_MOST_PIXELS = 100_000_000
_MOST_NAMED = 3


@dataclass(frozen=True)
class PictureFeatures:
    """The features of the pictures that could be read.

    Args:
        features: (M, D) float32.
        kept: (M,) which of the given pictures they are of, ascending.
        unread: the others by place, each with the reason.
    """

    features: Floats
    kept: np.ndarray[Any, np.dtype[np.int64]]
    unread: dict[int, str]

    def about_unread(self, names: Sequence[str] | None = None) -> list[str]:
        """A sentence about the pictures that were left out, by name where ``names`` of all are given; none when there
        are none."""
        if not self.unread:
            return []
        reasons = [
            f"{f'number {place}' if names is None else names[place]} ({reason})"
            for place, reason in islice(self.unread.items(), _MOST_NAMED)
        ]
        more = f", and {len(self.unread) - _MOST_NAMED} more" if len(self.unread) > _MOST_NAMED else ""
        count = len(self.unread) + len(self.kept)
        return [f"{len(self.unread)} of {count} pictures do not open and are left out: {', '.join(reasons)}{more}"]


def picture_features(
    pictures: Iterable[Any], features: str | Featurizer = "pixels", *, total: int | None = None, progress: bool = True
) -> PictureFeatures:
    """Read pictures, a batch at a time, and describe each by numbers.

    Args:
        pictures: each the path of an image file, its bytes, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or
            (H, W, 4) of whole numbers (8 or 16 bits) or of floats in [0, 1]; None where there is none. What is
            transparent becomes white.
        features: a name in `FEATURES`, ``"module:function"``, or a function: see `Featurizer`.
        total: how many there are, for the progress bar, where ``pictures`` has no length.
        progress: whether to show that bar.

    Returns:
        `PictureFeatures`; a picture that does not open is left out, with the reason.

    Raises:
        ConfigError: ``features`` names nothing, or the function does not give (B, D) finite numbers.
        LossLoggingError: no picture opens.
        MissingExtraError: Pillow is not installed.

    Example:
        >>> found = picture_features([np.zeros((8, 8)), "no such file.png", np.ones((8, 8, 3))], progress=False)
        >>> found.features.shape[0], found.kept.tolist(), found.about_unread()
        (2, [0, 2], ['1 of 3 pictures do not open and are left out: number 1 (No such file or directory)'])
    """
    require("evidence", "PIL")
    describe = _featurizer(features)
    total = len(pictures) if total is None and isinstance(pictures, Sequence) else total
    rows: list[Floats] = []
    kept: list[int] = []
    unread: dict[int, str] = {}
    with progress_bar("Looking at the pictures", total=total, unit=" pictures", shown=progress) as bar:
        for places, batch in _batches(pictures, unread, bar.update):
            rows.append(_described(describe, batch))
            kept += places
    if not rows:
        reason = f"; the first one: {next(iter(unread.values()))}" if unread else ""
        raise LossLoggingError(f"none of {len(unread)} pictures opens{reason}")
    return PictureFeatures(np.concatenate(rows), np.array(kept, np.int64), unread)


def as_features(values: Any, items: int, name: str = "features") -> Floats:
    """Arrays of the caller's (latents, activations of a model, embeddings) as features (N, D).

    Args:
        values: (N, ...), NumPy or what NumPy can read; flattened.
        items: N.
        name: what a complaint calls them.

    Raises:
        ConfigError: there are not N of them, they hold no number, or some are not finite.

    Example:
        >>> as_features([[[1, 2], [3, 4]]], 1).tolist()
        [[1.0, 2.0, 3.0, 4.0]]
    """
    array = np.asarray(values, np.float32)
    if array.ndim == 0 or len(array) != items:
        raise ConfigError(f"{name} has the shape {array.shape}; allowed: ({items}, D), a row for each item")
    rows = array.reshape(items, -1) if items else array.reshape(0, 1)
    if items and not rows.shape[1]:
        raise ConfigError(f"{name} has the shape {array.shape}; allowed: at least one number for each item")
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all(1))[0])
        raise ConfigError(f"{name}[{bad}] is not finite; leave the item out, or give it a row of numbers")
    return rows


def pixels(pictures: Floats) -> Floats:
    """Colours and edges in overlapping cells of two sizes: little changes where a picture is shifted or mirrored.

    Edges are counted by direction and weighed by strength, as in histograms of oriented gradients (Dalal and Triggs,
    2005). A half of each row is the mean of the picture and its mirror image, the other half their difference, at half
    its weight and without its sign at full weight.
    """
    channels = np.concatenate([_edges(pictures), _COLOUR * _colours(pictures)], axis=1)  # (B, C, S, S)
    parts = []
    for grid in _GRIDS:
        pool = _pool(grid)
        cells = np.sqrt(np.einsum("ys,bcst,xt->bcyx", pool, channels, pool, optimize=True)) / grid
        mirrored = cells[..., ::-1].copy()
        mirrored[:, 1:_DIRECTIONS] = mirrored[:, _DIRECTIONS - 1 : 0 : -1]
        same, other = (cells + mirrored) / 2, (cells - mirrored) / 2
        half = (grid + 1) // 2  # the other half of the columns says the same once more
        parts += [part[..., :half] for part in (same, np.abs(other), _MIRROR * other)]
    return np.concatenate([part.reshape(len(pictures), -1) for part in parts], axis=1).astype(np.float32)


FEATURES: dict[str, Featurizer] = {"pixels": pixels}
"""Features by name. Latents and activations of a model are arrays that the caller has already: see `as_features`. On
what they were measured, they find no more (docs/decisions/picture_features.md)."""


def _edges(pictures: Floats) -> Floats:
    """Strength of the edges in each of `_DIRECTIONS` directions: (B, S, S, 3) -> (B, _DIRECTIONS, S, S)."""
    grey = pictures @ np.array([0.299, 0.587, 0.114], np.float32)
    down, right = np.gradient(grey, axis=1), np.gradient(grey, axis=2)
    strength = np.hypot(down, right)
    place = np.arctan2(down, right) % np.pi * (_DIRECTIONS / np.pi)
    out = np.zeros((len(grey), _DIRECTIONS, *grey.shape[1:]), np.float32)
    for direction in range(_DIRECTIONS):
        away = np.abs(place - direction)
        away = np.minimum(away, _DIRECTIONS - away)
        out[:, direction] = strength * np.clip(1 - away, 0, None)
    return out


def _colours(pictures: Floats) -> Floats:
    """Brightness, and how red and how blue beyond it, each from 0 to 1: (B, S, S, 3) -> (B, 3, S, S)."""
    red, green, blue = np.moveaxis(pictures, -1, 0)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.asarray(np.stack([grey, (1 + red - grey) / 2, (1 + blue - grey) / 2], axis=1), np.float32)


def _pool(grid: int) -> Floats:
    """Weights (grid, SIDE) of overlapping cells: a triangle each, twice as wide as the distance between them."""
    places = (np.arange(SIDE) + 0.5) / SIDE * grid - 0.5
    weights = np.clip(1 - np.abs(places - np.arange(grid)[:, None]), 0, None)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def _featurizer(features: str | Featurizer) -> Featurizer:
    if callable(features):
        return features
    if features in FEATURES:
        return FEATURES[features]
    if ":" in features:
        return cast("Featurizer", load_image_function(features))
    raise ConfigError(f"features is {features!r}; allowed: {', '.join(FEATURES)}, 'module:function' or a function")


def _described(describe: Featurizer, batch: Floats) -> Floats:
    return as_features(describe(batch), len(batch), f"what {getattr(describe, '__name__', 'features')} gave")


def _batches(
    pictures: Iterable[Any], unread: dict[int, str], advance: Callable[[int], Any]
) -> Iterator[tuple[list[int], Floats]]:
    places: list[int] = []
    opened: list[Floats] = []
    for place, picture in enumerate(pictures):
        try:
            opened.append(_open(picture))
            places.append(place)
        except _unreadable() as error:
            unread[place] = _reason(error)
        advance(1)
        if len(opened) == _BATCH:
            yield places, np.stack(opened)
            places, opened = [], []
    if opened:
        yield places, np.stack(opened)


def _open(picture: Any) -> Floats:
    """(SIDE, SIDE, 3), RGB in [0, 1]."""
    from PIL import Image, ImageOps

    if picture is None:
        raise ValueError("there is none")
    if isinstance(picture, np.ndarray):
        return _small(_from_array(picture))
    if isinstance(picture, Image.Image):
        return _small(picture)
    source = io.BytesIO(picture) if isinstance(picture, bytes) else Path(picture)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        with Image.open(source) as file:
            file.draft("RGB", (2 * SIDE, 2 * SIDE))  # a JPEG is decoded at about the size that is needed
            if file.width * file.height > _MOST_PIXELS:
                raise ValueError(f"too large: {file.width:,} x {file.height:,} pixels")
            return _small(ImageOps.exif_transpose(file))


def _from_array(array: np.ndarray[Any, Any]) -> Any:
    from PIL import Image

    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or not array.size:
        raise ValueError(f"an array of the shape {array.shape}; allowed: (H, W), (H, W, 1), (H, W, 3), (H, W, 4)")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError("an array with numbers that are not finite")
        array = np.round(array.clip(0, 1) * 255)
    elif array.dtype.kind in "iu" and array.dtype.itemsize > 1:
        array = array / 257 if array.max() > 255 else array
    elif array.dtype.kind == "b":
        array = array * 255
    return Image.fromarray(array.astype(np.uint8).squeeze(2) if array.shape[2:] == (1,) else array.astype(np.uint8))


def _small(image: Any) -> Floats:
    from PIL import Image

    image = in_colour(image)
    method = Image.Resampling.BOX if min(image.size) > SIDE else Image.Resampling.BILINEAR
    resized = image.resize((SIDE, SIDE), method)
    small: Floats = np.asarray(resized, np.float32) / np.float32(255)
    return small


def _unreadable() -> tuple[type[Exception], ...]:
    """What Pillow raises on files that are damaged, cut short, too large or no images."""
    from PIL import Image

    return (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        EOFError,
        LookupError,
        struct.error,
        Image.DecompressionBombError,
    )


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "no image that Pillow knows"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
