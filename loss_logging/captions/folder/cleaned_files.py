"""write_cleaned: a cleaned dataset on disk, in the layout and with the configuration of a trainer."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import yaml

from loss_logging.captions.folder.cleaned import CleanedDataset, CleanedImage
from loss_logging.captions.folder.trained_images import numbered
from loss_logging.captions.trainers import TRAINERS
from loss_logging.errors import ConfigError

__all__ = ["Layout", "check_out", "write_cleaned"]

Layout = Literal["kohya", "ai-toolkit", "musubi", "simpletuner", "imagefolder", "webdataset"]

_IN_SHARD = 10_000  # images

_APART: dict[str, str] = dict.fromkeys(("kohya", "musubi", "ai-toolkit"), "images")
"""By trainer that takes masks in a folder of images for images: the folder of those that are images."""


def check_out(folder: Path, out: Path) -> None:
    """Refuse a place in which the original would be touched.

    Raises:
        ConfigError: it holds something, or one of the two folders lies in the other.
    """
    here, there = folder.resolve(), out.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise ConfigError(f"--out is {out}; allowed: a folder outside of {folder}, and not above it")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out is {out}, which holds something; allowed: a new or an empty folder")


def write_cleaned(dataset: CleanedDataset, out: Path, layout: Layout) -> Path | None:
    """Write it, whole or not at all: images as hard links, else as soft links, captions as files of their own.

    Args:
        dataset: what `clean` says.
        out: a new or an empty folder, which `check_out` has found to be one.
        layout: who reads it.

    Returns:
        The trainer's configuration; None for layouts that have none.

    Raises:
        OSError: something cannot be written; then nothing is left in ``out``.
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
            (partial / name).write_text(text, "utf-8")
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
            beside.write_bytes(_encoded(image.caption))
    for one in dataset.companions:
        name = f"{one.kind}/{one.of}{Path(one.source).suffix}" if layout in _APART else one.name
        _link(one.source, out / name)


def _link(source: str, place: Path) -> None:
    """A link to the image itself, not to a link; a soft one where it lies on another disk."""
    place.parent.mkdir(parents=True, exist_ok=True)
    real = Path(source).resolve(strict=True)
    try:
        place.hardlink_to(real)
    except OSError:
        try:
            place.symlink_to(real)
        except OSError:
            shutil.copyfile(real, place)


def _encoded(caption: str) -> bytes:
    return caption.encode("utf-8", "surrogatepass")


def _write_metadata(dataset: CleanedDataset, out: Path) -> None:
    with (out / "metadata.jsonl").open("w", encoding="utf-8") as file:
        for image in dataset.images:
            row = {"file_name": image.name, "text": image.caption or ""}
            file.write(json.dumps(row) + "\n")


def _write_shards(dataset: CleanedDataset, out: Path) -> None:
    companions: dict[str, list[tuple[str, str]]] = {}
    for one in dataset.companions:
        companions.setdefault(one.of, []).append((one.source, f"{one.kind}{Path(one.source).suffix}"))
    for start in range(0, len(dataset.images), _IN_SHARD):
        with tarfile.open(out / f"{start // _IN_SHARD:06d}.tar", "w") as tar:
            for image in dataset.images[start : start + _IN_SHARD]:
                _add_to_shard(tar, image, companions.get(image.name.rpartition(".")[0], []))


def _add_to_shard(tar: tarfile.TarFile, image: CleanedImage, companions: list[tuple[str, str]]) -> None:
    folder, _, name = image.name.rpartition("/")
    stem = name.rpartition(".")[0].replace(".", "_")  # a key ends at its first dot
    key = f"{folder}/{stem}" if folder else stem
    members = [(Path(image.source).suffix[1:], Path(image.source).read_bytes())]
    if image.caption is not None:
        members.append(("txt", _encoded(image.caption)))
    members += [(ending, Path(source).read_bytes()) for source, ending in companions]
    for ending, data in members:
        info = tarfile.TarInfo(f"{key}.{ending}")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def _folders(dataset: CleanedDataset, layout: str) -> list[str]:
    """What the trainer is told of: the root where it looks into all folders, else each folder of images."""
    if TRAINERS[layout].folders == "all":
        return [""]
    return sorted({image.name.rpartition("/")[0] for image in dataset.images})


def _kohya(dataset: CleanedDataset, out: Path) -> tuple[str, str]:
    lines = ["[[datasets]]"]
    for folder in sorted({image.name.rpartition("/")[0] for image in dataset.images}):
        found = numbered(folder.rpartition("/")[2])
        if found is not None and found[0] == 0:  # switched off
            continue
        lines += ["", "[[datasets.subsets]]", f"image_dir = {_quoted(out / folder)}", 'caption_extension = ".txt"']
        if found is not None:
            lines.append(f"num_repeats = {found[0]}")
            lines += [f"class_tokens = {_quoted(found[1])}"] if found[1] else []
    return "dataset.toml", "\n".join(lines) + "\n"


def _musubi(dataset: CleanedDataset, out: Path) -> tuple[str, str]:
    lines = ["[general]", 'caption_extension = ".txt"']
    for folder in _folders(dataset, "musubi"):
        cache = out.parent / "cache" / (folder or "images")
        lines += ["", "[[datasets]]", f"image_directory = {_quoted(out / folder)}"]
        lines += [f"cache_directory = {_quoted(cache)}"]
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
