"""Folders with good and bad captions, what is found in them, and how that is written."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from captioned_folders import NOISE, image

from loss_logging.captions.folder.check import FolderCheck
from loss_logging.captions.folder.formats import WRITERS


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write the captions, with an image beside each, and other files as they are."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        if path.suffix == ".txt":
            path.with_suffix(".png").write_bytes(image())
    return folder


def found(check: FolderCheck) -> set[tuple[str, str, str]]:
    """Severity, rule and path of what was found."""
    return {(finding.severity, finding.rule, finding.path) for finding in check.findings()}


def written(check: FolderCheck, output: str) -> str:
    """What was found, in a format."""
    out = io.StringIO()
    WRITERS[output](check, out)
    return out.getvalue()


HOSTILE = "=cmd|' /C calc'!A0 [bold]a[/] \x1b]0;t\x07 \u202e ::error::x\n%0A, \ud800 <unk>"


def tree(folder: Path) -> dict[str, bytes]:
    """Every file that is not a backup."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".captions-backup" not in str(path))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def bad_folder(folder: Path) -> Path:
    """Good and bad captions, a table, and files that cannot be read."""
    table = '{"file_name": "1.png", "text": "a horse <|endoftext|> on a hill"}\n{"file_name"\n'
    write(
        folder / "set",
        {
            "cats/1.txt": "a cat on a sofa\n",
            "cats/2.txt": "a cat on a chair\nbeside a <unk> lamp",
            "cats/3.txt": "untitled",
            "cats/4.txt": b"\x89PNG\r\n\x1a\n" + NOISE.randbytes(500),
            "cats/5.png": image(),
            "cats/6.txt": "un café crème à la fenêtre".encode("cp1252"),
            "table/metadata.jsonl": table,
            "table/1.png": image(),
        },
    )
    return folder / "set"
