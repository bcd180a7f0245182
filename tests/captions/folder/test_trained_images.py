from __future__ import annotations

from pathlib import Path

import pytest
from as_trained import FAILS, SKIP, trained
from captioned_folders import PNG, read, write

from loss_logging.captions.folder.trained_images import class_tokens, numbered


@pytest.mark.parametrize(
    ("name", "found"), [("10_sks dog", (10, "sks dog")), ("3", (3, "")), ("0_off", (0, "off")), ("a_10", None)]
)
def test_a_folder_whose_name_counts(name: str, found: tuple[int, str] | None) -> None:
    """Repeats and the words behind them, as kohya takes them; other names are of nobody."""
    assert numbered(name) == found
    assert class_tokens(f"img/{name}") == ((found[1] or None) if found else None)


@pytest.mark.parametrize(
    ("trainer", "without"), [("kohya", "sks dog"), ("musubi", SKIP), ("ai-toolkit", ""), ("simpletuner", FAILS)]
)
def test_an_image_without_a_caption(tmp_path: Path, trainer: str, without: str) -> None:
    """Each trainer does something of its own with it: class tokens, left out, trained without, or an end."""
    folder = tmp_path / "10_sks dog" if trainer == "kohya" else tmp_path
    write(folder, {"1.png": PNG, "1.txt": "a dog", "2.png": PNG, "1.caption": "a dog"})
    assert trained(tmp_path, trainer) == {"1.png": "a dog", "2.png": without}


def test_a_blank_file_of_kohya_ends_the_training(tmp_path: Path) -> None:
    """A file of no byte is told as the error that it is."""
    write(tmp_path / "1_x", {"1.png": PNG, "1.caption": ""})
    problems = read(tmp_path, trainer="kohya")[1]
    assert problems.counts["empty_file"] == 1
