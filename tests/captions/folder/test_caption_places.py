from __future__ import annotations

import os
from pathlib import Path

from captioned_folders import PNG, write

from loss_logging.captions.folder.caption_places import CaptionPlaces, images_with


def test_a_file_beside_the_image_comes_before_tables(tmp_path: Path) -> None:
    """The text beside it first, then JSON, then the table of its folder, then the one above."""
    folder = tmp_path / "data" / "cats"
    write(folder, {"1.png": PNG, "2.png": PNG, "3.png": PNG, "4.png": PNG, "5.png": PNG})
    write(folder, {"1.txt": "text", "1.json": '{"caption": "json"}', "2.json": '{"caption": "json"}'})
    rows = "".join(f'{{"file_name": "{i}.png", "text": "table"}}\n' for i in (1, 2, 3))
    write(folder, {"metadata.jsonl": rows})
    write(tmp_path / "data", {"captions.csv": "file_name,text\ncats/3.png,above\ncats/4.png,above\n"})
    places = CaptionPlaces()
    found = [places.of(folder / f"{i}.png") for i in range(1, 6)]
    assert [file.caption for file in found] == ["text", "json", "table", "above", None]
    assert [Path(file.source).name if file.source else None for file in found] == [
        *("1.txt", "2.json", "metadata.jsonl", "captions.csv", None)
    ]


def test_what_changed_on_disk_is_seen(tmp_path: Path) -> None:
    """A table that somebody has changed is read again; one that we wrote ourselves need not be."""
    write(tmp_path, {"1.png": PNG, "metadata.jsonl": '{"file_name": "1.png", "text": "a cat"}\n'})
    places, table = CaptionPlaces(), tmp_path / "metadata.jsonl"
    first = places.of(tmp_path / "1.png")
    assert first.caption == "a cat"
    table.write_text('{"file_name": "1.png", "text": "a small dog"}\n')
    assert places.of(tmp_path / "1.png").caption == "a small dog"
    status = table.stat()
    table.write_text('{"file_name": "1.png", "text": "a black dog"}\n')
    os.utime(table, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert places.of(tmp_path / "1.png").caption == "a small dog"  # not looked at
    table.write_text('{"file_name": "1.png", "text": "a horse"}\n')
    assert places.of(tmp_path / "1.png").caption == "a horse"


def test_images_that_share_a_caption_file(tmp_path: Path) -> None:
    """Those with the same name and another suffix, and nothing else."""
    write(tmp_path, {"1.png": PNG, "1.jpg": PNG, "1.txt": "a cat", "2.png": PNG, "1.svg": PNG})
    assert images_with(tmp_path / "1.png") == [tmp_path / "1.jpg"]
    assert images_with(tmp_path / "2.png") == []
