"""Captioned images in the tar files of a WebDataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from loss_logging.captions.folder.decoding import TextDecoder
from loss_logging.captions.folder.read import IMAGES, TEXTS
from loss_logging.errors import LossLoggingError
from loss_logging.support.extras import require

__all__ = ["ArchivedImage", "find_shards", "read_shard"]

_CAPTION_KEYS = ("caption", "text", "prompt")


class ArchivedImage(msgspec.Struct, frozen=True):
    """An image inside a tar file.

    Args:
        path: the tar file, relative to the folder that was read, and the image's name in it.
        dataset: the folder that holds the tar file.
        caption: what is beside it under the same name, as .txt, .caption or in a .json; None where nothing is.
        data: the bytes of the image file.
    """

    path: str
    dataset: str
    caption: str | None
    data: bytes


def find_shards(root: Path) -> list[Path]:
    """The tar files below a folder, or the one that ``root`` is, in the order of their names."""
    return sorted(root.rglob("*.tar")) if root.is_dir() else [root] * (root.suffix == ".tar")


def read_shard(shard: Path, root: Path) -> Iterator[ArchivedImage]:
    """The images of one tar file, in its order; they are read one by one, however large it is.

    Raises:
        LossLoggingError: the file cannot be read to its end; names it, and says how far it could be read.
        MissingExtraError: the package webdataset is not installed.
    """
    require("webdataset", "webdataset")
    from webdataset.tariterators import group_by_keys, tar_file_expander

    name = shard.relative_to(root).as_posix() if shard.is_relative_to(root) and shard != root else shard.name
    read = 0
    try:
        with shard.open("rb") as stream:
            for sample in group_by_keys(tar_file_expander([{"url": str(shard), "stream": stream}])):
                for suffix in [key for key in sample if f".{key}" in IMAGES]:
                    path = f"{name}/{sample['__key__']}.{suffix}"
                    yield ArchivedImage(path, shard.absolute().parent.name, _caption(sample), sample[suffix])
                    read += 1
    except GeneratorExit:
        raise
    except Exception as error:
        raise LossLoggingError(f"{shard} cannot be read after {read} images ({error})") from error


def _caption(sample: Mapping[str, Any]) -> str | None:
    for suffix in TEXTS:
        if (data := sample.get(suffix[1:])) is not None:
            return TextDecoder().decode(data).text.removesuffix("\n").removesuffix("\r")
    try:
        content = msgspec.json.decode(sample.get("json", b"null"))
    except msgspec.DecodeError:
        return None
    values = (content.get(key) for key in _CAPTION_KEYS) if isinstance(content, dict) else ()
    return next((value for value in values if isinstance(value, str)), None)
