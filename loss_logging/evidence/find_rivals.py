"""Finds `Rivals` by what the pictures and captions of a set say of each other."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence, Sized
from itertools import islice
from pathlib import Path
from typing import Any

from loss_logging.captions.folder.read import read_captioned_folder
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evidence.features import Featurizer, as_features, picture_features
from loss_logging.evidence.pictures import PictureEvidence, picture_evidence
from loss_logging.evidence.planted import calibrated
from loss_logging.evidence.rivals import Rivals
from loss_logging.evidence.seen import SeenCaptions
from loss_logging.evidence.words import caption_words

__all__ = ["find_rivals", "rivals_of_folder"]


def find_rivals(
    captions: Sequence[str | None],
    pictures: Iterable[Any] | None = None,
    *,
    paths: Sequence[object],
    datasets: Sequence[str] | None = None,
    most: int = 1,
    features: str | Featurizer | Any = "pixels",
    progress: bool = True,
) -> Rivals:
    """Find each item's rivals by what the other pictures and captions teach: see `loss_logging.evidence.pictures`.

    How likely each item's own caption is wrong is found by the same, for the reports: see
    `loss_logging.evidence.planted`.

    Args:
        captions: N of them.
        pictures: N pictures, as for `picture_features`; those that do not open have no rivals. None where ``features``
            are numbers.
        paths: N names of the items; several captions of one picture share one, and are no rivals of each other.
        datasets: N names; none by default.
        most: how many rivals each may have, 1 or more.
        features: what pictures are compared by: a name or function, or (N, D) numbers, such as cached latents or the
            embedding of an image encoder.
        progress: whether to show progress bars.

    Returns:
        `Rivals`, with a ``reason`` where there are none: no picture opens, or the captions are too few or all alike.

    Raises:
        ConfigError: the lengths differ, or ``most`` is not 1 or more.
        MissingExtraError: the extra ``evidence`` is not installed.

    Example:
        >>> import numpy as np
        >>> walls = [np.full((8, 8, 3), colour) for colour in (0.0, 1.0)] * 20
        >>> captions = ["a black wall", "a white wall"] * 20
        >>> captions[0] = "a white wall"
        >>> find_rivals(captions, walls, paths=range(40), progress=False).of(0)
        ('a black wall',)
    """
    given = {"captions": captions, "pictures": pictures, "datasets": datasets}
    for name, values in given.items():
        if isinstance(values, Sized) and len(values) != len(paths):
            raise ConfigError(f"{name} has {len(values)} elements; allowed: {len(paths)}, one for each path")
    if most < 1:
        raise ConfigError(f"most is {most!r}; allowed: 1 or more")
    keys = list(zip(datasets or [""] * len(paths), map(str, paths), strict=True))
    kept: Sequence[int] = range(len(keys))
    if isinstance(features, str) or callable(features):
        try:
            read = picture_features(pictures or [], features, total=len(paths), progress=progress)
        except ConfigError:
            raise
        except LossLoggingError as error:
            return Rivals({}, str(error))
        kept, rows = read.kept.tolist(), read.features
    else:
        rows = as_features(features, len(keys))
    return _rivals([keys[item] for item in kept], [captions[item] or "" for item in kept], rows, most, progress)


def _rivals(keys: list[tuple[str, str]], captions: list[str], features: Any, most: int, progress: bool) -> Rivals:
    own: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for key, caption in zip(keys, captions, strict=True):
        own[key].add(_plain(caption))
    several = max((len(said) for said in own.values()), default=1)
    seen = picture_evidence(features, caption_words(captions), rivals=most + several - 1, progress=progress)
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for key, items in zip(keys, seen.rivals.tolist(), strict=True):
        others = (captions[item] for item in items if item >= 0)
        chosen = tuple(islice((other for other in others if _plain(other) not in own[key]), most))
        if chosen:
            found.setdefault(key, chosen)
    reason = seen.reason or ("" if found else "no caption has other words than the others")
    return Rivals(found, reason, _seen(keys, captions, seen))


def _seen(keys: list[tuple[str, str]], captions: list[str], seen: PictureEvidence) -> SeenCaptions:
    return SeenCaptions.of(keys, captions, calibrated(seen), seen.worst_word, seen.suggested_word, seen.word)


def rivals_of_folder(
    path: str | os.PathLike[str], *, most: int = 1, features: str = "pixels", progress: bool = True
) -> Rivals:
    """The rivals of a captioned folder or table, by the absolute path of each image.

    Args:
        path: as for ``loss-logging check-captions``.
        most, features, progress: as for `find_rivals`.

    Raises:
        LossLoggingError: ``path`` does not exist.
        MissingExtraError: the extra ``evidence`` is not installed.
    """
    root = Path(path).absolute()
    folder = root if root.is_dir() else root.parent
    files = [file for file in read_captioned_folder(root) if file.caption and file.not_trained is None]
    images = [str(folder / file.path) for file in files]
    return find_rivals(
        [file.caption for file in files], images, paths=images, most=most, features=features, progress=progress
    )


def _plain(caption: str | None) -> str:
    return " ".join((caption or "").casefold().split())
