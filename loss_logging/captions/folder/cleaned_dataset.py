"""CleanedDataset: what stays of a folder or a run after what a person has decided, and what does not."""

from __future__ import annotations

import msgspec

from loss_logging.captions.folder.cleaned_shards import CleanedShard, Correction

__all__ = ["CleanedDataset", "CleanedImage", "Companion"]


class CleanedImage(msgspec.Struct, frozen=True):
    """An image that stays.

    Args:
        source: the image.
        name: where it belongs in the cleaned dataset, relative, with ``/``.
        caption: what it is trained with from now on; None where it has none.
        before: what the caption was, where a person has corrected it; None elsewhere.
        text: the text file of an unchanged caption, which is copied byte by byte; None where it is written anew.
    """

    source: str
    name: str
    caption: str | None
    before: str | None = None
    text: str | None = None


class Companion(msgspec.Struct, frozen=True):
    """A mask or a control image that stays with its image.

    Args:
        source: the file.
        name: where it is, relative to the folder.
        of: the name of its image, without suffix.
        kind: such as ``"mask"``; from its name or its folder.
    """

    source: str
    name: str
    of: str
    kind: str


class CleanedDataset(msgspec.Struct):
    """What stays of a folder, and what does not.

    Args:
        images: what stays.
        companions: masks and control images of what stays.
        shards: tars, less what is excluded.
        excluded: paths that are left out, relative to the folder.
        warnings: what its reader should know.
        decided: the number of images that something was decided about, be it that they are fine.
    """

    images: list[CleanedImage] = []
    companions: list[Companion] = []
    shards: list[CleanedShard] = []
    excluded: list[str] = []
    warnings: list[str] = []
    decided: int = 0

    @property
    def kept(self) -> int:
        """The number of images that stay."""
        return len(self.images) + sum(shard.kept for shard in self.shards)

    @property
    def corrected(self) -> list[Correction]:
        """The captions that are new, also where they are in the folder already."""
        found = [Correction(one.name, one.before, one.caption or "") for one in self.images if one.before is not None]
        return found + [one for shard in self.shards for one in shard.corrections]
