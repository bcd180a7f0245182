"""loss_logging/captions/folder/caption_writer.py: a caption goes back to where it was read, and nothing else changes"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from captioned_folders import image, read, write

from loss_logging.captions.folder.caption_writer import CaptionWriter
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.kept_files import ConflictError, NotWrittenError
from loss_logging.captions.folder.read import read_captioned_folder

NEW = 'a "grey" café, seen at night; with a dog'


def parquet(rows: list[dict[str, object]], **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out, **options)
    return out.getvalue()


ROWS = [{"file_name": f"{i}.png", "rating": i / 3, "text": f"a cat, number {i}"} for i in range(1, 5)]
LAYOUTS: dict[str, dict[str, str | bytes]] = {
    "txt": {f"{i}.txt": f"a cat, number {i}\n" for i in range(1, 5)},
    "txt without line end": {f"{i}.txt": f"a cat, number {i}" for i in range(1, 5)},
    "txt of Windows": {f"{i}.txt": f"\ufeffa cat, number {i}\r\n" for i in range(1, 5)},
    "txt in UTF-16": {f"{i}.txt": f"a cat, number {i}\r\n".encode("utf-16") for i in range(1, 5)},
    "txt in Latin-1": {f"{i}.txt": f"une fenêtre à côté du café, numéro {i}\n".encode("latin-1") for i in range(1, 5)},
    "caption": {f"{i}.caption": f"a cat, number {i}\n" for i in range(1, 5)},
    "several lines": {f"{i}.txt": f"a cat,\r\n  number {i}\r\n" for i in range(1, 5)},
    "json beside": {f"{i}.json": json.dumps({"rating": 1.50, "caption": f"a cat, number {i}"}) for i in range(1, 5)},
    "jsonl": {"metadata.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS)},
    "jsonl with mark": {"metadata.jsonl": "\ufeff" + "".join(json.dumps(row) + "\r\n" for row in ROWS)},
    "jsonl in UTF-16": {"metadata.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode("utf-16")},
    "jsonl of lists": {"metadata.jsonl": "\n".join(json.dumps(row | {"text": ["a pet", row["text"]]}) for row in ROWS)},
    "csv": {
        "metadata.csv": "file_name,note,text\n"
        + "".join(f'{i}.png,"a ""b""\n c","a cat, number {i}"\n' for i in range(1, 5))
    },
    "csv of Excel": {
        "metadata.csv": "\ufeffsep=;\r\nfile_name;text;x\r\n"
        + "".join(f"{i}.png;a cat, number {i};\r\n" for i in range(1, 5))
    },
    "tsv": {"captions.tsv": "image\tcaption\n" + "".join(f"{i}.png\ta cat, number {i}\n" for i in range(1, 5))},
    "json table": {"captions.json": json.dumps(ROWS, indent=2)},
    "json map": {"captions.json": json.dumps({f"{i}.png": f"a cat, number {i}" for i in range(1, 5)})},
    "kohya": {
        "meta_cap.json": json.dumps({f"{i}": {"caption": f"a cat, number {i}", "size": [1, 2]} for i in range(1, 5)})
    },
    "parquet": {"metadata.parquet": parquet(ROWS, row_group_size=2, compression="zstd")},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_back_to_where_it_came_from(layout: str, tmp_path: Path) -> None:
    """In every layout the caption of one image changes, what was there is kept, and every other byte stays."""
    write(tmp_path, {f"{i}.png": image() for i in range(1, 5)} | LAYOUTS[layout])
    before, _ = read(tmp_path)
    place = max(i for i, file in enumerate(before) if file.path.endswith("3.png"))
    new = NEW.replace("é", "ê") + ("\nand a bird" if layout == "several lines" else "")
    raw = Path(before[place].source or "").read_bytes()
    source = CaptionWriter(tmp_path).write(before[place], new)
    assert source is not None
    after, _ = read(tmp_path)
    changed = [i for i, (old, now) in enumerate(zip(before, after, strict=True)) if old != now]
    assert changed == [place]
    assert (after[place].caption or "").replace("\r\n", "\n") == new
    (backup,) = tmp_path.glob(f".captions-backup-*/{source.name}")
    assert backup.read_bytes() == raw
    if layout == "parquet":
        old, now = pq.ParquetFile(backup), pq.ParquetFile(source)
        assert now.schema_arrow.equals(old.schema_arrow, check_metadata=True)
        assert now.num_row_groups == old.num_row_groups
        assert now.read(["file_name", "rating"]) == old.read(["file_name", "rating"])
        assert now.metadata.row_group(0).column(0).compression == "ZSTD"
        return
    changed_to = source.read_bytes()
    kept = common(raw, changed_to) + common(raw[::-1], changed_to[::-1])
    assert len(raw) - kept <= 8 * len(before[place].caption or ""), "only the caption changed"


def common(one: bytes, other: bytes) -> int:
    """How many bytes two texts begin with alike."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_changed_since_is_never_overwritten(layout: str, tmp_path: Path) -> None:
    """Where a file says something else by now, it is left alone and the conflict is said; so it is where it is gone."""
    write(tmp_path, {f"{i}.png": image() for i in range(1, 5)} | LAYOUTS[layout])
    files, _ = read(tmp_path)
    file = [file for file in files if file.path.endswith("3.png")][-1]
    CaptionWriter(tmp_path).write(file, "a horse")
    raw = Path(file.source or "").read_bytes()
    with pytest.raises(ConflictError, match=r"changed by somebody else since it was read"):
        CaptionWriter(tmp_path).write(file, NEW)
    assert Path(file.source or "").read_bytes() == raw
    Path(file.source or "").unlink()
    with pytest.raises(ConflictError, match=r"no longer there"):
        CaptionWriter(tmp_path).write(file, NEW)
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_line_that_came_before(tmp_path: Path) -> None:
    """A table to which somebody has added a line is a conflict, and not the wrong row of it changed."""
    write(tmp_path, {f"{i}.png": image() for i in range(1, 5)} | LAYOUTS["jsonl"])
    files, _ = read(tmp_path)
    table = tmp_path / "metadata.jsonl"
    table.write_text('{"file_name": "0.png", "text": "a cat, number 3"}\n' + table.read_text())
    with pytest.raises(ConflictError):
        CaptionWriter(tmp_path).write(files[2], NEW)


def test_an_image_without_a_caption(tmp_path: Path) -> None:
    """It gets a file beside it; one that somebody has made meanwhile is a conflict."""
    write(tmp_path, {"1.png": image(), "2.png": image(), "2.txt": "a dog"})
    file = next(file for file in read_captioned_folder(tmp_path) if file.source is None)
    writer = CaptionWriter(tmp_path)
    writer.write(file, "a cat")
    assert (tmp_path / "1.txt").read_text() == "a cat\n"
    written = CaptionedFile(file.path, "d", "a cat", str(tmp_path / "1.txt"))
    (tmp_path / "1.txt").write_text("a lion\n")
    with pytest.raises(ConflictError):
        writer.write(written, None)
    (tmp_path / "1.txt").write_text("a cat\n")
    writer.write(written, None)
    assert not (tmp_path / "1.txt").exists()
    writer.write(file, "a cat")
    with pytest.raises(ConflictError, match="exists by now"):
        CaptionWriter(tmp_path).write(file, "a bird")


@pytest.mark.parametrize("caption", ["word " * 200_000, "a\0cat", "\ud83d cat", "\x1b[31mred"])
def test_what_is_no_caption(caption: str, tmp_path: Path) -> None:
    """A megabyte, half a character and control characters are refused before anything is touched."""
    write(tmp_path, {"1.png": image(), "1.txt": "a cat"})
    (file,) = read_captioned_folder(tmp_path)
    with pytest.raises(NotWrittenError, match="caption"):
        CaptionWriter(tmp_path).write(file, caption)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["1.png", "1.txt"]


def test_an_archive(tmp_path: Path) -> None:
    """A tar says that it cannot be edited, and what to do instead."""
    file = CaptionedFile(str(tmp_path / "0001.tar" / "1.png"), "d", "a cat")
    with pytest.raises(NotWrittenError, match="write a new tar with loss-logging apply"):
        CaptionWriter(tmp_path).write(file, "a dog")


FULL = """
import resource, signal, sys
from loss_logging.captions.folder.caption_writer import CaptionWriter
from loss_logging.captions.folder.read import read_captioned_folder
from loss_logging.errors import LossLoggingError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from pathlib import Path
*_, file = read_captioned_folder(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    CaptionWriter(Path(sys.argv[1])).write(file, "a horse " * 20)
except LossLoggingError as error:
    print(error)
"""


@pytest.mark.parametrize("layout", ["txt", "jsonl", "csv", "parquet"])
def test_a_full_disk(layout: str, tmp_path: Path) -> None:
    """Where there is no room the old file stays, whole, and nothing is left beside it."""
    write(tmp_path, {f"{i}.png": image() for i in range(1, 5)} | LAYOUTS[layout])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "stays as it was: File too large" in done.stdout
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_memory_is_flat(tmp_path: Path) -> None:
    """A table of 64 MB takes no more memory than one of 2 MB."""
    peaks = []
    for megabytes in (2, 64):
        line = json.dumps({"file_name": "1.png", "text": "a cat " * 160}) + "\n"
        table = tmp_path / "metadata.jsonl"
        lines = megabytes * 2**20 // len(line)
        table.write_text(line * lines)
        file = CaptionedFile(str(tmp_path / "1.png"), "d", "a cat " * 160, str(table), lines - 5)
        tracemalloc.start()
        CaptionWriter(tmp_path).write(file, "a dog")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert table.read_text().count("a dog") == 1
    assert peaks[1] < peaks[0] + 2**20
