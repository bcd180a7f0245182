"""kohya's sd-scripts and musubi-tuner: trainings that list their images without those that are excluded."""

from __future__ import annotations

import functools
import glob
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from loss_logging.integrations.trainers.kohya_items import KEY, Source, musubi_files, musubi_subsets, sd_subsets
from loss_logging.integrations.trainers.replaced import replaced
from loss_logging.runs.exclusions import Exclusions
from loss_logging.support.warn import LOGGER
from loss_logging.training.ranks.meeting import Rank

__all__ = ["musubi_without", "sd_scripts_without"]


def _named_group(group: Any, subsets_of: Callable[[Any], list[tuple[Any, Source]]], exclusions: Exclusions) -> Any:
    """How to make a group: what was left out of the folders is counted as the datasets that they are, and said."""
    make = group.__init__

    @functools.wraps(make)
    def init(self: Any, datasets: Any, *args: Any, **kwargs: Any) -> None:
        make(self, datasets, *args, **kwargs)
        names: defaultdict[str, list[str]] = defaultdict(list)
        for subset, source in (pair for dataset in datasets for pair in subsets_of(dataset)):
            names[source.folder].append(getattr(subset, KEY, source.folder))
        for folder, of in names.items():
            exclusions.rename(folder, of)
        if Rank.current().rank == 0:
            exclusions.announce()

    return init


# --- sd-scripts ---------------------------------------------------------------------------------------------------


@contextmanager
def sd_scripts_without(train_util: Any, exclusions: Exclusions) -> Iterator[None]:
    """Folders seem not to have what is excluded, and lists of metadata are taken without it.

    Args:
        train_util: ``library.train_util``.
        exclusions: of the training.
    """
    glob_images, kind = train_util.glob_images, train_util.DreamBoothDataset
    controls: dict[str, str] = {}  # from a folder of masks or control images to that of the images
    left_out: defaultdict[str, set[str]] = defaultdict(set)  # names without ending, by folder

    @functools.wraps(glob_images)
    def listed(directory: Any, base: str = "*") -> Any:
        found = glob_images(directory, base)
        if base != "*":
            return found
        if (images := controls.get(_absolute(directory))) is not None:  # they leave with their images
            return [path for path in found if _stem(path) not in left_out[images]]
        kept = [found[place] for place in exclusions.kept(found, str(directory))]
        left_out[_absolute(directory)] = {_stem(path) for path in found} - {_stem(path) for path in kept}
        return kept

    make = kind.__init__

    @functools.wraps(make)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        for subset in kwargs.get("subsets", args[0] if args else ()):
            files = glob_images(subset.image_dir, "*") if getattr(subset, "cache_info", False) else ()
            if any(map(exclusions.excludes, files)):
                LOGGER.warning("cache_info of %s is off: the list in it is of all images", subset.image_dir)
                subset.cache_info = False
        make(self, *args, **kwargs)

    group, with_controls = train_util.DatasetGroup, getattr(train_util, "ControlNetDataset", None)
    named = _named_group(group, functools.partial(sd_subsets, train_util.BaseDataset), exclusions)
    places = [(train_util, "glob_images", listed), (kind, "__init__", init), (group, "__init__", named)]
    if with_controls is not None:
        places.append((with_controls, "__init__", _with_controls(with_controls, controls)))
    if hasattr(train_util, "FineTuningDataset"):
        places += _metadata_without(train_util.FineTuningDataset, exclusions)
    with replaced(*places):
        yield


def _with_controls(kind: Any, controls: dict[str, str]) -> Any:
    make = kind.__init__

    @functools.wraps(make)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        for subset in kwargs.get("subsets", args[0] if args else ()):
            if _absolute(subset.conditioning_data_dir) != _absolute(subset.image_dir):
                controls[_absolute(subset.conditioning_data_dir)] = _absolute(subset.image_dir)
        make(self, *args, **kwargs)

    return init


def _metadata_without(kind: Any, exclusions: Exclusions) -> list[tuple[Any, str, Any]]:
    """A dataset of a list in JSON registers its images one by one."""
    make, register = kind.__init__, kind.register_image
    registered: list[tuple[Any, str]] = []

    @functools.wraps(register)
    def register_image(self: Any, info: Any, subset: Any) -> None:
        folder = str(subset.image_dir or "")
        names = (str(info.absolute_path), os.path.join(folder, info.image_key), info.image_key)  # noqa: PTH118
        path = next((name for name in names if exclusions.excludes(name)), None)
        registered.append((subset, path or names[0]))
        if path is None:
            register(self, info, subset)

    @functools.wraps(make)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        registered.clear()
        make(self, *args, **kwargs)
        for subset in self.subsets:
            paths = [path for owner, path in registered if owner is subset]
            gone = len(paths) - len(exclusions.kept(paths, str(subset.image_dir or subset.metadata_file)))
            self.num_train_images -= gone * subset.num_repeats
            subset.img_count -= gone

    return [(kind, "register_image", register_image), (kind, "__init__", init)]


def _absolute(folder: str | os.PathLike[str]) -> str:
    return os.path.abspath(folder)  # noqa: PTH100


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122


# --- musubi-tuner -------------------------------------------------------------------------------------------------


@contextmanager
def musubi_without(module: Any, exclusions: Exclusions) -> Iterator[None]:
    """Folders seem not to have the caches of what is excluded.

    Args:
        module: ``musubi_tuner.dataset.image_video_dataset``.
        exclusions: of the training.
    """
    group = _named_group(module.DatasetGroup, musubi_subsets, exclusions)
    # A cache is called NAME_0512x0512_ARCHITECTURE, and that of a video also has the place of its frames.
    prepares = [
        (kind, "prepare_for_training", _caches_without(module, kind, parts, exclusions))
        for kind, parts in ((module.ImageDataset, 2), (module.VideoDataset, 3))
    ]
    with replaced((module.DatasetGroup, "__init__", group), *prepares):
        yield


def _caches_without(module: Any, kind: Any, parts: int, exclusions: Exclusions) -> Any:
    prepare = kind.prepare_for_training

    @functools.wraps(prepare)
    def prepare_for_training(self: Any, *args: Any, **kwargs: Any) -> Any:
        files = musubi_files(self)
        ((_, source),) = musubi_subsets(self)

        def listed(*pattern: Any, **options: Any) -> list[str]:
            found = glob.glob(*pattern, **options)  # noqa: PTH207
            names = ["_".join(os.path.basename(path).split("_")[:-parts]) for path in found]  # noqa: PTH119
            return [found[place] for place in exclusions.kept([files.get(name, name) for name in names], source.folder)]

        with replaced((module, "glob", SimpleNamespace(glob=listed, escape=glob.escape))):
            return prepare(self, *args, **kwargs)

    return prepare_for_training
