"""CleanedShard: a tar of a WebDataset after a person's decisions, and the writing of the new tar."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from loss_logging.captions.decisions import Decision, is_caption_in
from loss_logging.captions.folder.caption_files import captions_in
from loss_logging.captions.folder.decoding import BinaryDataError, TextDecoder
from loss_logging.captions.folder.folder_listing import is_companion, stem, suffix
from loss_logging.captions.folder.image_suffixes import IMAGES, TEXTS
from loss_logging.errors import LossLoggingError

__all__ = ["CleanedShard", "Correction", "clean_shard", "corrected", "encoded", "write_shard"]

_CAPTIONS = (*TEXTS, ".json")
_MOST_READ = 2**20  # bytes of a caption


class Correction(NamedTuple):
    """The old and the new caption of an image; ``path`` is relative to the folder."""

    path: str
    before: str
    caption: str


class CleanedShard(msgspec.Struct, frozen=True):
    """A tar that stays, without the excluded images.

    Args:
        source: the file of the tar.
        name: its relative path in the cleaned dataset, with ``/``.
        kept: the number of images that stay.
        excluded: the images that are left out, by their name in the tar.
        corrections: the corrected captions.
        replaced: the new content of files in the tar, by their name there.
        added: the captions of images that had none, by the name of the image.
        unsafe: files that are left out because they are links, or because their names lead outside the tar's folder.
        stale: images whose captions were changed after they were corrected.
        decided: the number of images with a decision.
    """

    source: str
    name: str
    kept: int
    excluded: tuple[str, ...] = ()
    corrections: tuple[Correction, ...] = ()
    replaced: dict[str, bytes] = {}
    added: dict[str, bytes] = {}
    unsafe: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    decided: int = 0


def corrected(found: Decision | None, now: str | None) -> tuple[str | None, bool]:
    """The new caption of an image, None if the caption stays; and whether the caption changed after a correction.

    >>> corrected(Decision(path="1.png", decision="caption", caption="a dog", before="a dgo"), "a dgo")
    ('a dog', False)
    >>> corrected(Decision(path="1.png", decision="caption", caption="a dog", before="a dgo"), "a wolf")
    (None, True)
    """
    if found is None or found.decision != "caption" or found.caption in (None, now):
        return None, False
    if found.before in (None, now or ""):
        return found.caption, False
    if is_caption_in(now, found.caption):  # a trainer may read one line of it
        return None, False
    return (found.caption, False) if is_caption_in(now, found.before) else (None, True)


def encoded(caption: str) -> bytes:
    """The bytes of a caption file."""
    return caption.encode("utf-8", "surrogatepass")


def clean_shard(path: Path, name: str, of: Callable[[str], Decision | None], wanted: set[str]) -> CleanedShard:
    """The content of a tar after the decisions; nothing is written.

    Args:
        path: the path of the tar.
        name: its name in the cleaned dataset.
        of: function from an image's name in the tar to the decision about it.
        wanted: names of images in the tar to leave out in any case.

    Raises:
        LossLoggingError: the file cannot be read to its end.
    """
    images, texts, unsafe = _content(path)
    excluded, stale, decided, corrections = [], [], 0, []
    replaced: dict[str, bytes] = {}
    added: dict[str, bytes] = {}
    for image in images:
        found = of(image)
        decided += found is not None or image in wanted
        if image in wanted or (found is not None and found.decision == "exclude"):
            excluded.append(image)
            continue
        beside, now = _caption(image, texts)
        caption, is_stale = corrected(found, now)
        stale += [image] if is_stale else []
        if caption is not None:
            corrections.append(Correction(f"{name}/{image}", now or "", caption))
            if beside is None:
                added[image] = encoded(caption)
            else:
                replaced[beside] = _with_caption(beside, texts[beside], now, caption)
    gone = {stem(image) for image in excluded}
    return CleanedShard(
        str(path),
        name,
        sum(gone.isdisjoint(_stems(image)) for image in images),
        tuple(excluded),
        tuple(corrections),
        replaced,
        added,
        tuple(unsafe),
        tuple(stale),
        decided,
    )


def write_shard(shard: CleanedShard, out: Path) -> None:
    """Write the new tar; the files that stay keep their bytes, order and headers.

    Raises:
        LossLoggingError: the old tar can no longer be read to its end.
        OSError: the new tar cannot be written.
    """
    gone = {stem(image) for image in shard.excluded}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out, "w:gz" if out.name.lower().endswith("gz") else "w") as new:
        for tar, member in _members(Path(shard.source)):
            if not _is_safe(member) or not gone.isdisjoint(_stems(member.name)):
                continue
            data = shard.replaced.get(member.name)
            _add(new, member, _data(tar, member) if data is None else data)
            if member.name in shard.added:  # beside its image, in one sample
                _add(new, tarfile.TarInfo(f"{stem(member.name)}.txt"), shard.added[member.name])


def _content(path: Path) -> tuple[list[str], dict[str, bytes], list[str]]:
    """The images of a tar, the files that may be captions, and the files that are left out."""
    images: list[str] = []
    texts: dict[str, bytes] = {}
    unsafe: list[str] = []
    for tar, member in _members(path):
        if not _is_safe(member):
            unsafe.append(member.name)
        elif suffix(member.name) in IMAGES:
            images.append(member.name)
        elif suffix(member.name) in _CAPTIONS:
            texts[member.name] = _data(tar, member) if member.size <= _MOST_READ else b""
    stems = {stem(image) for image in images}
    return [one for one in images if not is_companion(one, "", stems)], texts, unsafe


def _members(path: Path) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    with _told(path), tarfile.open(path) as tar:
        for member in tar:
            yield tar, member


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise LossLoggingError(f"{path} cannot be read as a tar to its end ({error}); copy or pack it again") from error


def _data(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    data = b"" if file is None else file.read()
    if len(data) != member.size:
        raise tarfile.ReadError(f"{member.name} has {len(data):,} of {member.size:,} bytes")
    return data


def _add(tar: tarfile.TarFile, member: tarfile.TarInfo, data: bytes) -> None:
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _is_safe(member: tarfile.TarInfo) -> bool:
    path = PurePosixPath(member.name)
    return (member.isfile() or member.isdir()) and not path.is_absolute() and ".." not in path.parts


def _stems(name: str) -> Iterator[str]:
    """Possible names of the image that a file belongs to: each part of the name that ends before a dot."""
    start = name.rfind("/") + 1
    while (start := name.find(".", start)) >= 0:
        yield name[:start]
        start += 1


def _caption(image: str, texts: dict[str, bytes]) -> tuple[str | None, str | None]:
    """The file of an image's caption, and its text; None if there is none."""
    for ending in _CAPTIONS:
        beside = f"{stem(image)}{ending}"
        if beside not in texts:
            continue
        try:
            text = TextDecoder().decode(texts[beside]).text
            found = captions_in(json.loads(text)) if ending == ".json" else [_without_line_end(text)]
        except (BinaryDataError, ValueError):
            continue
        if found:
            return beside, found[0]
    text = f"{stem(image)}.txt"  # an unreadable file
    return text if text in texts else None, None


def _without_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _with_caption(name: str, data: bytes, before: str | None, caption: str) -> bytes:
    """A caption file with another caption; in JSON, all other values stay."""
    if not name.endswith(".json"):
        return encoded(caption)
    content = json.loads(TextDecoder().decode(data).text)
    for key, value in content.items():
        if value == before:
            content[key] = caption
        elif isinstance(value, list) and before in value:
            content[key] = [caption if one == before else one for one in value]
    return encoded(json.dumps(content, ensure_ascii=False))
