"""write_cleaned: writes a cleaned dataset in the layout of a trainer, with the trainer's configuration."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import yaml

from loss_logging.captions.folder.cleaned_dataset import CleanedDataset, CleanedImage
from loss_logging.captions.folder.cleaned_shards import encoded, write_shard
from loss_logging.captions.folder.folder_listing import suffix
from loss_logging.captions.folder.image_suffixes import VIDEOS
from loss_logging.captions.folder.imagefolder import split_of
from loss_logging.captions.folder.trained_images import numbered
from loss_logging.captions.trainers import TRAINERS
from loss_logging.errors import ConfigError

__all__ = ["Layout", "check_out", "write_cleaned"]

Layout = Literal["kohya", "ai-toolkit", "musubi", "simpletuner", "imagefolder", "webdataset"]

_IN_SHARD = 10_000  # images

_NO_SPLITS = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: "**"
---
"""
"""Without it, load_dataset puts images with names such as ``a_test.png`` into a split, and leaves out the others."""

_APART: dict[str, str] = dict.fromkeys(("kohya", "musubi", "ai-toolkit"), "images")
"""For trainers that read masks in a folder of images as images: the folder for the images alone."""


def check_out(folder: Path, out: Path) -> None:
    """Refuse an output folder that could change the original.

    Raises:
        ConfigError: ``out`` is not empty, or one of the two folders is inside the other.
    """
    here, there = folder.resolve(), out.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise ConfigError(f"--out is {out}; allowed: a folder outside of {folder}, and not above it")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out is {out}, which is not empty; allowed: a new or an empty folder")


def write_cleaned(dataset: CleanedDataset, out: Path, layout: Layout) -> Path | None:
    """Write a cleaned dataset, completely or not at all: images as hard links, else soft links, captions as files.

    Args:
        dataset: the result of `clean`.
        out: a new or an empty folder, checked with `check_out`.
        layout: the trainer or library that will read it.

    Returns:
        The path of the trainer's configuration; None for a layout without one.

    Raises:
        OSError: a file cannot be written; ``out`` is then as before.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        partial.chmod(0o777 & ~_umask())
        if layout == "webdataset":
            _write_shards(dataset, partial)
        else:
            _write_folders(dataset, partial, layout)
        name = None
        if layout == "imagefolder":
            _write_metadata(dataset, partial)
        elif layout in _CONFIGURATIONS:
            name, text = _CONFIGURATIONS[layout](dataset, out.absolute() / _APART.get(layout, ""))
            (partial / name).write_text(text, "utf-8", "surrogateescape")
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return None if name is None else out / name


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_folders(dataset: CleanedDataset, out: Path, layout: Layout) -> None:
    captions = layout != "imagefolder"
    images = out / _APART.get(layout, "")
    for image in dataset.images:
        place = images / image.name
        _link(image.source, place)
        beside = place.with_suffix(".txt")
        if captions and image.text is not None:
            shutil.copyfile(image.text, beside)
        elif captions and image.caption is not None:
            beside.write_bytes(encoded(image.caption))
    for one in dataset.companions:
        name = f"{one.kind}/{one.of}{Path(one.source).suffix}" if layout in _APART else one.name
        _link(one.source, out / name)


def _link(source: str, place: Path) -> None:
    """A hard link to the image itself, not to a link; a soft link if the image is on another disk."""
    place.parent.mkdir(parents=True, exist_ok=True)
    real = Path(source).resolve(strict=True)
    try:
        place.hardlink_to(real)
    except OSError:
        try:
            place.symlink_to(real)
        except OSError:
            shutil.copyfile(real, place)


def _write_metadata(dataset: CleanedDataset, out: Path) -> None:
    """The metadata table; one in each folder of a split, as load_dataset reads no table above it."""
    tops = {image.name.partition("/")[0] if "/" in image.name else "" for image in dataset.images}
    inside = {image.name.rpartition("/")[0].partition("/")[2] for image in dataset.images}
    by_split = all(split_of(f"{top}/") for top in tops) and not any(split_of(f"{folder}/") for folder in inside)
    for top in sorted(tops) if by_split else [""]:
        prefix = f"{top}/" if top else ""
        with (out / top / "metadata.jsonl").open("w", encoding="utf-8") as file:
            for image in dataset.images:
                if image.name.startswith(prefix):
                    row = {"file_name": image.name.removeprefix(prefix), "text": image.caption or ""}
                    file.write(json.dumps(row) + "\n")
    if not by_split and any(split_of(image.name) is not None for image in dataset.images):
        (out / "README.md").write_text(_NO_SPLITS, "utf-8")


def _write_shards(dataset: CleanedDataset, out: Path) -> None:
    companions: dict[str, list[tuple[str, str]]] = {}
    for one in dataset.companions:
        companions.setdefault(one.of, []).append((one.source, f"{one.kind}{Path(one.source).suffix}"))
    for shard in dataset.shards:
        if shard.kept:
            write_shard(shard, out / shard.name)
    there = {shard.name for shard in dataset.shards}
    names = (name for number in itertools.count() if (name := f"{number:06d}.tar") not in there)
    keys = _keys(dataset.images)
    for start in range(0, len(dataset.images), _IN_SHARD):
        with tarfile.open(out / next(names), "w") as tar:
            for image in dataset.images[start : start + _IN_SHARD]:
                _add_to_shard(tar, image, keys[image.name], companions.get(image.name.rpartition(".")[0], []))


def _keys(images: list[CleanedImage]) -> dict[str, str]:
    """The key of each image's sample, by its name. As a key ends at its first dot, a name with dots has others instead;
    where that is another image's key, a number follows."""
    stems = {image.name: image.name.rpartition(".")[0] for image in images}
    keys, taken = {}, {stem for stem in stems.values() if "." not in stem.rpartition("/")[2]}
    for name, stem in stems.items():
        folder, slash, last = stem.rpartition("/")
        key = first = f"{folder}{slash}{last.replace('.', '_')}"
        number = 1
        while key in taken and key != stem:
            number += 1
            key = f"{first}-{number}"
        taken.add(key)
        keys[name] = key
    return keys


def _add_to_shard(tar: tarfile.TarFile, image: CleanedImage, key: str, companions: list[tuple[str, str]]) -> None:
    members = [(Path(image.source).suffix[1:], Path(image.source).read_bytes())]
    if image.caption is not None:
        members.append(("txt", encoded(image.caption)))
    members += [(ending, Path(source).read_bytes()) for source, ending in companions]
    for ending, data in members:
        info = tarfile.TarInfo(f"{key}.{ending}")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def _folders(dataset: CleanedDataset, layout: str) -> list[str]:
    """The folders in the trainer's configuration: the root if it reads all folders in it, else each image folder."""
    if TRAINERS[layout].folders == "all":
        return [""]
    return sorted({image.name.rpartition("/")[0] for image in dataset.images})


def _kohya(dataset: CleanedDataset, out: Path) -> tuple[str, str]:
    lines = ["[[datasets]]"]
    for folder in sorted({image.name.rpartition("/")[0] for image in dataset.images}):
        name = folder.rpartition("/")[2]
        found = None if name.isdecimal() and name[0] == "0" else numbered(name)  # "000" is a shard, and no number
        if found is not None and found[0] == 0:  # switched off
            continue
        lines += ["", "[[datasets.subsets]]", f"image_dir = {_quoted(out / folder)}", 'caption_extension = ".txt"']
        if found is not None:
            lines.append(f"num_repeats = {found[0]}")
            lines += [f"class_tokens = {_quoted(found[1])}"] if found[1] else []
    return "dataset.toml", "\n".join(lines) + "\n"


def _musubi(dataset: CleanedDataset, out: Path) -> tuple[str, str]:
    """A folder with pictures and videos is there twice: musubi takes either for what its key names, and no others."""
    lines = ["[general]", 'caption_extension = ".txt"']
    kinds = {(image.name.rpartition("/")[0], suffix(image.name) in VIDEOS) for image in dataset.images}
    for folder, is_video in sorted(kinds):
        cache = out.parent / "cache" / ("videos" if is_video else "") / (folder or "images")
        lines += ["", "[[datasets]]", f"{'video' if is_video else 'image'}_directory = {_quoted(out / folder)}"]
        lines += [f"cache_directory = {_quoted(cache)}"]
        lines += ["# target_frames = [...]; without it, one frame of each video"] * is_video
    return "dataset.toml", "\n".join(lines) + "\n"


def _quoted(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)


def _ai_toolkit(dataset: CleanedDataset, out: Path) -> tuple[str, str]:
    folders = [{"folder_path": str(out / one), "caption_ext": "txt"} for one in _folders(dataset, "ai-toolkit")]
    content = {"config": {"process": [{"datasets": folders}]}}
    return "datasets.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _simpletuner(dataset: CleanedDataset, out: Path) -> tuple[str, str]:
    backends: list[dict[str, Any]] = [
        {
            "id": f"{out.name}-{folder}".replace("/", "-").rstrip("-"),
            "type": "local",
            "instance_data_dir": str(out / folder),
            "caption_strategy": "textfile",
        }
        for folder in _folders(dataset, "simpletuner")
    ]
    return "multidatabackend.json", json.dumps(backends, indent=2, ensure_ascii=False) + "\n"


_CONFIGURATIONS: dict[str, Callable[[CleanedDataset, Path], tuple[str, str]]] = {
    "kohya": _kohya,
    "musubi": _musubi,
    "ai-toolkit": _ai_toolkit,
    "simpletuner": _simpletuner,
}
