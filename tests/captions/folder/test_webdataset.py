from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

from captioned_folders import PNG

from loss_logging.captions.folder.webdataset import read_shard


def tar(path: Path, files: dict[str, bytes | str]) -> Path:
    """A tar file of these."""
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def archived(path: Path) -> dict[str, Any]:
    """Name in the tar file -> caption, or why it is left out."""
    images = list(read_shard(path, path.parent))
    return {image.path.partition("/")[2]: image.left_out if image.data is None else image.caption for image in images}


def test_names_with_dots_in_a_tar_file(tmp_path: Path) -> None:
    """Where nothing up to the first dot is an image, names end at the last dot; captions go with their own name."""
    files: dict[str, bytes | str] = {
        "scan 0.0.png": PNG,
        "scan 0.0.txt": "nought",
        "scan 0.1.PNG": PNG,
        "scan 0.1.txt": "one",
    }
    files |= {"b.left.jpg": PNG, "b.right.jpg": PNG, "b.txt": "both", "c.v2.webp": PNG, "c.v2.json": '{"caption": "c"}'}
    assert archived(tar(tmp_path / "0.tar", files)) == {
        "scan 0.0.png": "nought",
        "scan 0.1.PNG": "one",
        "b.left.jpg": "both",
        "b.right.jpg": "both",
        "c.v2.webp": "c",
    }


def test_nothing_in_a_tar_file_is_skipped_in_silence(tmp_path: Path) -> None:
    """What is no image of its own is given with the reason; an unknown suffix is left to Pillow."""
    files: dict[str, bytes | str] = {
        "1.png": PNG,
        "1.seg.png": PNG,
        "1.txt": "a cat",
        "2.txt": "no image",
        "3.jfif": PNG,
    }
    files |= {"4.png": PNG, "4.b.png": PNG, "4.txt": "four", "4.b.txt": "four b", "5.npy": b"xx", "5.json": "{}"}
    assert archived(tar(tmp_path / "0.tar", files)) == {
        "1.png": "a cat",
        "1.seg.png": "goes with 'png' of its sample",
        "2.txt": "there is no image of this name",
        "3.jfif": None,
        "4.png": "four",
        "4.b.png": "four b",
        "5.npy": None,
    }
