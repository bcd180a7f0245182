"""ImageNames: finds the images that tables name, and a key that is the same for all names of an image."""

from __future__ import annotations

import os
from functools import cached_property, lru_cache
from pathlib import Path

from loss_logging.captions.folder.image_suffixes import IMAGES

__all__ = ["ImageNames"]

_FOLDERS = 4_096  # with cached names


class ImageNames:
    """Finds the images that tables name, relative to the table's folder, the checked folder or the working directory.

    Args:
        root: the checked folder.

    Example:
        >>> import pathlib, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = pathlib.Path(folder, "1.png").write_bytes(b"")
        >>> names = ImageNames(folder)
        >>> [names.find(name, folder) == f"{folder}/1.png" for name in ("1.png", "1", f"{folder}/1.png", "2.png")]
        [True, True, True, False]
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._listed = lru_cache(_FOLDERS)(_Listing)
        self._real = lru_cache(_FOLDERS)(os.path.realpath)
        self._inside = lru_cache(_FOLDERS)(self._place_inside)

    def find(self, name: str, folder: str) -> str | None:
        """The path of the image that a table in ``folder`` names, with or without suffix; None if there is none."""
        bases = ("",) if Path(name).is_absolute() else dict.fromkeys((folder, self._root, os.curdir))
        for base in bases if name else ():
            place, last = os.path.split(os.path.normpath(f"{base}/{name}" if base else name))
            if (found := self._listed(place or os.curdir).find(last)) is not None:
                return self._shown(f"{place.rstrip(os.sep)}{os.sep}{found}" if place else found)
        return None

    def in_other_case(self, name: str, folder: str) -> str | None:
        """The name of an image that differs from ``name`` only in case; None if there is none."""
        place, last = os.path.split(os.path.normpath(Path(folder, name)))
        return self._listed(place or os.curdir).in_other_case(last)

    def key(self, path: str) -> str:
        """A key that is the same for the absolute and the relative path of a file."""
        folder, name = os.path.split(path)
        return f"{self._real(folder or os.curdir)}/{name}"

    def _shown(self, path: str) -> str:
        """The path as in the folder's own listing, if it is below the folder."""
        place, last = os.path.split(path)
        if path.startswith(f"{self._root}{os.sep}"):
            return path
        inside = self._inside(place)
        return path if inside is None else os.path.normpath(Path(self._root, inside, last))

    def _place_inside(self, place: str) -> str | None:
        inside = os.path.relpath(self._real(place or os.curdir), self._real(self._root))
        return None if inside.startswith(os.pardir) else inside


class _Listing:
    """The names in a folder; empty if the folder does not exist."""

    def __init__(self, folder: str) -> None:
        try:
            self._names = frozenset(entry.name for entry in os.scandir(folder))
        except (OSError, ValueError):  # a name that no folder can have
            self._names = frozenset()

    @cached_property
    def _by_stem(self) -> dict[str, str]:
        return {name.rpartition(".")[0]: name for name in sorted(self._names, reverse=True) if _is_image(name)}

    @cached_property
    def _by_small_letters(self) -> dict[str, str]:
        return {name.casefold(): name for name in self._names if _is_image(name)}

    def in_other_case(self, name: str) -> str | None:
        return self._by_small_letters.get(name.casefold())

    def find(self, name: str) -> str | None:
        if name in self._names:
            return name
        return None if _is_image(name) else self._by_stem.get(name)


def _is_image(name: str) -> bool:
    return f".{name.rpartition('.')[2].lower()}" in IMAGES
