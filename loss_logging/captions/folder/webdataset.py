"""Captioned images in the tar files of a WebDataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from loss_logging.captions.folder.caption_files import captions_in
from loss_logging.captions.folder.decoding import BinaryDataError, TextDecoder
from loss_logging.captions.folder.folder_listing import is_companion
from loss_logging.captions.folder.image_suffixes import IMAGES, TEXTS
from loss_logging.errors import LossLoggingError
from loss_logging.support.extras import require

__all__ = ["SHARDS", "ArchivedImage", "find_shards", "read_shard"]

SHARDS = (".tar", ".tar.gz", ".tgz")
_CAPTIONS = frozenset({suffix[1:] for suffix in TEXTS} | {"json"})


class ArchivedImage(msgspec.Struct, frozen=True):
    """An image inside a tar file.

    Args:
        path: the path of the tar file, relative to the folder that was read, and the image's name in it.
        dataset: the folder that holds the tar file.
        caption: the caption in the .txt, .caption or .json file of the same name; None without such a file.
        data: the bytes of the image file; None if it is left out.
        left_out: the reason why it is left out, if ``data`` is None.
    """

    path: str
    dataset: str
    caption: str | None
    data: bytes | None
    left_out: str = ""


def find_shards(root: Path) -> list[Path]:
    """The tar files below a folder in the order of their names, or ``root`` itself if it is a tar file."""
    if not root.is_dir():
        return [root] * root.name.lower().endswith(SHARDS)
    return sorted(path for path in root.rglob("*") if path.name.lower().endswith(SHARDS) and path.is_file())


def read_shard(shard: Path, root: Path) -> Iterator[ArchivedImage]:
    """The images of one tar file, in its order; they are read one by one, so that memory stays small.

    A sample is the files with the same name up to the first dot. If a sample has no image, names end at the last dot,
    and each file that is no caption counts as an image. An image with several captions is yielded once per caption.

    Raises:
        LossLoggingError: the file cannot be read to its end; the message names it, and the number of images read.
        MissingExtraError: the package webdataset is not installed.
    """
    require("webdataset", "webdataset")
    from webdataset.tariterators import group_by_keys, tar_file_expander

    name = shard.relative_to(root).as_posix() if shard.is_relative_to(root) and shard != root else shard.name
    dataset = shard.absolute().parent.name
    read = 0
    try:
        with shard.open("rb") as stream:
            files = tar_file_expander([{"url": str(shard), "stream": stream}])
            for sample in group_by_keys(files, lcase=False):
                for image in _images(sample, f"{name}/{sample['__key__']}", dataset):
                    yield image
                    read += 1
    except GeneratorExit:
        raise
    except Exception as error:
        raise LossLoggingError(f"{shard} cannot be read after {read} images ({error})") from error


def _images(sample: Mapping[str, Any], name: str, dataset: str) -> Iterator[ArchivedImage]:
    """The images of a sample, and the files that are left out of it."""
    ends = [end for end in sample if not end.startswith("__")]
    images = [end for end in ends if f".{end.lower()}" in IMAGES]
    dotted = [end for end in ends if "." in end and f".{end.rpartition('.')[2].lower()}" in IMAGES]
    if not images and not dotted:
        # Perhaps Pillow knows the suffix; else it is counted and named as an image that does not open.
        dotted = [end for end in ends if end.rpartition(".")[2].lower() not in _CAPTIONS]
    for end in [*images, *dotted]:
        stem = end.rpartition(".")[0]
        captions = _captions(sample, f"{stem}." if stem else "")
        if images and stem and (not captions or is_companion(f"{name}.{end}", "", {name})):
            yield ArchivedImage(f"{name}.{end}", dataset, None, None, f"goes with {images[0]!r} of its sample")
            continue
        for caption in captions or _captions(sample, "") or [None]:
            yield ArchivedImage(f"{name}.{end}", dataset, caption, sample[end])
    if ends and not images and not dotted:
        yield ArchivedImage(f"{name}.{ends[0]}", dataset, None, None, "there is no image of this name")


def _captions(sample: Mapping[str, Any], stem: str) -> list[str | None]:
    """The captions in the first caption file; as in a folder, only JSON may hold several."""
    files = {end.lower(): end for end in sample if end.startswith(stem) and end.count(".") == stem.count(".")}
    for suffix in TEXTS:
        if (end := files.get(f"{stem.lower()}{suffix[1:]}")) is not None:
            try:
                return [TextDecoder().decode(sample[end]).text.removesuffix("\n").removesuffix("\r")]
            except BinaryDataError:
                return []
    try:
        content = msgspec.json.decode(sample[files[f"{stem.lower()}json"]])
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError):
        return []
    return list(captions_in(content))
