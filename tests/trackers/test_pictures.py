"""loss_logging.trackers.pictures, and the pictures of images in the trackers"""

from __future__ import annotations

import io
import logging
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loss_logging import LossLogger, TrainConfig
from loss_logging.reports.report import Job, LossReport, Picture, Summary, Worst, WorstItem
from loss_logging.trackers.memory import MemoryBackend
from loss_logging.trackers.pictures import PIXELS, PictureMaker

GO_ON = threading.Event()


def report(*paths: str | Path) -> LossReport:
    """A report in whose hard ranking there are these items."""
    worst = [WorstItem("d", str(path), "a cat", 1.0, 5, 0.5) for path in paths]
    return LossReport(
        job=Job("j", 1, "2026-01-01T00:00:00Z"),
        global_=Summary(1, 1.0, 1.0, 1.0, 1.0, 0.0, 0, {}),
        worst=Worst(hard=worst),
    )


def pictures(tmp_path: Path, *paths: str | Path, **config: Any) -> list[Picture]:
    return maker(tmp_path, **config).added_to(report(*paths)).pictures


def maker(tmp_path: Path, **config: Any) -> PictureMaker:
    config = TrainConfig(job_name="j", save_root=tmp_path, **config)
    config.records_dir.mkdir(parents=True, exist_ok=True)
    return PictureMaker(config)


def opened(picture: Picture) -> Image.Image:
    assert picture.image is not None, picture.reason
    image = Image.open(io.BytesIO(picture.image))
    image.load()
    return image


def write(path: Path, size: tuple[int, int] = (64, 48), colour: str = "red", **options: Any) -> Path:
    Image.new("RGB", size, colour).save(path, **options)
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(path: Path) -> Path:
    """A PNG of a few bytes that says that it has 60,000 x 60,000 pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1_000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_pictures_are_small_and_show_the_image(tmp_path: Path) -> None:
    """Every format gives a picture of the image, within the size, upright, in a few kilobytes even for noise."""
    noise = np.random.default_rng(0).integers(0, 256, (900, 1_200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    paths = [
        tmp_path / "noise.png",
        write(tmp_path / "wide.jpg", (800, 200), "blue"),
        write(tmp_path / "turned.jpg", (800, 200), exif=exif),
        write(tmp_path / "small.webp", (20, 10)),
    ]
    made = pictures(tmp_path, *paths)
    assert [opened(picture).size for picture in made] == [
        (PIXELS, 3 * PIXELS // 4),
        (PIXELS, PIXELS // 4),
        (PIXELS // 4, PIXELS),
        (20, 10),
    ]
    blue = opened(made[1]).convert("RGB").getpixel((5, 5))
    assert blue == pytest.approx((0, 0, 255), abs=8)
    assert max(len(picture.image or b"") for picture in made) < 40_000


def test_a_large_photo_is_decoded_small(tmp_path: Path) -> None:
    """A JPEG of 144 million pixels has a picture: it is decoded at an eighth of its size."""
    path = write(tmp_path / "large.jpg", (12_000, 12_000), quality=1)
    assert opened(pictures(tmp_path, path)[0]).size == (PIXELS, PIXELS)


def test_what_has_no_picture_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Missing, broken, huge and strange files have none, and a reason; one warning names the first of them."""
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (tmp_path / "text.jpg").write_text("hello")
    whole = write(tmp_path / "cut.jpg", (640, 480)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    paths = [
        tmp_path / "gone.png",
        tmp_path / "broken.png",
        tmp_path / "text.jpg",
        tmp_path / "cut.jpg",
        bomb(tmp_path / "bomb.png"),
        tmp_path,
        "https://example.org/cat.png",
        "a\0b",
        write(tmp_path / "good.png"),
    ]
    maker_ = maker(tmp_path)
    made = maker_.added_to(report(*paths)).pictures
    reasons = [picture.reason for picture in made]
    for reason, expected in zip(
        reasons,
        ["not found: looked for", "image", "not an image", "damaged", "too large", "folder", "not a file", "name", ""],
        strict=True,
    ):
        assert expected in reason
    assert [picture.image is None for picture in made] == [True] * 8 + [False]
    maker_.added_to(report(*paths))
    (warning,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert "8 of 9 items have no picture" in warning
    assert "gone.png" in warning


def test_data_that_are_no_images_are_no_trouble(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where no path is a file, nothing is warned about."""
    assert [picture.image for picture in pictures(tmp_path, "text-1", "text-2")] == [None, None]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_relative_paths_are_those_of_the_runs_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the page: not another picture of that name in the working directory; an absolute path stays."""
    (tmp_path / "photos").mkdir()
    write(tmp_path / "1.png", colour="red")
    write(tmp_path / "photos" / "1.png", colour="blue")
    monkeypatch.chdir(tmp_path)
    for images, colour in ((None, (255, 0, 0)), ("photos", (0, 0, 255)), (tmp_path / "photos", (0, 0, 255))):
        (found,) = pictures(tmp_path / "run", "1.png", images=images)
        assert np.allclose(opened(found).convert("RGB").getpixel((5, 5)), colour, atol=12)
    (found,) = pictures(tmp_path / "run", tmp_path / "1.png", images="photos")
    assert np.allclose(opened(found).convert("RGB").getpixel((5, 5)), (255, 0, 0), atol=12)
    (found,) = pictures(tmp_path / "run", "https://example.org/1.png", images="photos")
    assert found.image is None


def test_so_many_and_no_more(tmp_path: Path) -> None:
    """At most ``pictures`` of each ranking; 0 makes none, and looks at no file."""
    paths = [write(tmp_path / f"{i}.png") for i in range(5)]
    assert len(pictures(tmp_path, *paths, pictures={"most": 3})) == 3
    assert pictures(tmp_path, *paths, pictures={"most": 0}) == []


def test_the_same_picture_is_not_made_again(tmp_path: Path) -> None:
    """What the last report showed is kept, also when the file is gone by now."""
    path = write(tmp_path / "1.png")
    maker_ = maker(tmp_path)
    first = maker_.added_to(report(path)).pictures
    path.unlink()
    assert maker_.added_to(report(path)).pictures == first


def load(path: str, dataset: str) -> Any:
    """What the tests give as pictures.load."""
    if path == "slow":
        GO_ON.wait(30)
    results: dict[str, Callable[[], Any]] = {
        "pillow": lambda: Image.new("L", (300, 300), 128),
        "array": lambda: np.full((30, 40, 3), 200, np.uint8),
        "grey array": lambda: np.full((30, 40), 200, np.uint8),
        "bytes": lambda: dataset.encode() and _png(),
        "none": lambda: None,
        "raises": lambda: {}["no such item"],
        "nonsense": lambda: 5,
    }
    return results.get(path, lambda: path)()


def _png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (10, 10)).save(out, "PNG")
    return out.getvalue()


def test_load_image(tmp_path: Path) -> None:
    """It may give a Pillow image, an array, bytes, a path or nothing; what it raises is the reason."""
    file = write(tmp_path / "1.png")
    names = ["pillow", "array", "grey array", "bytes", str(file), "none", "raises", "nonsense"]
    made = pictures(tmp_path, *names, pictures={"load": "test_pictures:load"})
    assert [opened(picture).size for picture in made[:5]] == [(PIXELS, PIXELS), (40, 30), (40, 30), (10, 10), (64, 48)]
    assert [picture.image for picture in made[5:]] == [None] * 3
    assert "KeyError: 'no such item'" in made[6].reason
    assert made[7].reason


def test_a_slow_source_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A report goes out without the pictures that are not there in time, and the next one does not wait for them."""
    monkeypatch.setattr("loss_logging.trackers.pictures._SECONDS", 0.2)
    maker_ = maker(tmp_path, pictures={"load": "test_pictures:load"})
    assert [p.path for p in maker_.added_to(report("pillow", "slow", "array")).pictures] == ["pillow"]
    assert maker_.added_to(report("array")).pictures == []
    assert "takes so long" in caplog.text
    sys.modules["test_pictures"].GO_ON.set()  # load_image has imported this module under that name
    assert maker_._busy is not None
    maker_._busy.join()


def test_an_image_that_ends_the_process_does_so_once(tmp_path: Path) -> None:
    """A process that died while it made pictures leaves a mark, and the next one makes none."""
    config = {"job_name": "j", "save_root": str(tmp_path), "pictures": {"load": "dies:load"}}
    (tmp_path / "dies.py").write_text("import os\ndef load(path, dataset): os._exit(139)\n")
    code = (
        "from loss_logging import TrainConfig; from loss_logging.trackers.pictures import PictureMaker\n"
        "import test_pictures\n"
        f"config = TrainConfig.from_dict({config!r}); config.records_dir.mkdir(parents=True, exist_ok=True)\n"
        "print(len(PictureMaker(config).added_to(test_pictures.report('1')).pictures))"
    )
    path = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parent}:{Path(__file__).parents[2]}"}
    runs = [subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True) for _ in range(2)]
    assert runs[0].returncode == 139
    assert (runs[1].returncode, runs[1].stdout) == (0, "0\n"), runs[1].stderr


@pytest.mark.parametrize("reporter", ["process", "inline"])
def test_from_training_to_the_tracker(reporter: Any, tmp_path: Path) -> None:
    """A training run's worst items are pictured in TensorBoard, in a process as inline; not in the JSON."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    paths = [str(write(tmp_path / f"{i}.png", colour=colour)) for i, colour in enumerate(("red", "green", "blue"))]
    memory = MemoryBackend()  # lives in this process, as a writer of the trainer's does
    loggers = ["tensorboard", memory]
    with LossLogger(job_name="j", save_root=tmp_path / "run", loggers=loggers, reporter=reporter) as losses:
        losses.log_batch(1, [0.5, 0.75, 9.0], paths=paths, datasets="d", captions=["a cat on a sofa"] * 3)
        report = losses.save_step(1).result()
    assert report is not None
    assert b"pictures" not in report.read_bytes().split(b'"global"')[1]
    events = EventAccumulator(str(tmp_path / "run/loss_logging/tensorboard/j"), size_guidance={"images": 0})
    events.Reload()
    (forwarded,) = memory.reports
    assert [picture.path for picture in forwarded.pictures if picture.image] == paths[::-1]
    (event,) = events.Images("loss_logging/worst/hard")
    image = Image.open(io.BytesIO(event.encoded_image_string)).convert("RGB")
    assert image.size == (event.width, event.height)
    middle = image.getpixel((4 + PIXELS // 2, 4 + PIXELS // 2))
    assert middle == pytest.approx((0, 0, 255), abs=40)  # the worst one comes first
