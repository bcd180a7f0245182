from __future__ import annotations

from pathlib import Path

import pytest
from checked_folders import bad_folder

from loss_logging.captions.decisions import Decisions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Good and bad captions, a table, and files that cannot be read."""
    return bad_folder(tmp_path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four pictures in two folders: one excluded with its mask, one corrected, two as they were."""
    folder = tmp_path / "photos"
    for name, text in {"cats/1": "a cat", "cats/2": "a dgo", "cats/3": "caf\xe9", "dogs/1": "a dog"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").write_bytes(name.encode())
        (folder / f"{name}.txt").write_bytes(text.encode("latin-1"))
    for name in ("1", "3"):
        (folder / f"cats/{name}-masklabel.png").write_bytes(b"mask")
    decisions = Decisions(folder)
    decisions.decide("cats/1.png", "exclude")
    decisions.decide("cats/2.png", "caption", caption="a dog", before="a dgo")
    return folder
