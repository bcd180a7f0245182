"""CaptionedFile: an image and its caption."""

from __future__ import annotations

import msgspec

__all__ = ["CaptionedFile"]


class CaptionedFile(msgspec.Struct, frozen=True, gc=False):
    """An image and its caption.

    Args:
        path: the path of the image on disk, or its name in the table, below the table's folder.
        dataset: the folder of the image or its table, relative to the folder that was read; a folder whose name is
            digits only is a shard of the folder above it.
        caption: the text in the file, without a last line end; None if there is none or it cannot be read.
        source: the file that holds the caption; None if there is none.
        line: the line or row in a table, or the line of a text file with one caption per line, from 1; None for a
            whole file.
        trained: the texts that the trainer may use for it; empty without a trainer.
        not_trained: the reason why the trainer leaves the image out; None if it is trained, or without a trainer.
    """

    path: str
    dataset: str
    caption: str | None
    source: str | None = None
    line: int | None = None
    trained: tuple[str, ...] = ()
    not_trained: str | None = None
