"""Rivals in training, and what pictures say of captions: found by a process beside it, and looked up without waiting.

The reporter, which knows the captions, starts ``python -m loss_logging.training.rivals``: it reads each picture, and an
image that ends a process ends this one. What it finds is a file in the run's folder, which every rank looks for.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa

from loss_logging.errors import LossLoggingError
from loss_logging.evidence.rivals import Rivals
from loss_logging.runs.config import TrainConfig
from loss_logging.support.images import load_image_function
from loss_logging.support.thumbnails import NoThumbnailError, existing
from loss_logging.support.warn import LOGGER, warn_once

__all__ = ["KnownRivals", "RivalFinder", "main"]

MOST = 10_000
"""Items that rivals are found for: a minute or two of one core, and 0.5 GB."""
_FEWEST = 20
_GROWN = 1.5
"""Times as many items as before, from which it is worth to look again."""


class KnownRivals:
    """The rivals that are known now.

    Args:
        config: of the run.

    Raises:
        LossLoggingError: the file that the key ``rivals`` names cannot be read.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._found = Rivals({})
        self._file = config.rivals_file if config.rivals == "auto" else None
        self._read = 0
        self.wanted = config.rivals != "none"
        self.asked = self.wanted and config.images is not None
        """Whether the trainer compares with rivals, or says where its pictures are; else no picture is opened."""
        if config.rivals not in ("auto", "none"):
            try:
                self._found = Rivals.load(config.rivals)
            except OSError as error:
                raise LossLoggingError(
                    f"$.rivals: {config.rivals} cannot be read: {error.strerror or error}"
                ) from error

    def of(self, path: object, dataset: object) -> str:
        """The caption of an item's first rival, or ""."""
        self.asked = self.wanted
        return next(iter(self._found.of(path, dataset)), "")

    def refresh(self) -> None:
        """Read what was found since; not in the training thread."""
        if self._file is None:
            return
        try:
            written = self._file.stat().st_mtime_ns
            if written != self._read:
                self._read = written
                self._found = Rivals.load(self._file)
        except FileNotFoundError:
            return
        except (OSError, LossLoggingError) as error:
            warn_once("rivals", f"{error}. Captions are compared with the empty one.")


class RivalFinder:
    """Has rivals found, at the first report and whenever there are many more items.

    Args:
        config: of the run.
        items: gives at most so many items, a table of dataset, path and caption.
    """

    def __init__(self, config: TrainConfig, items: Callable[[int], pa.Table]) -> None:
        self._config = config
        self._items = items
        self._looked_at = 0
        self._process: subprocess.Popen[bytes] | None = None
        of_use = config.paired_fraction > 0 or config.images is not None
        possible = config.rivals == "auto" and of_use and config.log_per_example
        self._possible = possible and all(find_spec(name) is not None for name in ("sklearn", "PIL"))

    def look(self) -> None:
        """Start the process, if it is time; never waits, and never raises."""
        if not self._possible or (self._process is not None and self._process.poll() is None):
            return
        try:
            items = self._items(MOST)
            if len(items) < max(_FEWEST, _GROWN * self._looked_at) or not self._have_pictures(items):
                return
            self._looked_at = len(items)
            self._start(items)
        except Exception as error:  # noqa: BLE001 the report is written; captions are compared with the empty one
            self._possible = False
            warn_once("rivals", f"no rivals are looked for: {type(error).__name__}: {error}")

    def close(self) -> None:
        """End the process: nobody will need what it finds."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _have_pictures(self, items: pa.Table) -> bool:
        """Whether the first item is a picture; of data that are none nothing is started."""
        if self._config.pictures.load:
            return True
        try:
            _file(items["path"][0].as_py(), str(self._config.images or ""))
        except NoThumbnailError:
            return False
        return True

    def _start(self, items: pa.Table) -> None:
        wanted = self._config.paths.rivals.with_suffix(".wanted")
        with pa.OSFile(str(wanted), "wb") as file, pa.ipc.new_stream(file, items.schema) as writer:
            writer.write_table(items)
        command = [sys.executable, "-m", "loss_logging.training.rivals", str(wanted), str(self._config.paths.rivals)]
        self._process = subprocess.Popen(
            [*command, self._config.pictures.load or "", str(self._config.images or "")],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def main(wanted: str, found: str, load: str, images: str) -> None:
    """Find the rivals of the items in the file ``wanted``, and write them to ``found``."""
    from loss_logging.evidence.find_rivals import find_rivals  # which the trainer has no use for

    if hasattr(os, "nice"):
        os.nice(19)
    with pa.memory_map(wanted) as file:
        items = pa.ipc.open_stream(file).read_all()
    datasets, paths, captions = (items[name].to_pylist() for name in ("dataset", "path", "caption"))
    pictures = (_picture(path, dataset, load, images) for path, dataset in zip(paths, datasets, strict=True))
    rivals = find_rivals(captions, pictures, paths=paths, datasets=datasets, progress=False)
    rivals.save(found)
    if not len(rivals):
        LOGGER.info("no rivals: %s", rivals.reason)
    Path(wanted).unlink()


def _picture(path: str, dataset: str, load: str, images: str) -> Any:
    try:
        return load_image_function(load)(path, dataset) if load else _file(path, images)
    except Exception as error:  # noqa: BLE001 the function is the user's: an item without a picture has no rival
        LOGGER.debug("no picture of %s: %s", path, error)
        return None


def _file(path: str, images: str) -> Path:
    """The image file at a path, which starts from the folder ``images`` if there is one, unless it is absolute."""
    return existing(path, Path(images) if images and not Path(path).is_absolute() else None)


if __name__ == "__main__":
    main(*sys.argv[1:])
