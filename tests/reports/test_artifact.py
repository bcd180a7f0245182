"""loss_logging/reports/artifact.py: JSON, CSV and Parquet of real runs, read back."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from helpers import HOSTILE, examples, record, strict_json
from hypothesis import given, settings
from hypothesis import strategies as st
from item_reports import save_pairs

from loss_logging import LossLogger, read_report
from loss_logging.reports.artifact import ReportError, read_without_items, report_schema, write_csv, write_report
from loss_logging.reports.compare import compare_reports
from loss_logging.reports.items import read_items
from loss_logging.reports.report import DatasetReport, ItemStats, Job, LossReport, Summary, Verdicts

EMPTY = Summary(count=0, mean=None, median=None, min=None, max=None, std=None, non_finite=0, quantiles={})
REPORT = LossReport(job=Job("cats", 1, "2024-01-01T00:00:00+00:00"), global_=EMPTY)


def run(folder: Path, records: list[dict[str, Any]], **options: Any) -> Path:
    """The JSON of a run of one step."""
    with LossLogger(job_name="j", save_root=folder, loggers=[], reporter="inline", **options) as losses:
        losses.log_records(1, records)
        path = losses.save_step(1).result()
    assert path is not None
    return path


def escaped(text: str) -> str:
    """The text as UTF-8 can hold it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def test_the_shipped_schema_is_the_structs() -> None:
    """The file that others validate with is what the code writes by."""
    shipped = json.loads(files("loss_logging").joinpath("report.schema.json").read_text(encoding="utf-8"))
    assert shipped == report_schema()


TEXTS = st.sampled_from([text for text in HOSTILE if len(text) < 1000]) | st.text(max_size=8)
LOSSES = st.floats() | st.sampled_from([math.nan, math.inf, 1.7e308, -1.7e308, 5e-324])


@settings(deadline=None, max_examples=examples(40))
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "path": TEXTS,
                "dataset": TEXTS,
                "caption": TEXTS,
                "loss": LOSSES,
                "timestep": st.none() | st.floats(),
                "loss_empty": st.none() | LOSSES,
            }
        ),
        max_size=12,
    )
)
def test_any_records_make_a_valid_report(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]
) -> None:
    """Strict JSON that satisfies the schema, and that read_report reads with every item in it."""
    path = run(tmp_path_factory.mktemp("run"), records)
    data = strict_json(path)
    assert data["global"]["count"] == len(records)
    report = read_report(path)
    assert report.json_path == str(path)
    expected = {(escaped(row["dataset"]) or "unknown", escaped(row["path"])) for row in records}
    assert {(name, item) for name, one in report.datasets.items() for item in one.item_stats} == expected
    again = msgspec.json.decode(msgspec.json.encode(report))
    assert {key: again[key] for key in data} == data


def test_verdicts_are_in_the_report(tmp_path: Path) -> None:
    """Each item has its verdict, and how many have which is said for each dataset and for all; the schema holds."""
    path = save_pairs(tmp_path, wrong=6, items=80)
    data = strict_json(path)
    assert data["schema"] == "loss_logging/report/2"
    for report in (read_report(path), read_without_items(path)):
        assert report.verdicts == Verdicts(6, 0, 74, 0)
        assert report.datasets["cats"].verdicts == report.datasets["dogs"].verdicts == Verdicts(3, 0, 37, 0)
        assert [item.verdict for item in report.worst.caption_mismatch[:7]] == ["very likely wrong"] * 6 + [
            "no sign of it"
        ]
    items = data["datasets"]["cats"]["item_stats"]
    assert items["001.png"]["verdict"] == "very likely wrong"
    assert "p_wrong" not in items["001.png"]  # at its default it is left out


def test_reports_of_before_are_read(tmp_path: Path) -> None:
    """A report of schema 1, which knows no verdicts, is read with every figure that it has."""
    path = save_pairs(tmp_path, wrong=2, items=40)
    now = read_report(path)
    data = json.loads(path.read_bytes())
    data["schema"] = "loss_logging/report/1"
    del data["verdicts"]
    new = ("verdict", "p_wrong", "p_odd", "word", "better_word")
    for dataset in data["datasets"].values():
        del dataset["verdicts"]
        for item in dataset["item_stats"].values():
            for name in new:
                item.pop(name, None)
    for ranking in data["worst"].values():
        for item in ranking:
            for name in new:
                del item[name]
    path.write_text(json.dumps(data), "utf-8")
    before, without_items = read_report(path), read_without_items(path)
    assert before.verdicts is None is without_items.verdicts
    assert before.datasets["cats"].item_stats["001.png"] == msgspec.structs.replace(
        now.datasets["cats"].item_stats["001.png"], **dict.fromkeys(new)
    )
    assert len(before.suspects) == len(now.worst.caption_mismatch)  # nobody has judged: the whole ranking
    assert not any("/verdicts/" in name for name in before.scalars)
    assert compare_reports(path, path).overall.change == 0
    assert sum(batch.num_rows for batch in read_items(path)) == 40


def test_trackers_get_verdicts(tmp_path: Path) -> None:
    """One number per bin and dataset, and of the ranking the captions that are wrong or to look at."""
    report = read_report(save_pairs(tmp_path, wrong=6, items=80))
    assert {name: value for name, value in report.scalars.items() if "/verdicts/" in name} == {
        f"loss_logging/verdicts/{name}/{dataset}": float(n)
        for name, n in (("very_likely_wrong", 3), ("look_at", 0), ("undecided", 0))
        for dataset in ("cats", "dogs")
    }
    table = report.tables["loss_logging/worst/caption_mismatch"]
    assert [row[table.columns.index("verdict")] for row in table.rows] == ["very likely wrong"] * 6
    clean = read_report(save_pairs(tmp_path / "clean", wrong=0, items=80))
    assert "loss_logging/worst/caption_mismatch" not in clean.tables


def test_hostile_texts_round_trip(tmp_path: Path) -> None:
    """Paths, datasets and captions of any text come back as they were, with surrogates as visible escapes."""
    records = [record(path=f"{text}.png", dataset=text, caption=text, loss=i) for i, text in enumerate(HOSTILE)]
    report = read_report(run(tmp_path, records))
    for i, text in enumerate(map(escaped, HOSTILE)):
        item = report.datasets[text].item_stats[f"{text}.png"]
        assert (item.caption, item.average_loss) == (text, float(i))
    assert {top.path for top in report.global_.top_k} == {f"{escaped(text)}.png" for text in HOSTILE}


def test_many_items_of_many_datasets(tmp_path: Path) -> None:
    """Batches of the stream end anywhere; every item is in its own dataset once."""
    records = [record(path=f"{i:05}", dataset=f"d{i % 7}", loss=float(i)) for i in range(9000)]
    records += [record(path="alone", dataset=name) for name in ("a", "z")]
    report = read_report(run(tmp_path, records))
    assert sum(len(dataset.item_stats) for dataset in report.datasets.values()) == 9002
    assert list(report.datasets) == ["a", *(f"d{i}" for i in range(7)), "z"]
    for i in range(7):
        items = report.datasets[f"d{i}"].item_stats
        assert sorted(items) == [f"{n:05}" for n in range(i, 9000, 7)]
        assert all(item.average_loss == float(path) for path, item in items.items())


# --- CSV ------------------------------------------------------------------------------------------------------------

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]


def test_csv_holds_every_item(tmp_path: Path) -> None:
    """A CSV reader gets every text and figure back; a text that would run as a formula has an apostrophe in front."""
    texts = [*HOSTILE, *FORMULAS, "plain", "a=1"]
    if sys.version_info < (3, 11):  # whose csv module reads no NUL
        texts = [text for text in texts if "\0" not in text]
    records = [record(path=text, dataset=text, caption=text, loss=-float(i)) for i, text in enumerate(texts)]
    report = read_report(run(tmp_path, records))
    write_csv(tmp_path / "items.csv", report.datasets)
    csv.field_size_limit(2_000_000)
    with (tmp_path / "items.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["dataset"]: row for row in csv.DictReader(file)}
    assert len(rows) == len(texts)
    for i, text in enumerate(map(escaped, texts)):
        cell = f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
        row = rows[cell]
        assert (row["path"], row["caption"], float(row["average_loss"])) == (cell, cell, -float(i))
        assert row["caption_mismatch"] == ""


# --- Parquet --------------------------------------------------------------------------------------------------------


def test_items_in_parquet(tmp_path: Path) -> None:
    """The items are in the Parquet file beside the JSON, the same figures, and not in the JSON."""
    rows = [record(path=f"{i:05}", loss=float(i)) for i in range(5000)]
    in_json = read_report(run(tmp_path / "json", rows))
    path = run(tmp_path / "parquet", rows, items="parquet")
    assert all(dataset["item_stats"] == {} for dataset in strict_json(path)["datasets"].values())
    table = pq.read_table(path.with_suffix(".items.parquet"))
    items = [item for dataset in in_json.datasets.values() for item in dataset.item_stats.items()]
    found = zip(table["path"].to_pylist(), table["average_loss"].to_pylist(), strict=True)
    assert sorted(found) == sorted((name, item.average_loss) for name, item in items)


def test_no_items_in_parquet(tmp_path: Path) -> None:
    """A run without records yet has a report as well."""
    assert strict_json(run(tmp_path, [], items="parquet"))["datasets"] == {}


# --- trouble --------------------------------------------------------------------------------------------------------


def _breaking(at: int) -> Iterator[tuple[str, bytes]]:
    figures = msgspec.json.encode(ItemStats(1, *[0.5] * 7, ""))
    for n in range(at):
        yield "d", b'"%d":%b' % (n, figures)
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("at", [0, 1, 3])
def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, at: int) -> None:
    """A reader sees the whole old file; nothing half-written stays behind."""
    path = tmp_path / "cats_000000001.json"
    report = msgspec.structs.replace(REPORT, datasets={"d": DatasetReport(EMPTY)})
    write_report(path, report)
    before = path.read_bytes()
    with pytest.raises(OSError, match="No space left"):
        write_report(path, report, _breaking(at))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_killed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """Ended between two batches, as by SIGKILL, the file under the name is still the old one."""
    path = tmp_path / "cats_000000001.json"
    report = msgspec.structs.replace(REPORT, datasets={"d": DatasetReport(EMPTY)})
    write_report(path, report)
    before = path.read_bytes()

    def die() -> Iterator[tuple[str, bytes]]:
        os._exit(9)
        yield

    child = os.fork()
    if child == 0:
        write_report(path, report, die())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert path.read_bytes() == before
    assert read_report(path).job.name == "cats"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is no loss report"),
        (b"{", "is no loss report"),
        (b"[]", "is no loss report"),
        (b"null", "is no loss report"),
        (b"\xff\xfe{}", "is no loss report"),
        (b'{"a": 1}', "is no loss report.*schema"),
        (b'{"schema": 3}', "is no loss report"),
        (b'{"schema": "loss_logging/report/3", "job": {}}', "has schema 'loss_logging/report/3'; this version"),
        (b'{"schema": "somebody/else"}', "has schema 'somebody/else'"),
        (b'{"schema": "loss_logging/report/1"}', "is no loss report.*job"),
        (b'{"schema": "loss_logging/report/2", "job": {"name": "x", "step": "one"}}', "is no loss report"),
    ],
)
def test_foreign_and_damaged_files(tmp_path: Path, text: bytes, message: str) -> None:
    """The error names the file and what is wrong with it."""
    path = tmp_path / "other.json"
    path.write_bytes(text)
    with pytest.raises(ReportError, match=rf"other\.json {message}"):
        read_report(path)


def test_a_truncated_report(tmp_path: Path) -> None:
    """Half a file is no report; a missing one is an OSError; text paths are fine."""
    path = tmp_path / "r.json"
    write_report(path, REPORT)
    assert read_report(str(path)) == msgspec.structs.replace(REPORT, json_path=str(path))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ReportError, match="is no loss report"):
        read_report(path)
    with pytest.raises(FileNotFoundError):
        read_report(tmp_path / "missing.json")
