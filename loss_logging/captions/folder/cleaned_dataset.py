"""CleanedDataset: the images of a folder or a run that stay and that are excluded, after a person's decisions."""

from __future__ import annotations

import msgspec

from loss_logging.captions.folder.cleaned_shards import CleanedShard, Correction

__all__ = ["CleanedDataset", "CleanedImage", "Companion"]


class CleanedImage(msgspec.Struct, frozen=True):
    """An image that stays.

    Args:
        source: the file of the image.
        name: its relative path in the cleaned dataset, with ``/``.
        caption: its caption in the cleaned dataset; None if it has none.
        before: the old caption if a person has corrected it; None otherwise.
        text: the text file of an unchanged caption, which is copied byte by byte; None if the caption is written anew.
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
        name: its path, relative to the folder.
        of: the name of its image, without suffix.
        kind: its kind, such as ``"mask"``, from its name or its folder.
    """

    source: str
    name: str
    of: str
    kind: str


class CleanedDataset(msgspec.Struct):
    """The images of a folder that stay, and the images that are excluded.

    Args:
        images: the images that stay.
        companions: masks and control images of these images.
        shards: tars, without the excluded images.
        excluded: paths that are left out, relative to the folder.
        warnings: sentences for the user.
        decided: the number of images with a decision of any kind.
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
        """The corrected captions, including corrections that the folder already has."""
        found = [Correction(one.name, one.before, one.caption or "") for one in self.images if one.before is not None]
        return found + [one for shard in self.shards for one in shard.corrections]
