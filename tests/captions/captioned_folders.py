"""Folders of captioned images, and what is read of them."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loss_logging.captions.folder.check import FolderCheck
from loss_logging.captions.folder.problems import FolderProblems
from loss_logging.captions.folder.read import CaptionedFile, read_captioned_folder

PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452") + random.Random(0).randbytes(2_000)
NOISE = random.Random(0)


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write the files, and the folders that they are in."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def read(path: Path, **options: Any) -> tuple[list[CaptionedFile], FolderProblems]:
    """Everything in the folder, and what is wrong with it."""
    problems = FolderProblems()
    return list(read_captioned_folder(path, problems=problems, **options)), problems


def captions(path: Path, *, expected: Mapping[str, int] = {}, **options: Any) -> dict[str, str | None]:
    """Path below the folder -> caption, of a folder without problems but for the expected ones."""
    files, problems = read(path, **options)
    assert kinds(problems) == expected
    below = path if path.is_dir() else path.parent
    return {Path(file.path).relative_to(below).as_posix(): file.caption for file in files}


def kinds(problems: FolderProblems) -> dict[str, int]:
    """Kind -> count."""
    return dict(problems.counts)


def image() -> bytes:
    """The bytes of an image that is like no other."""
    return bytes.fromhex("89504e470d0a1a0a") + NOISE.randbytes(200)


def rules(check: FolderCheck) -> Counter[str]:
    """How often each rule or problem is found."""
    return Counter(finding.rule for finding in check.findings())


def lines(*rows: dict[str, Any]) -> str:
    """JSON lines."""
    return "\n".join(map(json.dumps, rows))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
