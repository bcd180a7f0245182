"""CaptionedFile: an image and its caption."""

from __future__ import annotations

import msgspec

__all__ = ["CaptionedFile"]


class CaptionedFile(msgspec.Struct, frozen=True, gc=False):
    """An image and its caption.

    Args:
        path: of the image, as found on disk or as the table names it, below the table's folder.
        dataset: the folder that holds it or its table, relative to the folder that was read; folders of digits alone
            are shards of the folder above them.
        caption: as it is in the file, but for a last line end; None where there is none or it cannot be read.
        source: the file that the caption is in; None where there is none.
        line: the line or row in a table, from 1; of a text, where each line is a caption; None for a whole file.
        trained: what it is trained as, or one of which it is; where a trainer is known.
        not_trained: why the image takes no part in the training, where a trainer is known and it does not.
    """

    path: str
    dataset: str
    caption: str | None
    source: str | None = None
    line: int | None = None
    trained: tuple[str, ...] = ()
    not_trained: str | None = None
