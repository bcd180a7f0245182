"""Listing: the names in one captioned folder, by the kind of file."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict

from loss_logging.captions.folder.image_suffixes import ARCHIVES, IMAGES, IMAGES_THAT_NO_TRAINER_READS, TEXTS
from loss_logging.captions.folder.tables import TABLES

__all__ = ["JSON_TABLES", "Listing", "companion_of", "is_companion", "stem", "suffix"]

JSON_TABLES = re.compile(r"(meta|captions?|dataset|data).*\.json", re.IGNORECASE)
"""JSON files with these names are tables, of kohya and others. Other JSON files may hold anything."""

_MOST_OTHERS = 8  # JSON files with other names in a folder that are tried as tables

# Masks, control images and previews belong to another image; the end of their name or their folder shows it.
_COMPANION = re.compile(
    r"(?P<of>.+)(?P<always>-masklabel|-condlabel|[-_.](?:masks?|control|cond|depth|canny|pose|thumb(?:nail)?s?))",
    re.IGNORECASE,
)
_ALWAYS = ("-masklabel", "-condlabel")
_COMPANION_FOLDERS = frozenset(
    {"_controls", "_control", "_masks", "_mask", "masks", "mask", "controls", "control", "conditioning"}
    | {"conditioning_images", "control_images", "thumbnails", "thumbs", "@eadir", "__macosx"}
)


class Listing:
    """The content of a folder. ``unread`` counts files of other kinds by suffix."""

    def __init__(self) -> None:
        self.images: list[os.DirEntry[str]] = []
        self.texts: defaultdict[str, list[os.DirEntry[str]]] = defaultdict(list)  # by stem
        self.beside: dict[str, os.DirEntry[str]] = {}  # JSON files, by stem
        self.tables: list[os.DirEntry[str]] = []
        self.folders: list[os.DirEntry[str]] = []
        self.archives: dict[str, os.DirEntry[str]] = {}  # by stem
        self.no_trainer_reads: list[os.DirEntry[str]] = []
        self.unread: Counter[str] = Counter()

    def add(self, entry: os.DirEntry[str]) -> None:
        """Take a file."""
        ending = suffix(entry.name)
        if ending in IMAGES:
            self.images.append(entry)
        elif ending in TEXTS:
            self.texts[stem(entry.name)].append(entry)
        elif ending == ".json":
            self.beside[stem(entry.name)] = entry
        elif ending in TABLES:
            self.tables.append(entry)
        elif archive := next((end for end in ARCHIVES if entry.name.lower().endswith(end)), None):
            self.archives[entry.name[: -len(archive)]] = entry
        else:
            self.unread[ending] += 1
            if ending in IMAGES_THAT_NO_TRAINER_READS:
                self.no_trainer_reads.append(entry)

    def settle(self) -> Listing:
        """Separate JSON tables from JSON files beside an image, once every name is known."""
        stems = self.stems()
        alone = [name for name in self.beside if name not in stems]
        for name in alone:
            entry = self.beside.pop(name)
            if len(alone) <= _MOST_OTHERS or JSON_TABLES.fullmatch(entry.name):
                self.tables.append(entry)
        return self

    def stems(self) -> set[str]:
        """Of the images."""
        return {stem(image.name) for image in self.images}

    def only(self, name: str) -> Listing:
        """The images and captions with this stem."""
        listing = Listing()
        listing.images = [image for image in self.images if stem(image.name) == name]
        listing.texts[name] = self.texts.get(name, [])
        listing.beside = {name: self.beside[name]} if name in self.beside else {}
        return listing


def is_companion(name: str, folder: str, stems: set[str]) -> bool:
    """Whether an image without a caption is the mask, the control image or the preview of another one.

    Args:
        name: the name of the file.
        folder: its folder, relative to the folder that is read.
        stems: the names, without suffix, of the images beside it.

    >>> is_companion("a-masklabel.png", "", set()), is_companion("a_mask.png", "", {"a"})
    (True, True)
    >>> is_companion("a.png", "_controls", set()), is_companion("a_mask.png", "cats", {"b"})
    (True, False)
    """
    match = _COMPANION.fullmatch(stem(name))
    if match and (match["always"].lower() in _ALWAYS or match["of"] in stems):
        return True
    return not _COMPANION_FOLDERS.isdisjoint(folder.lower().split("/"))


def companion_of(path: str) -> tuple[str, str]:
    """The image of a mask or a control image, without its suffix, and the kind of companion.

    Args:
        path: the path of the mask or control image, relative to the folder that is read.

    >>> companion_of("cats/a_mask.png"), companion_of("_controls/cats/a.png")
    (('cats/a', 'mask'), ('cats/a', 'controls'))
    """
    *folders, name = path.split("/")
    kinds = [folder for folder in folders if folder.lower() in _COMPANION_FOLDERS]
    folders = [folder for folder in folders if folder not in kinds]
    match = _COMPANION.fullmatch(stem(name))
    of = match["of"] if match else stem(name)
    kind = match["always"] if match else "".join(kinds[-1:])
    return "/".join([*folders, of]), kind.strip("-_.")


def stem(name: str) -> str:
    """The name without its suffix."""
    return name.rpartition(".")[0]


def suffix(name: str) -> str:
    """The suffix in lower case, with its dot.

    >>> suffix("a.v2.PNG")
    '.png'
    """
    _, dot, ending = name.rpartition(".")
    return (dot + ending).lower()
