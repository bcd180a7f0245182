"""loss_logging.evaluation.image_batches"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from waiting import wait_until

from loss_logging import evaluate_dataset
from loss_logging.captions.folder.read import CaptionedFile
from loss_logging.errors import LossLoggingError
from loss_logging.evaluation.image_batches import ImageBatches
from loss_logging.evaluation.selection import Item, Part, Selection


def picture(width: int = 20, height: int = 16, mode: str = "RGB") -> Image.Image:
    """Random pixels, the same in each call."""
    bands = {"RGB": 3, "L": 1, "RGBA": 4}[mode]
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, bands), dtype=np.uint8)
    return Image.fromarray(pixels[:, :, 0] if bands == 1 else pixels)


def write(folder: Path, names: str, **options: Any) -> list[CaptionedFile]:
    """Images of these names, and their entries."""
    for name in names.split():
        picture(**options).save(folder / name)
    return [CaptionedFile(str(folder / name), "d", f"caption of {name}") for name in names.split()]


def batches(files: list[CaptionedFile], folder: Path, **options: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """The batches, and the warnings."""
    read = ImageBatches(files, folder, **{"resolution": 8, "batch_size": 2} | options)
    return list(read), read.warnings


def test_batches(tmp_path: Path) -> None:
    """Images come in order with names, captions ("" for none) and datasets; the last batch is smaller."""
    files = [*write(tmp_path, "a.png b.jpg c.webp"), CaptionedFile(str(tmp_path / "a.png"), "e", None)]
    got, warnings = batches(files, tmp_path, batch_size=3)
    assert [batch["paths"] for batch in got] == [["a.png", "b.jpg", "c.webp"], ["a.png"]]
    assert got[0]["captions"][1] == "caption of b.jpg"
    assert (got[1]["captions"], got[1]["datasets"]) == ([""], ["e"])
    assert got[0]["pixel_values"].shape == (3, 3, 8, 8)
    assert got[0]["pixel_values"].dtype == torch.float32
    assert -1 <= got[0]["pixel_values"].min() < -0.5 < 0.5 < got[0]["pixel_values"].max() <= 1
    assert len(ImageBatches(files, tmp_path, 8, 3)) == 2
    assert warnings == []


def test_square_in_the_middle(tmp_path: Path) -> None:
    """The shorter side is scaled, the middle is kept, and SDXL is told the original size and the crop."""
    image = Image.new("RGB", (40, 16), "black")
    image.paste("white", (12, 0, 28, 16))
    image.save(tmp_path / "wide.png")
    file = CaptionedFile(str(tmp_path / "wide.png"), "d", "")
    for resolution in (16, 8):
        ((batch,), _) = batches([file], tmp_path, resolution=resolution)
        assert batch["original_sizes"].tolist() == [[16, 40]]
        assert batch["crop_top_lefts"].tolist() == [[0, 12 * resolution // 16]]
        assert batch["pixel_values"].mean() > 0.9


def test_orientation_and_transparency(tmp_path: Path) -> None:
    """A camera's orientation is applied, transparent pixels are white, and grey images get three channels."""
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by a quarter
    picture(20, 16).save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGBA", (16, 16), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    picture(mode="L").save(tmp_path / "grey.png")
    files = [CaptionedFile(str(tmp_path / name), "d", "") for name in ("turned.jpg", "clear.png", "grey.png")]
    ((batch,), _) = batches(files, tmp_path, batch_size=3)
    assert batch["original_sizes"][0].tolist() == [20, 16]
    assert batch["pixel_values"][1].tolist() == torch.ones(3, 8, 8).tolist()
    assert batch["pixel_values"].shape == (3, 3, 8, 8)


def test_a_picture_of_16_bits_is_not_white(tmp_path: Path) -> None:
    """Its losses are those of the same picture in 8 bits."""
    grey = picture(mode="L")
    grey.save(tmp_path / "grey.png")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(tmp_path / "deep.png")
    files = [CaptionedFile(str(tmp_path / name), "d", "") for name in ("grey.png", "deep.png")]
    ((batch,), _) = batches(files, tmp_path, batch_size=2)
    assert torch.equal(*batch["pixel_values"])


def test_images_that_do_not_open_are_named(tmp_path: Path) -> None:
    """They are left out, named with the reason and counted; batches are filled from what follows."""
    files = write(tmp_path, "a.png b.png c.png d.png")
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "c.png").write_bytes((tmp_path / "c.png").read_bytes()[:200])
    got, (warning,) = batches([*files, CaptionedFile(str(tmp_path / "gone.png"), "d", "")], tmp_path)
    assert [batch["paths"] for batch in got] == [["b.png", "d.png"]]
    assert warning.startswith(
        "3 of 5 images do not open and are not included: a.png (no image that Pillow knows), c.png"
    )
    assert "gone.png (No such file or directory)" in warning


def test_many_that_do_not_open(tmp_path: Path) -> None:
    """Ten are named, the others are counted; when none opens that is an error."""
    files = [CaptionedFile(str(tmp_path / f"{i:02d}.png"), "d", "") for i in range(15)]
    _, (warning,) = batches(files + write(tmp_path, "z.png"), tmp_path)
    assert warning.count("(No such file") == 10
    assert warning.endswith(", and 5 more")
    with pytest.raises(LossLoggingError, match="15 of 15 images do not open"):
        batches(files, tmp_path)


def test_most(tmp_path: Path) -> None:
    """No more images are opened than asked for, and those that do not open do not count."""
    files = [CaptionedFile(str(tmp_path / "gone.png"), "d", ""), *write(tmp_path, "a.png b.png c.png")]
    got, (warning,) = batches(files, tmp_path, most=2)
    assert [batch["paths"] for batch in got] == [["a.png", "b.png"]]
    assert warning.startswith("1 of 3 images")


@pytest.mark.parametrize("most", [None, 4, 2, 1])
def test_images_that_do_not_open_are_named_however_few_are_asked_for(tmp_path: Path, most: int | None) -> None:
    """An evaluation that stops after so many items reports those that it met, beside what its files were said to be."""
    files = write(tmp_path, "a.png b.png c.png d.png e.png f.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    loader = ImageBatches(files, tmp_path, 8, 2, warnings=["a sentence about the files"])
    report = evaluate_dataset(plain, loader, max_samples=most, progress=False)
    assert list(report.datasets["d"].item_stats) == ["a.png", "c.png", "d.png", "e.png", "f.png"][:most]
    first, second = report.warnings
    assert first == "a sentence about the files"
    assert re.match(r"1 of [3-6] images do not open and are not included: b\.png \(", second)


def plain(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """Records with a loss that is always the same."""
    named = zip(batch["paths"], batch["datasets"], batch["captions"], strict=True)
    return [{"path": path, "dataset": dataset, "caption": caption, "loss": 1.0} for path, dataset, caption in named]


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]), st.data())
@pytest.mark.filterwarnings("ignore")  # Pillow warns about what it then refuses or repairs
def test_damaged_files_never_raise(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    """A file that is cut and overwritten anywhere either opens or is named."""
    buffer = io.BytesIO()
    picture().save(buffer, kind)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.img"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    files = [CaptionedFile(str(damaged), "d", ""), *write(tmp_path, "sound.png")]
    ((batch,), warnings) = batches(files, tmp_path)
    assert len(batch["paths"]) + len(warnings) == 2


@pytest.mark.parametrize(("only", "opened"), [(False, 4), (True, 2)])
def test_the_next_batch_is_opened_meanwhile(tmp_path: Path, only: bool, opened: int) -> None:
    """But where it depends on what was computed which images are passed over."""
    asked: list[str] = []

    def files() -> Iterator[CaptionedFile]:
        for file in write(tmp_path, " ".join(f"{i}.png" for i in range(9))):
            asked.append(file.path)
            yield file

    loader = ImageBatches(files(), tmp_path, 8, 2)
    if only:
        loader.skips = lambda item, caption: False
    batches = iter(loader)
    assert next(batches)["paths"] == ["0.png", "1.png"]
    wait_until(lambda: len(asked) == opened)
    assert next(batches)["paths"] == ["2.png", "3.png"]


class Every(Part):
    """Computes all items but those that it keeps the figures of."""

    def __init__(self, kept: str) -> None:
        self.kept = kept.split()

    def computes(self, item: Item, caption: str | None) -> bool:
        return item.path not in self.kept

    def note_computed(self, item: Item) -> None:
        """Nothing more."""

    def restarted(self) -> Part:
        return self


@pytest.mark.parametrize(("kept", "computed"), [("", [0, 1, 2, 3]), ("1.png 2.png", [0, 3]), ("3.png", [0, 1, 2])])
def test_a_limit_holds_where_figures_are_kept(tmp_path: Path, kept: str, computed: list[int]) -> None:
    """Of the first 4 images all are computed but those that are kept, also the last of them, and no other is."""
    files = write(tmp_path, " ".join(f"{i}.png" for i in range(6)))
    selection = Selection(1.0, 4, 0, Every(kept))
    found = [path for batch in selection.take_from(ImageBatches(files, tmp_path, 8, 2)) for path in batch["paths"]]
    assert found == [f"{i}.png" for i in computed]
