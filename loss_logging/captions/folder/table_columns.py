"""Columns: the columns of a table with file names and captions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

__all__ = ["ID", "Chosen", "Columns", "NoColumnsError"]

_PATHS = (
    *("file_name", "filename", "image_file_name", "target_file_name", "file_path", "filepath", "image_path"),
    *("image_path_0", "image_file", "image_name", "img_path", "path", "file", "image", "img", "video_path", "video"),
    *("key", "url"),
)
_CAPTIONS = ("caption", "text", "prompt", "captions", "caption_text", "description", "tags")

# Columns of masks and control images, under the names that imagefolder, musubi and trainers of ControlNets use.
_COMPANION = re.compile(
    r".+_file_names?|image_path_\d+|(control|cond(itioning)?|mask|reference|source)(_(images?|paths?|files?))*(_?\d+)?",
    re.IGNORECASE,
)

_FALLBACK = re.compile(r"fallback.*|.*_fallback", re.IGNORECASE)

ID = "id"
"""A column with the name of an image in SimpleTuner's tables, and with anything in other tables."""


class NoColumnsError(ValueError):
    """A table without captions or file names; the message holds the names of its columns."""


class Chosen(NamedTuple):
    """The columns of file names and of captions, None if there is none, and the columns that belong to them."""

    path: str | None
    caption: str | None
    companions: tuple[str, ...] = ()
    fallback: str | None = None  # for rows without a caption
    others: tuple[str, ...] = ()  # further columns with captions


class Columns(msgspec.Struct, frozen=True):
    """The names of the columns with file names and captions; None guesses them.

    With ``needs_path``, a table without file names is no table of captions. With ``second``, captions are in "text",
    else in the second column, as in diffusers' scripts.

    >>> Columns().choose(["id", "File_Name", "TEXT", "mask_path"])[:3]
    ('File_Name', 'TEXT', ('mask_path',))
    """

    path: str | None = None
    caption: str | None = None
    needs_path: bool = False
    second: bool = False

    def choose(self, names: Iterable[str]) -> Chosen:
        """The columns among ``names``."""
        names = list(names)
        by_name = {name.strip().casefold(): name for name in reversed(names)}
        companions = [name for name in names if _COMPANION.fullmatch(name.strip())]
        path = _first(by_name, self.path, _PATHS)
        if path is None and self.path is None:  # imagefolder allows any name that ends so
            path = next((name for name in companions if name.strip().casefold().endswith("_file_name")), None)
        path = path if path is not None or self.path is not None else by_name.get(ID)
        usual = ("text", *[name.strip().casefold() for name in names if name != path][:1]) if self.second else _CAPTIONS
        caption = _first(by_name, self.caption, usual)
        companions = [name for name in companions if name not in (path, caption)]
        fallback = next((name for name in names if _FALLBACK.fullmatch(name.strip())), None)
        others = [] if self.caption else [by_name[name] for name in _CAPTIONS if name in by_name]
        return Chosen(path, caption, tuple(companions), fallback, tuple(name for name in others if name != caption))

    def known(self, names: Iterable[str]) -> Chosen:
        """The same for a table that must have captions.

        Raises:
            NoColumnsError: it has no captions, or lacks a column that the user named.
        """
        names = list(names)
        chosen = self.choose(names)
        if chosen.caption is None or (chosen.path is None and (self.needs_path or self.path is not None)):
            raise NoColumnsError(", ".join(names) or "none")
        return chosen


def _first(by_name: Mapping[str, str], named: str | None, usual: Iterable[str]) -> str | None:
    wanted = usual if named is None else [named.strip().casefold()]
    return next((by_name[name] for name in wanted if name in by_name), None)
