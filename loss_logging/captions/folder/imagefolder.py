"""Imagefolder: the images that Hugging Face's ``load_dataset(FOLDER)`` leaves out of a folder with a metadata table.

Source: a run of datasets 5.2.0 on 2026-11-29. With files named in ``data_files``, no image is lost to splits.
"""

from __future__ import annotations

import os
import re

from loss_logging.captions.folder.folder_listing import Listing, stem, suffix
from loss_logging.captions.folder.problems import FolderProblems

__all__ = ["Imagefolder", "split_of"]

_METADATA = (".jsonl", ".csv", ".parquet")
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLITS = {
    split: re.compile(rf"(?:^|[-._ 0-9/])(?:{'|'.join(words)})(?=[-._ 0-9/]|$)") for split, words in _WORDS.items()
}


def split_of(path: str) -> str | None:
    """The split that load_dataset assigns to a path relative to the folder; None if it assigns none.

    >>> [split_of(path) for path in ("a_test.png", "x/dev 1.png", "my-training/1.png", "contest.png", "A_TEST.png")]
    ['test', 'validation', 'train', None, None]
    """
    return next((split for split, words in _SPLITS.items() if words.search(path)), None)


class Imagefolder:
    """Looks at the folders of a dataset one by one; the first has the metadata table.

    Args:
        problems: takes the images that are left out.
    """

    def __init__(self, problems: FolderProblems) -> None:
        self._problems = problems
        self._is_one = False
        self._tables: list[os.DirEntry[str]] = []  # in no split
        self._first: str | None = None  # image in a split
        self._lost: list[str] = []  # the first image in none
        self._count = 0

    def see(self, relative: str, listing: Listing) -> None:
        """Look at the names in a folder."""
        tables = [table for table in listing.tables if stem(table.name).lower() == "metadata"]
        tables = [table for table in tables if suffix(table.name) in _METADATA]
        self._is_one = self._is_one or (not relative and bool(tables))
        if not self._is_one:
            return
        for table in tables:
            if table.name != f"metadata{suffix(table.name)}":
                message = f"is not called metadata{suffix(table.name)}, which imagefolder looks for"
                self._problems.add("metadata_not_read", table.path, message)
        if len({suffix(table.name) for table in tables}) > 1:
            names = " and ".join(table.name for table in tables)
            self._problems.add("metadata_not_read", tables[0].path, f"imagefolder refuses {names} in one folder")
        place = f"{relative}/" if relative else ""
        self._tables += [table for table in tables if split_of(place + table.name) is None]
        for image in listing.images:
            if split_of(place + image.name) is not None:
                self._first = self._first or image.path
            else:
                self._count += 1
                self._lost = self._lost or [image.path]

    def tell(self) -> None:
        """Add problems, after all folders: if one name is the name of a split, load_dataset reads only splits."""
        if self._first is None:
            return
        for table in self._tables:
            message = f"is in no split, and load_dataset reads only splits, because of {self._first}"
            self._problems.add("metadata_not_read", table.path, message)
        for path in self._lost:
            message = f"{self._count:,} images in no split are left out by load_dataset, because of {self._first}"
            self._problems.add("metadata_not_read", path, message)
