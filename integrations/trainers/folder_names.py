"""Names of datasets, where a trainer has only their folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from loss_logging.integrations.trainers.kohya_items import Source, names_of

__all__ = ["FolderNames"]


class FolderNames:
    """Which dataset an image is of: that whose folder it is in.

    Args:
        datasets: the name and the folder of each; one without a name is called as its folder.

    Example:
        >>> datasets = FolderNames([("pets", "/data/cats"), ("", "/data/dogs")])
        >>> [datasets.name_of(path) for path in ("/data/cats/a/1.png", "/data/dogs/1.png", "/other/1.png")]
        ['pets', 'dogs', 'other']
    """

    def __init__(self, datasets: Iterable[tuple[str, str]]) -> None:
        given = [(name, os.path.abspath(folder)) for name, folder in datasets]  # noqa: PTH100, links stay as they are
        folders = names_of([Source(folder, "") for _, folder in given])
        self._names = {folder: name or own for (name, folder), own in zip(given, folders, strict=True)}

    def name_of(self, path: str) -> str:
        """The name of an image's dataset; of one that is in none, the name of its folder."""
        folder = Path(os.path.abspath(path)).parent  # noqa: PTH100
        found = next((str(one) for one in (folder, *folder.parents) if str(one) in self._names), None)
        return folder.name if found is None else self._names[found]
