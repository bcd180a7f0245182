"""What goes into the page, without a browser: figures, pictures, and runs that are not as they should be."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from example_run import write_run
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from loss_logging import LossLogger, TrainConfig, read_report
from loss_logging.captions.reason import FlaggedCaption, Reason
from loss_logging.errors import LossLoggingError
from loss_logging.pages.build import PageBuilder
from loss_logging.pages.content import sections
from loss_logging.pages.figures import NO_FIGURE
from loss_logging.pages.items import figures_block, items_block, worst_items
from loss_logging.pages.render import render
from loss_logging.records.log import RecordLog
from loss_logging.reports.report import DatasetReport, Job, LossReport, PairedItems, Summary
from loss_logging.runs.locate import find_run
from loss_logging.support.thumbnails import NoThumbnailError, Thumbnail, Thumbnails, thumbnail

ASSETS = Path(__file__).parents[2] / "loss_logging" / "pages" / "assets"
CONFIG = TrainConfig(job_name="job", save_root="runs", loggers=[])
EMPTY = Summary(0, None, None, None, None, None, 0, {})


@pytest.fixture
def copy(example: Path, tmp_path: Path) -> Path:
    """The example's folder without its pictures, to be damaged."""
    shutil.copytree(example / "loss_logging", tmp_path / "run" / "loss_logging")
    return tmp_path / "run"


def built(root: Path, **options: Any) -> str:
    return PageBuilder(find_run(root), **options).write().read_text("utf-8")


def block(page: str, name: str) -> Any:
    return json.loads(block_bytes(page, name))


def block_bytes(page: str, name: str) -> bytes:
    packed = re.search(rf'id="block-{name}">([^<]*)<', page)
    assert packed
    return gzip.decompress(b64decode(packed[1]))


def columns(page: str) -> dict[str, list[Any]]:
    """The table's data by column, as the page's script reads it."""
    return unpacked(block(page, "items"), block_bytes(page, "figures"))


def unpacked(items: Any, figures: bytes) -> dict[str, list[Any]]:
    found = dict(items["data"])
    found["dataset"] = once(found["dataset"])
    found["path"] = [a + b for a, b in zip(once(found["path"]["folder"]), found["path"]["name"], strict=True)]
    numbers = [column["name"] for column in items["columns"] if column["kind"] == "number"]
    planes = np.frombuffer(figures, np.uint8).reshape(len(numbers), 2, 2, items["rows"])
    for name, ((low, high), (low_power, high_power)) in zip(numbers, planes, strict=True):
        digits = (low + 256 * high.astype("u2")).astype("u2").view("i2").tolist()
        powers = (low_power + 256 * high_power.astype("u2")).astype("u2").view("i2").tolist()
        found[name] = [
            None if n == NO_FIGURE else n / 10.0**-power if power < 0 else n * 10.0**power
            for n, power in zip(digits, powers, strict=True)
        ]
    return found


def once(texts: Any) -> list[str]:
    return [texts["texts"][i] for i in texts["index"]]


def no_picture(_: str) -> Thumbnail:
    return Thumbnail(None, "none here")


# --- what the page holds ---------------------------------------------------------------------------------------------


def test_items_are_those_of_the_report(example: Path, page_file: Path) -> None:
    """Every item of the report is in the table's data, with what is compared to 4 digits, the rest to 3."""
    data = columns(page_file.read_text("utf-8"))
    report = read_report(example / "loss_logging" / "job_000000030.json")
    expected = {(name, path): item for name, d in report.datasets.items() for path, item in d.item_stats.items()}
    assert {*zip(data["dataset"], data["path"], strict=True)} == set(expected)
    for i, item in enumerate(zip(data["dataset"], data["path"], strict=True)):
        for field, rel, most in (
            ("count", 0, 0),
            ("average_loss", 5.1e-4, 0),
            ("std_loss", 5.1e-3, 0),
            ("hard", 5.1e-4, 5.1e-4),
            ("caption_mismatch", 5.1e-4, 5.1e-5),
        ):
            value = getattr(expected[item], field)
            assert data[field][i] == (None if value is None else pytest.approx(value, rel=rel, abs=most))


def test_the_loss_curve_is_that_of_the_log(example: Path, page_file: Path) -> None:
    """Number, mean and standard error of each dataset's losses at every step, whenever reports were saved."""
    charts = block(page_file.read_text("utf-8"), "charts")
    records = RecordLog(example / "loss_logging" / "records" / "job").read().to_pandas()
    assert charts["steps"] == list(range(1, 31))
    assert charts["window"] == 1
    for name, series in charts["datasets"].items():
        losses = records[records.dataset == name].groupby("step").loss
        assert series["loss"]["places"] is None, "it has a loss at every step"
        assert series["loss"]["n"] == losses.count().tolist()
        assert series["loss"]["means"] == pytest.approx(losses.mean().tolist(), rel=1e-3)
        assert series["loss"]["errors"] == pytest.approx(losses.sem().tolist(), rel=6e-2)
    overall = records.groupby("step").loss.mean().tolist()
    assert charts["overall"]["means"] == pytest.approx(overall, rel=1e-3)


def test_without_a_log_the_loss_curve_is_that_of_the_reports(copy: Path) -> None:
    """A point at each save step, the mean of what came since the one before."""
    records = RecordLog(copy / "loss_logging" / "records" / "job").read().to_pandas()
    shutil.rmtree(copy / "loss_logging" / "records")
    charts = block(built(copy), "charts")
    assert (charts["steps"], charts["window"]) == ([10, 20, 30], None)
    for name, series in charts["datasets"].items():
        for i, step in enumerate(charts["steps"]):
            chosen = records[(records.dataset == name) & (records.step > step - 10) & (records.step <= step)]
            assert series["loss"]["means"][i] == pytest.approx(chosen.loss.mean(), rel=1e-3)


def test_the_page_is_small(page_file: Path) -> None:
    """Under 3 MB with its libraries, without the pictures; a megabyte of caption is not carried along."""
    page = re.sub(r"data:image/webp;base64,[^\"]*", "", page_file.read_text("utf-8"))
    assert len(page) < 400_000


def test_libraries_are_as_published() -> None:
    """The libraries are byte for byte the files of their npm packages, and their licences are in the page."""
    published = {
        "tabulator.min.js": "ffac518cb793c672a2f0522b7fc80bf862234d96bb1e581c8aaf7f48f130eafa",
        "tabulator_simple.min.css": "edef8839235a4b6a8c3dc391ec93f2ce1bc633dd5270a5f990753b6f9183d32b",
        "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    }
    for name, digest in published.items():
        assert sha256((ASSETS / name).read_bytes()).hexdigest() == digest


def test_licences_are_in_the_page(page_file: Path) -> None:
    """Both libraries' names, versions and licence texts."""
    page = page_file.read_text("utf-8")
    for words in ("uPlot 1.6.32", "Tabulator 6.5.3", "Copyright (c) 2022 Leon Sorokin", "Oli Folkerd", "MIT License"):
        assert words in page


def test_a_field_that_nobody_described() -> None:
    """A figure that the report gains later is a column under its own name."""
    table = pa.table({"dataset": ["d"], "path": ["p"], "caption": ["c"], "new_z": [0.123456789]})
    items = items_block(table, 1)
    assert {"name": "new_z", "title": "New z", "help": "", "kind": "number", "shown": True} in items["columns"]
    assert unpacked(items, figures_block(table))["new_z"] == [0.1235]


@given(st.lists(st.floats(-1e300, 1e300) | st.sampled_from([np.nan, np.inf, -np.inf]), min_size=1))
def test_figures_are_rounded_to_four_digits(values: list[float]) -> None:
    """Whatever the figure: within half a unit of its fourth digit, or None when it is not finite."""
    table = pa.table({"dataset": ["d"] * len(values), "path": ["p"] * len(values), "loss": values})
    for value, shown in zip(values, unpacked(items_block(table, 1), figures_block(table))["loss"], strict=True):
        if np.isfinite(value):
            assert shown == pytest.approx(value, rel=5.1e-4, abs=1e-300)
        else:
            assert shown is None


@given(
    st.lists(st.tuples(st.none() | st.floats(-1, 1), st.none() | st.floats(-1, 1)), min_size=1, max_size=60),
    st.integers(1, 20),
    st.integers(1, 7),
)
def test_worst_items(figures: list[tuple[float | None, float | None]], most: int, batch: int) -> None:
    """At most so many items, each once, the wanted ones and the top of each ranking among them."""
    table = pa.table(
        {
            "dataset": ["d"] * len(figures),
            "path": [str(i) for i in range(len(figures))],
            "hard": pa.array([hard for hard, _ in figures], pa.float64()),
            "average_loss": pa.array([loss for _, loss in figures], pa.float64()),
        }
    )
    found, total = worst_items(table.to_batches(max_chunksize=batch), most, keep=["0"])
    paths = found["path"].to_pylist()
    assert total == len(figures)
    assert len(paths) == len(set(paths)) == min(most, len(figures))
    assert "0" in paths
    if most >= 3:
        for i in (0, 1):
            values = [figure[i] for figure in figures if figure[i] is not None]
            shown = [figures[int(path)][i] for path in paths if figures[int(path)][i] is not None]
            assert max(values, default=None) == max(shown, default=None)


def test_undecided_items_are_not_among_the_worst() -> None:
    """A caption_mismatch of fewer than 4 pairs ranks nowhere, however high it is."""
    table = pa.table(
        {
            "dataset": ["d"] * 9,
            "path": list("abcdefghi"),
            "caption_mismatch": [9.0, *[0.1] * 8],
            "n_paired": [3, *[4] * 8],
        }
    )
    found, _ = worst_items(table.to_batches(), 8)
    assert found["path"].to_pylist() == list("bcdefghi")


def test_undecided_items_are_counted() -> None:
    """The page says for how many items it is not known whether their caption hurts."""
    datasets = {name: DatasetReport(EMPTY, PairedItems(5, 2, 1, 0.0, 0.1)) for name in "ab"}
    report = LossReport(job=Job("job", 1, ""), global_=EMPTY, datasets=datasets)
    page = render([report], no_picture, [], {}, config=CONFIG, total=0, items_shown=0, served=False)
    assert "Decided for 10 items; undecided for 4, which have fewer than 4 pairs, and for 2 without any." in page


def test_items_left_out_are_counted(copy: Path) -> None:
    """A page with room for fewer items says how many it leaves out, and how to see them."""
    page = built(copy, most_items=50)
    assert "50 of 120 items" in page
    assert "70 are left out" in page
    assert "loss-logging view" in page
    assert block(page, "items")["rows"] == 50


def test_spans_are_marked() -> None:
    """What a rule objects to is marked, with some of the caption around it."""
    caption = f"{'before ' * 100}<unk>{' after' * 100}"
    start = caption.index("<unk>")
    reason = Reason("suspicious", "error", 1.0, "Contains '<unk>'.", (start, start + 5))
    flag = FlaggedCaption("p", "d", caption, 0.5, ["suspicious"], 1.0, "error", [reason])
    report = LossReport(job=Job("job", 1, ""), global_=EMPTY, flagged=[flag], flagged_summary={"suspicious": 3})
    (section,) = sections(report, no_picture)["flagged"]
    ((_, pieces, _),) = section.captions
    assert [piece.text for piece in pieces if piece.marked] == ["<unk>"]
    assert sum(len(piece.text) for piece in pieces) < 400
    assert (section.count, section.listed) == (3, 1)


def test_ten_thousand_datasets(tmp_path: Path) -> None:
    """The page shows those with the most records, says how many it leaves out, and stays small."""
    n = 10_000
    with LossLogger(job_name="job", save_root=tmp_path, loggers=[], reporter="inline", items="parquet") as losses:
        names = [f"dataset {i}" for i in range(n)]
        losses.log_batch(1, np.ones(n), paths=names, datasets=names, captions=["a cat on a sofa"] * n)
        losses.save_step(1).result(60)
    page = built(tmp_path)
    assert "9,500 are left out" in page
    assert len(page) < 2_000_000
    assert len(block(page, "charts")["datasets"]) == 500
    assert block(page, "items")["rows"] == n


# --- pictures --------------------------------------------------------------------------------------------------------


def saved(path: Path, size: tuple[int, int] = (40, 20), **options: Any) -> Path:
    Image.new("RGB", size, (200, 10, 10)).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif", "a.bmp", "a.tiff"])
def test_thumbnail(name: str, tmp_path: Path) -> None:
    """A small WebP of the same shape; small images are not enlarged."""
    data = thumbnail(str(saved(tmp_path / name, (400, 200))), pixels=64)
    (tmp_path / "out.webp").write_bytes(data)
    with Image.open(tmp_path / "out.webp") as image:
        assert image.size == (64, 32)


def test_a_turned_photograph_is_upright(tmp_path: Path) -> None:
    """The camera's note on which way is up is heeded."""
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "out.webp").write_bytes(thumbnail(str(saved(tmp_path / "a.jpg", (400, 200), exif=exif))))
    with Image.open(tmp_path / "out.webp") as image:
        assert image.height > image.width


def a_bomb(folder: Path) -> str:
    data = bytearray(saved(folder / "big.png").read_bytes())
    data[16:24] = struct.pack(">II", 30_000, 20_000)  # what its header says it holds
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (folder / "big.png").write_bytes(data)
    return str(folder / "big.png")


def a_pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return str(folder / "pipe")


def a_program(folder: Path) -> str:
    (folder / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EOF\n")
    return str(folder / "a.eps")


def cut_short(folder: Path) -> str:
    data = saved(folder / "a.png", (300, 300)).read_bytes()
    (folder / "a.png").write_bytes(data[: len(data) // 2])
    return str(folder / "a.png")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: str(folder / "none.png"), "not found: looked for"),
        (str, "not a file but a folder"),
        (a_pipe, "not a file but a folder or device"),
        (lambda _: "/dev/zero", "not a file but a folder or device"),
        (a_bomb, "too large"),
        (a_program, "not an image"),
        (cut_short, "damaged image"),
        (lambda _: "https://example.org/a.png", "not a file on this machine"),
        (lambda _: "s3://bucket/a.png", "not a file on this machine"),
        (lambda _: "file:///etc/passwd", "not a file on this machine"),
        (lambda _: "/etc/passwd", "not an image"),
        (lambda _: "../../../etc/passwd", "outside the current folder"),
        (lambda _: "a\0b", "not the name of a file"),
        (lambda _: "x" * 5_000, "File name too long"),
        (lambda _: "", "not a file but a folder"),
    ],
)
def test_no_thumbnail(make: Callable[[Path], str], reason: str, tmp_path: Path) -> None:
    """What is no picture that can be shown is refused in words, quickly and without following it anywhere."""
    path = make(tmp_path)
    with pytest.raises(NoThumbnailError, match=re.escape(reason)):
        thumbnail(path)


def test_nothing_outside_the_folder_is_opened(tmp_path: Path) -> None:
    """With a folder given, paths and links that lead out of it are refused; relative paths are found in it."""
    outside = saved(tmp_path / "outside.png")
    folder = tmp_path / "images"
    folder.mkdir()
    saved(folder / "a.png")
    (folder / "link.png").symlink_to(outside)
    assert thumbnail("a.png", folder=folder)
    assert thumbnail(str(folder / "a.png"), folder=folder)
    for path in (str(outside), "../outside.png", "link.png"):
        with pytest.raises(NoThumbnailError, match="outside"):
            thumbnail(path, folder=folder)


def test_pictures_are_capped_and_made_once(tmp_path: Path) -> None:
    """So many on a page, and none is made again for the next page."""
    paths = [str(saved(tmp_path / f"{i}.png")) for i in range(3)]
    thumbnails = Thumbnails(most=2)
    assert [thumbnails(path).uri is not None for path in paths] == [True, True, False]
    assert "only" in thumbnails(paths[2]).reason
    first = thumbnails(paths[0])
    Path(paths[0]).unlink()
    thumbnails.next_page()
    assert thumbnails(paths[0]) is first


# --- runs that are not as they should be -----------------------------------------------------------------------------


def test_a_report_of_another_version(copy: Path) -> None:
    """One that cannot be read is named, and the page is made of the others; with none left, that is the error."""
    path = copy / "loss_logging" / "job_000000030.json"
    path.write_text(path.read_text("utf-8").replace("loss_logging/report/2", "loss_logging/report/9", 1), "utf-8")
    page = built(copy)
    assert "job_000000030.json is left out" in page
    assert "loss_logging/report/9" in page
    assert "Save step 20" in page
    for step in (10, 20):
        (copy / "loss_logging" / f"job_0000000{step}.json").write_text("{", "utf-8")
    with pytest.raises(LossLoggingError, match=r"holds no report of 'job' that can be read: .*is left out"):
        built(copy)


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    """The page of a running job says that there is more to come; that of a finished one does not."""
    with LossLogger(job_name="job", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        for step in (1, 2):
            losses.log_batch(step, [0.5], paths=["a.png"], datasets="d", captions=["a cat on a sofa"])
            if step == 1:
                losses.save_step(step).result(60)
        page = built(tmp_path)
        assert "The run is still going on" in page
        assert "Save step 1," in page
    assert "The run is still going on" not in built(tmp_path)


def test_a_half_written_report(copy: Path) -> None:
    """A file that ends early is named; the temporary file of one that is being written is nobody's business."""
    path = copy / "loss_logging" / "job_000000030.json"
    path.write_bytes(path.read_bytes()[:1000])
    (copy / "loss_logging" / ".job_000000040.json.0a1b.tmp").write_text("{", "utf-8")
    page = built(copy)
    assert "job_000000030.json is left out" in page
    assert "Save step 20" in page


def test_without_the_log(copy: Path) -> None:
    """The reports alone make a page; it says that it has no histories."""
    shutil.rmtree(copy / "loss_logging" / "records")
    page = built(copy)
    assert "cannot show the history of an item" in page
    assert block(page, "histories") == {}
    assert block(page, "items")["rows"] == 120


def test_a_log_of_another_version(copy: Path) -> None:
    """The page is made of the reports, and says why it has no histories."""
    log = RecordLog(copy / "loss_logging" / "records" / "job")
    later = log.read().replace_schema_metadata({"loss_logging": "records/9"})
    pq.write_table(later, log.folder / "rank00000-000000900-000000900.parquet")
    page = built(copy)
    assert "cannot show the history of an item" in page
    assert "records/9" in page


def test_a_damaged_shard(copy: Path) -> None:
    """Histories come from the shards that can be read."""
    log = RecordLog(copy / "loss_logging" / "records" / "job")
    shard = log.files()[0]
    data = bytearray(shard.read_bytes())
    data[4:400] = bytes(396)
    shard.write_bytes(data)
    (shard.parent / "rank00000-000000900-000000900.parquet").write_bytes(b"PAR1")
    assert block(built(copy), "items")["rows"] == 120


def test_paths_that_are_not_there(copy: Path, tmp_path: Path) -> None:
    """Without the pictures, and with a folder that they are not in, every card says so."""
    page = built(copy, images=tmp_path / "run")
    assert "data:image/webp" not in page
    assert "outside" in page


@pytest.mark.parametrize(
    ("name", "job", "words"),
    [
        ("none", None, "none does not exist"),
        ("empty", None, "holds neither reports"),
        ("run", "other", "holds no run named 'other'; there are: job"),
        ("early", None, "holds no report of 'job' yet; the first one comes with its first save step"),
    ],
)
def test_what_is_wrong_is_said(name: str, job: str | None, words: str, copy: Path) -> None:
    """A folder that is not there, is empty, of another job, or of a run before its first save step: one sentence."""
    root = copy.parent
    (root / "empty").mkdir()
    shutil.copytree(copy / "loss_logging" / "records", root / "early" / "loss_logging" / "records")
    with pytest.raises(LossLoggingError, match=re.escape(words)):
        PageBuilder(find_run(root / name, job)).write()


def test_the_command_fails_in_a_sentence(tmp_path: Path) -> None:
    """Exit status 1, and no traceback."""
    done = loss_logging("html", "none", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "loss-logging: none does not exist; give the save_root of a run\n"


def test_the_command(copy: Path) -> None:
    """It prints where the page is, and --out takes it elsewhere."""
    for argument in ("run", "run/loss_logging/job_000000030.json", "run@30"):
        done = loss_logging("html", argument, "--out", "page.html", cwd=copy.parent)
        assert done.stdout == "page.html\n", done.stderr
        assert "Save step 30" in (copy.parent / "page.html").read_text("utf-8")
        (copy.parent / "page.html").unlink()


@pytest.mark.parametrize("argument", ["run@20", "run/loss_logging/job_000000020.json", "run/loss_logging@20"])
def test_the_page_of_an_earlier_step(argument: str, copy: Path) -> None:
    """It is the one that was there at that step, in a file of its own: nothing on it is later."""
    out_dir = copy / "loss_logging"
    early = copy.parent / "early"
    shutil.copytree(copy, early)
    for path in (early / "loss_logging").glob("job_*30*.json"):
        path.unlink()
    log = RecordLog(early / "loss_logging" / "records" / "job")
    log.truncate(20)
    expected = block(built(early), "histories")
    assert expected
    before = {path: path.read_bytes() for path in out_dir.glob("job.html")}
    done = loss_logging("html", argument, cwd=copy.parent)
    page = out_dir / "job_000000020.html"
    assert Path(done.stdout.strip()) == page, done.stderr
    text = page.read_text("utf-8")
    assert "Save step 20" in text
    assert "Save step 30" not in text
    assert max(block(text, "charts")["steps"]) == 20
    assert block(text, "histories") == expected
    assert {path: path.read_bytes() for path in out_dir.glob("job.html")} == before


def test_a_step_without_a_report(copy: Path) -> None:
    """Which ones there are is said, and the command that makes it."""
    done = loss_logging("html", "run@15", cwd=copy.parent)
    assert done.returncode == 1
    assert "holds no report of step 15; the last ones are of: 10, 20, 30" in done.stderr
    assert "loss-logging report" in done.stderr


def loss_logging(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from loss_logging.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=os.environ)


# --- while training --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reporter", ["inline", "process"])
def test_html_true(reporter: str, tmp_path: Path) -> None:
    """With ``html: true`` the page is there after each save step, and equal to the one that the command builds."""
    write_run(tmp_path, html=True, reporter=reporter)
    page = (tmp_path / "loss_logging" / "job.html").read_text("utf-8")
    assert "Save step 30" in page
    again = built(tmp_path)
    for name in ("charts", "histories"):
        assert block(page, name) == block(again, name)
    mine, theirs = (columns(text) for text in (page, again))
    assert set(mine) == set(theirs)
    # The report's JSON and the statistics have the items in different orders.
    rows = (zip(*(data[name] for name in mine), strict=True) for data in (mine, theirs))
    assert sorted(next(rows), key=repr) == sorted(next(rows), key=repr)


def test_a_page_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is warned about, and the reports and training are not touched."""
    (tmp_path / "loss_logging" / "job.html" / "in the way").mkdir(parents=True)
    write_run(tmp_path, html=True)
    assert "the report page of step 10 was not written" in caplog.text
    assert len(list((tmp_path / "loss_logging").glob("job_*.json"))) == 3


def test_an_earlier_page_is_archived_with_its_run(tmp_path: Path) -> None:
    """A new run of the same name does not leave the old one's page behind."""
    write_run(tmp_path, html=True)
    write_run(tmp_path, steps=(1,))
    assert not (tmp_path / "loss_logging" / "job.html").exists()
    assert len(list((tmp_path / "loss_logging").glob("archive/*/job.html"))) == 1


def test_a_report_without_anything(tmp_path: Path) -> None:
    """A run whose losses are all NaN has a page, too."""
    with LossLogger(job_name="job", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        losses.log_batch(1, [float("nan")], paths=["a.png"], datasets="d", captions=["a cat on a sofa"])
        losses.save_step(1).result(60)
    page = built(tmp_path)
    assert "Nothing to show" in page
    assert columns(page)["average_loss"] == [None]


def test_datasets_of_old_reports(tmp_path: Path) -> None:
    """A dataset that came later has no point at the save steps before."""
    reports = [
        LossReport(job=Job("job", step, ""), global_=EMPTY, datasets={name: DatasetReport(EMPTY) for name in names})
        for step, names in ((1, ["a"]), (2, ["a", "b"]))
    ]
    (tmp_path / "loss_logging").mkdir()
    for report in reports:
        path = tmp_path / "loss_logging" / f"job_{report.job.step:09d}.json"
        path.write_bytes(msgspec.json.encode(report))
    assert block(built(tmp_path), "charts")["datasets"]["b"]["loss"]["means"] == []


def test_the_document_is_true(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The document's configuration is one, and its query runs on a run's log."""
    text = (ASSETS.parents[2] / "docs" / "report_page.md").read_text("utf-8")
    (configuration,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert TrainConfig.from_dict(yaml.safe_load(configuration)).html
    (query,) = re.findall(r'duckdb -c "(.*)"', text)
    monkeypatch.chdir(example)
    with duckdb.connect() as connection:
        assert len(connection.execute(query.replace("runs/cats/", "").replace("/cats/", "/job/")).fetchall()) == 9
