"""kohya's sd-scripts and musubi-tuner: batches that say which images they are of, also from DataLoader workers.

A worker that is forked has the changed classes. One that is spawned (Windows, macOS) imports the trainer anew, so each
dataset is pickled together with the order to change its class again.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple, cast

from loss_logging.support.warn import warn_once

__all__ = [
    "KEY",
    "Source",
    "musubi_files",
    "musubi_subsets",
    "name_musubi",
    "name_sd_scripts",
    "names_of",
    "sd_subsets",
]

KEY = "loss_logging"
"""Where a batch has its names: a mapping of ``paths``, ``datasets``, ``captions``, ``is_reg``, ``caption_dropped``."""

_Names = dict[str, list[Any]]


class Source(NamedTuple):
    """Where the images of a subset are, a folder or a list in a JSON file, and their size."""

    folder: str
    size: str


def names_of(sources: Sequence[Source]) -> list[str]:
    """One name for each subset: its folder's, with as much more as it takes to tell them apart.

    Example:
        >>> names_of([Source("/data/10_cat", "512x512"), Source("/data/dog", "512x512"), Source("/reg/dog", "512x512")])
        ['10_cat', 'data/dog', 'reg/dog']
        >>> names_of([Source("cats", "512x512"), Source("cats", "1024x1024")])
        ['cats@512x512', 'cats@1024x1024']
    """
    folders, sizes = defaultdict(set), defaultdict(set)
    paths = [_without_ending(PurePath(os.path.abspath(source.folder))) for source in sources]  # noqa: PTH100
    for path in paths:
        folders[path.name].add(path)
    names = [path.name if len(folders[path.name]) == 1 else f"{path.parent.name}/{path.name}" for path in paths]
    for name, source in zip(names, sources, strict=True):
        sizes[name].add(source.size)
    return [
        name if len(sizes[name]) == 1 else f"{name}@{source.size}" for name, source in zip(names, sources, strict=True)
    ]


def _without_ending(path: PurePath) -> PurePath:
    return path.with_suffix("") if path.suffix in (".json", ".jsonl") else path


# --- sd-scripts ---------------------------------------------------------------------------------------------------


def name_sd_scripts(train_util: Any) -> None:
    """Have the batches of sd-scripts carry their names: ``library.train_util``, in this process and in workers."""
    _name_subsets(train_util.DatasetGroup, functools.partial(sd_subsets, train_util.BaseDataset))
    _name_batches(train_util.BaseDataset, _sd_names, name_sd_scripts)


def sd_subsets(kind: type, dataset: Any) -> list[tuple[Any, Source]]:
    """Of a dataset and of one inside of it: where masks are in a folder, that has the images, and its own subsets."""
    inner = [value for value in vars(dataset).values() if isinstance(value, kind)]
    own = [(subset, _sd_source(dataset, subset)) for subset in getattr(dataset, "subsets", ())]
    return own + [pair for one in inner for pair in sd_subsets(kind, one)]


def _sd_source(dataset: Any, subset: Any) -> Source:
    return Source(str(subset.image_dir or subset.metadata_file), f"{dataset.width}x{dataset.height}")


def _sd_names(dataset: Any, index: int, batch: dict[str, Any]) -> _Names | None:
    if dataset.caching_mode is not None:  # batches for the caches of latents and texts, which nobody trains on
        return None
    place = dataset.buckets_indices[index]
    start = place.batch_index * place.bucket_batch_size
    keys = dataset.bucket_manager.buckets[place.bucket_index][start : start + place.bucket_batch_size]
    images = [dataset.image_data[key] for key in keys]
    captions = list(batch["captions"])
    return {
        "paths": [str(image.absolute_path) for image in images],
        "datasets": [_sd_name(dataset, dataset.image_to_subset[key]) for key in keys],
        "captions": captions,
        "is_reg": [bool(image.is_reg) for image in images],
        "caption_dropped": [not used and bool(i.caption) for used, i in zip(captions, images, strict=True)],
    }


def _sd_name(dataset: Any, subset: Any) -> str:
    """That of the subset; where it was in no group when that was made, its folder's."""
    return getattr(subset, KEY, None) or names_of([_sd_source(dataset, subset)])[0]


# --- musubi-tuner -------------------------------------------------------------------------------------------------


def name_musubi(module: Any) -> None:
    """The same for musubi-tuner: ``musubi_tuner.dataset.image_video_dataset``."""
    _name_subsets(module.DatasetGroup, musubi_subsets)
    for kind in (module.ImageDataset, module.VideoDataset):
        _name_batches(kind, _musubi_names, name_musubi)


_MUSUBI_SOURCES = ("image_directory", "video_directory", "image_jsonl_file", "video_jsonl_file", "cache_directory")


def musubi_subsets(dataset: Any) -> list[tuple[Any, Source]]:
    """A dataset, which is all of its subsets."""
    return [(dataset, _musubi_source(dataset))]


def _musubi_source(dataset: Any) -> Source:
    folder = next(filter(None, (getattr(dataset, name, None) for name in _MUSUBI_SOURCES)), "")
    width, height = dataset.resolution
    return Source(str(folder), f"{width}x{height}")


def _musubi_names(dataset: Any, index: int, _batch: dict[str, Any]) -> _Names:
    manager = dataset.batch_manager
    bucket, number = manager.bucket_batch_indices[index]
    items = manager.buckets[bucket][number * manager.batch_size : (number + 1) * manager.batch_size]
    found = [_musubi_file(dataset, item.item_key) for item in items]
    return {
        "paths": [path for path, _ in found],
        "datasets": [getattr(dataset, KEY, "")] * len(found),
        "captions": [caption for _, caption in found],
        "is_reg": [False] * len(found),
        "caption_dropped": [False] * len(found),
    }


def _musubi_file(dataset: Any, key: str) -> tuple[str, str]:
    """The file and the caption that a cache file was made of: it has only the file's name without an ending."""
    files = dataset.__dict__.get("loss_logging_files")
    if files is None:
        files = dataset.loss_logging_files = {}
        source = dataset.datasource
        files.update((_stem(path), i) for i, path in enumerate(_musubi_paths(source)))
    place = files.get(key)
    if isinstance(place, int):  # captions are read when they are needed: there may be very many
        files[key] = place = tuple(map(str, dataset.datasource.get_caption(place)))
    return place or (key, "")


def musubi_files(dataset: Any) -> dict[str, str]:
    """The file that the caches of each name were made of."""
    return {_stem(path): path for path in _musubi_paths(dataset.datasource)}


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122


def _musubi_paths(source: Any) -> list[str]:
    for name in ("image_paths", "video_paths"):
        if hasattr(source, name):
            return list(getattr(source, name))
    return [row.get("image_path") or row.get("video_path") or "" for row in getattr(source, "data", ())]


# --- both ---------------------------------------------------------------------------------------------------------


def _name_subsets(group: Any, subsets_of: Callable[[Any], list[tuple[Any, Source]]]) -> None:
    """Name the subsets when all of them are known."""
    make = group.__init__
    if hasattr(make, "__wrapped__"):
        return

    @functools.wraps(make)
    def init(self: Any, datasets: Sequence[Any], *args: Any, **kwargs: Any) -> None:
        make(self, datasets, *args, **kwargs)
        try:
            subsets = [pair for dataset in datasets for pair in subsets_of(dataset)]
        except (AttributeError, TypeError, ValueError) as error:
            warn_once("kohya datasets", f"all datasets are logged as one: their folders are not found ({error})")
            return
        for (subset, _), name in zip(subsets, names_of([source for _, source in subsets]), strict=True):
            setattr(subset, KEY, name)

    group.__init__ = init


def _name_batches(
    kind: Any, names: Callable[[Any, int, dict[str, Any]], _Names | None], again: Callable[[Any], None]
) -> None:
    get_item = kind.__getitem__
    if hasattr(get_item, "__wrapped__"):
        return

    @functools.wraps(get_item)
    def named(self: Any, index: int) -> Any:
        batch = get_item(self, index)
        try:
            found = names(self, index, batch)
        except Exception as error:  # noqa: BLE001, the trainer's classes have changed: a batch without names is said so
            found = {"error": [f"{type(error).__name__}: {error}"]}
        return batch if found is None else {**batch, KEY: found}

    def reduce(self: Any, protocol: Any) -> Any:
        make, arguments, *state = cast("tuple[Any, ...]", object.__reduce_ex__(self, protocol))
        return (_unpickle, (again, kind.__module__, make, arguments), *state)

    kind.__getitem__ = named
    kind.__reduce_ex__ = reduce


def _unpickle(again: Callable[[Any], None], module: str, make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """In a spawned worker, which has the trainer's own classes."""
    again(importlib.import_module(module))
    return make(*arguments)
