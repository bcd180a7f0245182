"""Small pictures of the worst items, for trackers. Made by the reporter, never by the trainer's thread."""

from __future__ import annotations

import io
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from loss_logging.reports.report import LossReport, Picture
from loss_logging.support.images import load_image_function
from loss_logging.support.thumbnails import NoThumbnailError, shrunk, thumbnail
from loss_logging.support.warn import LOGGER, warn_once

if TYPE_CHECKING:
    from loss_logging.runs.config import TrainConfig

__all__ = ["PIXELS", "PictureMaker"]

"""A function from path and dataset of an item to its picture: see `loss_logging.runs.config.Pictures`."""

PIXELS = 160
"""Most width and height."""
_SECONDS = 10.0
"""Seconds that a report waits for its pictures; later pictures are left out."""


class PictureMaker:
    """Adds pictures to reports, as far as possible; pictures of the previous report are reused.

    An image that ends the process, by its size or by a decoder's fault, does so only once: while pictures are made, the
    run's folder has a mark, and a process that finds the mark makes no pictures.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._most = config.pictures.most if find_spec("PIL") is not None else 0
        self._load = config.pictures.load
        self._images = Path(config.images or "")
        self._mark = config.paths.pictures_mark
        self._made: dict[tuple[str, str], Picture] = {}
        self._busy: threading.Thread | None = None
        if self._most and self._mark.exists():
            warn_once("pictures", "a process ended while it made pictures for the trackers; no more are made")
            self._mark.unlink()
            self._most = 0

    def added_to(self, report: LossReport) -> LossReport:
        """The report with pictures of the first items of both rankings. Takes at most 10 seconds; never raises."""
        worst = [*report.worst.hard[: self._most], *report.worst.caption_mismatch[: self._most]]
        items = list(dict.fromkeys((item.dataset, item.path) for item in worst))
        if not items:
            return report
        if self._busy is not None and self._busy.is_alive():
            warn_once("slow pictures", "reading images takes so long that the trackers get no pictures of them")
            return report
        pictures: list[Picture] = []
        self._busy = threading.Thread(
            target=self._make, args=(items, pictures), name="loss_logging-pictures", daemon=True
        )
        self._busy.start()
        self._busy.join(_SECONDS)
        made = list(pictures)
        self._made = {(picture.dataset, picture.path): picture for picture in made if picture.image is not None}
        _warn_of_missing(made)
        return msgspec.structs.replace(report, pictures=made)

    def _make(self, items: list[tuple[str, str]], pictures: list[Picture]) -> None:
        known = dict(self._made)
        try:
            self._mark.touch()
            pictures.extend(known.get(item) or self._picture(*item) for item in items)  # one after the other
            self._mark.unlink(missing_ok=True)
        except OSError as error:  # the mark cannot be written: the disk is full, or the folder was removed
            LOGGER.debug("no pictures: %s", error)

    def _picture(self, dataset: str, path: str) -> Picture:
        try:
            return Picture(dataset, path, self._image(dataset, path))
        except NoThumbnailError as error:
            return Picture(dataset, path, None, str(error))
        except Exception as error:  # noqa: BLE001 the function is the user's: whatever it raises is the reason
            return Picture(dataset, path, None, f"{type(error).__name__}: {error}"[:200])

    def _image(self, dataset: str, path: str) -> bytes:
        recorded = path if "://" in path else self._images / path
        loaded = load_image_function(self._load)(path, dataset) if self._load else recorded
        if loaded is None:
            raise NoThumbnailError("pictures.load has none")
        if isinstance(loaded, (str, Path)):
            # Relative paths start from the run's images or the trainer's working directory, and may lead out of it.
            path = str(loaded) if "://" in str(loaded) else str(Path(loaded).absolute())
            return thumbnail(path, pixels=PIXELS)
        if isinstance(loaded, bytes):
            return shrunk(io.BytesIO(loaded), pixels=PIXELS)
        from PIL import Image

        return shrunk(loaded if isinstance(loaded, Image.Image) else Image.fromarray(loaded), pixels=PIXELS)


def _warn_of_missing(pictures: list[Picture]) -> None:
    missing = [picture for picture in pictures if picture.image is None]
    if not missing:
        return
    first = missing[0]
    sentence = (
        f"{len(missing)} of {len(pictures)} items have no picture in the trackers; the first one is {first.path!r}: "
        f"{first.reason}"
    )
    if len(missing) < len(pictures):
        warn_once("no picture", f"{sentence}. Training goes on; this is not warned about again.")
    else:  # the data are no image files, and the user asked for no pictures
        LOGGER.info("%s. A function in the option pictures.load can give pictures of data without files.", sentence)
