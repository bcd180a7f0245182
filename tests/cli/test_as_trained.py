from __future__ import annotations

import json
from pathlib import Path

from as_trained import KOHYA
from captioned_folders import PNG, write
from command import loss_logging

PAGE = (Path(__file__).parents[2] / "docs" / "trainer_captions.md").read_text("utf-8")


def test_the_page_shows_what_is_printed(tmp_path: Path) -> None:
    """The example is what the command prints."""
    folder = tmp_path / "photos"
    write(
        folder,
        {"10_sks dog/1.png": PNG, "10_sks dog/1.txt": "a dog asleep on a red sofa\nN/A", "10_sks dog/2.png": PNG},
    )
    write(folder, {"notes/3.png": PNG})
    done = loss_logging("check-captions", "photos", "--trainer", "kohya", "--as-trained", cwd=tmp_path)
    assert done.stdout in PAGE


def test_as_trained(tmp_path: Path) -> None:
    """It prints what each image is trained with; a folder of kohya's shape needs no trainer, others do."""
    write(tmp_path, {"10_dog/1.png": PNG, "10_dog/1.txt": "a cat\nmore", "10_dog/2.png": PNG, "x/3.png": PNG})
    done = loss_logging("check-captions", tmp_path, "--as-trained")
    assert done.stdout.splitlines() == [
        '10_dog/1.png: "a cat"',
        '10_dog/2.png: "dog"',
        "x/3.png: (kohya reads only folders named N_name, not those inside)",
    ]
    done = loss_logging("check-captions", tmp_path, "--as-trained", "--trainer", "ai-toolkit", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["captions"] for row in rows] == [["a cat\nmore"], [""], [""]]
    done = loss_logging("check-captions", tmp_path / "x", "--as-trained")
    assert done.returncode == 2
    assert "--trainer" in done.stderr
    write(tmp_path, {"data.toml": KOHYA.replace('"dogs"', '"10_dog"')})
    config = ("--trainer-config", tmp_path / "data.toml")
    done = loss_logging("check-captions", tmp_path / "10_dog", "--as-trained", *config)
    assert done.stdout.splitlines() == ['1.png: "photo, a cat" | "more"', '2.png: "photo, sks dog"']
    done = loss_logging("check-captions", tmp_path, "--as-trained", "--lines", "each")
    assert done.stdout.splitlines()[0] == '10_dog/1.png: "a cat" | "more"'
    assert loss_logging("check-captions", tmp_path / "x", "--lines", "each").returncode == 2
    done = loss_logging("check-captions", tmp_path, "--trainer", "onetrainr")
    assert done.returncode == 2
