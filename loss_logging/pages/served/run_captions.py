"""RunCaptions: finds the captions of a run's items on disk, and writes them."""

from __future__ import annotations

import os
from pathlib import Path

from loss_logging.captions.folder.caption_places import CaptionPlaces
from loss_logging.captions.folder.caption_writer import CaptionWriter, is_in_archive
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.kept_files import NotWrittenError
from loss_logging.support.thumbnails import NoThumbnailError, existing

__all__ = ["RunCaptions"]


class RunCaptions:
    """Finds and writes the captions of images that records name.

    Args:
        images: the folder of the images; no file outside it is read or written. None means the recorded paths: files
            are written in the folder of the image, or in a folder above it whose table has its caption.
    """

    def __init__(self, images: Path | None) -> None:
        self._images = images
        self._places = CaptionPlaces()
        self._writers: dict[Path, CaptionWriter] = {}

    def find(self, _dataset: str, path: str) -> CaptionedFile:
        """The item with its present caption on disk.

        Raises:
            NotWrittenError: its image is no file on this machine, or is outside; the message gives the reason.
        """
        if is_in_archive(path):
            raise NotWrittenError(
                f"{path} is in an archive, which cannot be edited; write a new one with loss-logging apply"
            )
        try:
            existing(path, self._images)
        except NoThumbnailError as error:
            raise NotWrittenError(f"There is no caption to edit: {path} is {error}") from error
        # The path itself, not the target of a link: captions are beside the link.
        return self._places.of(Path(os.path.normpath(Path(self._images or "", path).absolute())))

    def wrote(self, _dataset: str, _path: str, file: CaptionedFile) -> None:
        """A caption was written."""
        self._places.wrote(file)

    def writer_of(self, file: CaptionedFile) -> CaptionWriter:
        """The writer for the caption of an item."""
        root = (self._images or Path(file.source or file.path).parent).absolute()
        return self._writers.setdefault(root, CaptionWriter(root))
