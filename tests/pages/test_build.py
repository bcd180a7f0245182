"""What goes into the page, without a browser: figures, pictures, and runs that are not as they should be."""

from __future__ import annotations

import re
import shutil
from hashlib import sha256
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from built_pages import EMPTY, block, built, columns
from example_run import write_run

from loss_logging import LossLogger, TrainConfig, read_report
from loss_logging.errors import LossLoggingError
from loss_logging.pages.build import PageBuilder
from loss_logging.records.log import RecordLog
from loss_logging.reports.report import DatasetReport, Job, LossReport
from loss_logging.runs.locate import find_run

ASSETS = Path(__file__).parents[2] / "loss_logging" / "pages" / "assets"


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


def test_items_left_out_are_counted(copy: Path) -> None:
    """A page with room for fewer items says how many it leaves out, and how to see them."""
    page = built(copy, most_items=50)
    assert "50 of 120 items" in page
    assert "70 are left out" in page
    assert "loss-logging view" in page
    assert block(page, "items")["rows"] == 50


@pytest.mark.long
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


# --- while training --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reporter", ["process", pytest.param("inline", marks=pytest.mark.long)])
def test_html_true(reporter: str, tmp_path: Path) -> None:
    """With ``html: true`` the page is there after each save step, and equal to the one that the command builds."""
    write_run(tmp_path, html=True, reporter=reporter)
    page = (tmp_path / "loss_logging" / "job.html").read_text("utf-8")
    assert "Save step 30" in page
    again = built(tmp_path)
    for name in ("charts", "histories", "steps", "pictures"):
        assert block(page, name) == block(again, name)
    mine, theirs = (columns(text) for text in (page, again))
    assert set(mine) == set(theirs)
    # The report's JSON and the statistics have the items in different orders.
    rows = (zip(*(data[name] for name in mine), strict=True) for data in (mine, theirs))
    assert sorted(next(rows), key=repr) == sorted(next(rows), key=repr)


def test_a_save_step_opens_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its page is made with the queries of its report, and with the items of the page before."""
    opened: list[object] = []

    def connect(*arguments: object, **options: object) -> duckdb.DuckDBPyConnection:
        opened.append(arguments)
        return real(*arguments, **options)  # type: ignore[arg-type]

    real = duckdb.connect
    with LossLogger(job_name="job", save_root=tmp_path, loggers=[], reporter="inline", html=True) as losses:
        for step in (1, 2, 3):
            losses.log_batch(step, [0.5, step], paths=["a.png", "b.png"], datasets="d", captions=["a cat", "a dog"])
            losses.save_step(step).result()
            monkeypatch.setattr(duckdb, "connect", connect)
    assert not opened
    assert block((tmp_path / "loss_logging" / "job.html").read_text("utf-8"), "integers-1")["count"] == [1, 1]


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
