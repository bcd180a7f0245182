"""loss_logging.reports.decided: what a person has decided, on every surface that shows a report"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from item_reports import save_pairs
from typer.testing import CliRunner
from waiting import wait_until

from loss_logging import LossLogger, read_report
from loss_logging.captions.decisions import Choice, Decision, Decisions
from loss_logging.cli.commands import app
from loss_logging.pages.build import PageBuilder
from loss_logging.pages.served.live import LiveRun
from loss_logging.reports.artifact import read_without_items, report_schema
from loss_logging.reports.decided import DecidedItems, decided_report
from loss_logging.reports.items import load_items, read_items
from loss_logging.reports.report import LossReport
from loss_logging.runs.locate import decisions_about, find_run
from loss_logging.support.database import connect
from loss_logging.trackers.memory import MemoryBackend

DECIDED: dict[str, Choice] = {"000.png": "fine", "001.png": "exclude", "002.png": "later", "003.png": "caption"}


def decide(folder: Path, decided: dict[str, Choice] = DECIDED) -> None:
    """About items whose captions are as they were in the report."""
    decisions = Decisions(folder)
    for path, choice in decided.items():
        caption = f"a picture of number {int(path[:3])}"
        after = "a dog" if choice == "caption" else caption
        decisions.decide(path, choice, caption=after, before=caption)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def ranked(report: LossReport) -> dict[str, Choice | None]:
    return {item.path: item.decision for item in report.worst.caption_mismatch if item.verdict == "very likely wrong"}


def run(*command: str | Path) -> Any:
    return CliRunner().invoke(app, [str(part) for part in command], env={"COLUMNS": "160"})


def test_a_report_that_is_made_afterwards(tmp_path: Path, images: Path) -> None:
    """What is fine or excluded is in no count, ranking, scalar or table of a tracker; the rest is marked."""
    decide(images)
    backend = MemoryBackend()
    path = save_pairs(tmp_path, wrong=6, items=80, images=str(images), loggers=[backend], top_k=6)
    report = read_report(path)
    assert report.verdicts is not None
    assert report.verdicts.very_likely_wrong == 4
    assert ranked(report) == {"002.png": "later", "003.png": "caption", "004.png": None, "005.png": None}
    assert len(report.worst.caption_mismatch) == 6  # there is room for two others
    items = {name: item for dataset in report.datasets.values() for name, item in dataset.item_stats.items()}
    assert {name: items[name].decision for name in (*DECIDED, "004.png")} == DECIDED | {"004.png": None}
    assert items["000.png"].verdict == "very likely wrong"  # which it still has
    (written,) = backend.reports
    counts = [value for name, value in written.scalars.items() if "/very_likely_wrong/" in name]
    assert sum(counts) == 4
    table = written.tables["loss_logging/worst/caption_mismatch"]
    column = [row[table.columns.index("decision")] for row in table.rows]
    assert sorted(column, key=str) == [None, None, "caption", "later"]
    jsonschema.validate(json.loads(path.read_bytes()), report_schema())


@pytest.fixture
def decided(tmp_path: Path, images: Path) -> Path:
    """A report about whose items decisions were made afterwards."""
    path = save_pairs(tmp_path, wrong=6, items=80, images=str(images))
    decide(images)
    return path


def test_show(decided: Path) -> None:
    """What was decided since the report was written counts as well."""
    done = run("show", decided)
    assert "Captions: 4 very likely wrong" in done.stdout
    assert "000.png" not in done.stdout.partition("Highest hard")[0]
    assert "corrected: records of before, where this run has any, still count\n" in done.stdout
    found = json.loads(run("show", decided, "--json").stdout)
    assert found["verdicts"]["very_likely_wrong"] == 4


def test_export(decided: Path, tmp_path: Path) -> None:
    """`--likely-wrong` leaves out what is fine and what is excluded already, a list what was corrected, too; all items
    have their decision."""
    done = run("export", decided, "--to", "exclude-list", "--likely-wrong")
    assert (done.exit_code, sorted(done.stdout.split())) == (1, ["002.png", "004.png", "005.png"])
    done = run("export", decided, "--to", "jsonl", "--likely-wrong")
    listed = [json.loads(line)["path"] for line in done.stdout.splitlines()]
    assert (done.exit_code, sorted(listed)) == (1, ["002.png", "003.png", "004.png", "005.png"])
    rows = [json.loads(line) for line in run("export", decided, "--to", "jsonl").stdout.splitlines()]
    assert {row["path"]: row["decision"] for row in rows if row["decision"]} == DECIDED
    assert len(rows) == 80


def test_compare(decided: Path, tmp_path: Path, images: Path) -> None:
    """Both sides count without what is settled, and items have what was decided."""
    before = save_pairs(tmp_path / "before", wrong=6, items=80, pairs=10)
    found = json.loads(run("compare", before, decided, "--json").stdout)
    assert (found["overall"]["wrong_before"], found["overall"]["wrong_after"]) == (4, 4)
    assert run("compare", before, decided, "--rows", "80").stdout.count("corrected") == 1


def test_page(decided: Path) -> None:
    """The answer counts without them, the cards and the table say what was decided."""
    page = PageBuilder(find_run(decided)).write().read_text("utf-8")
    assert "4 captions very likely wrong" in page
    assert 'class="chip later">for later' in page
    assert page.count('data-decision="caption"') >= 1


def test_a_decision_about_another_caption(tmp_path: Path, images: Path) -> None:
    """What was found fine is shown again once its caption says something else; what was undone, too."""
    path = save_pairs(tmp_path, wrong=6, items=80, images=str(images))
    decisions = Decisions(images)
    decisions.decide("000.png", "fine", caption="it was another one")
    decisions.decide("001.png", "exclude")
    decisions.decide("001.png", "undone")
    report = decided_report(read_without_items(path), decisions_about(path))
    assert report.verdicts is not None
    assert report.verdicts.very_likely_wrong == 6
    assert set(ranked(report).values()) == {None}


def test_what_a_report_keeps(tmp_path: Path, images: Path) -> None:
    """Where the images are elsewhere, what the report has stays; what is undone there where they are, does not."""
    decide(images)
    path = save_pairs(tmp_path, wrong=6, items=80, images=str(images))
    elsewhere = decided_report(read_without_items(path), Decisions(tmp_path / "elsewhere"))
    assert ranked(elsewhere)["002.png"] == "later"
    Decisions(images).decide("000.png", "undone")
    again = decided_report(read_without_items(path), decisions_about(path))
    assert again.verdicts is not None
    assert again.verdicts.very_likely_wrong == 5


def test_a_table_is_marked_as_batches_are(tmp_path: Path, images: Path) -> None:
    """Items in a table of DuckDB have the decisions that the same items have in Arrow, made and undone."""
    decide(images)
    path = save_pairs(tmp_path, wrong=6, items=80, images=str(images))
    decisions = Decisions(images)
    decisions.decide("000.png", "undone")
    decisions.decide("010.png", "exclude")
    decisions.decide("011.png", "fine", caption="it was another one")
    with closing(connect()) as connection:
        load_items(connection, "items", "*", path)
        DecidedItems(decisions).mark(connection, "items")
        found = dict(connection.execute("SELECT path, decision FROM items WHERE decision IS NOT NULL").fetchall())
    rows = [row for batch in DecidedItems(decisions).marked(read_items(path)) for row in batch.to_pylist()]
    assert found == {row["path"]: row["decision"] for row in rows if row["decision"] is not None}
    assert found == {"001.png": "exclude", "002.png": "later", "003.png": "caption", "010.png": "exclude"}


def test_old_reports_are_read(tmp_path: Path) -> None:
    """A report that was written before there were decisions has none."""
    path = save_pairs(tmp_path, wrong=2, items=40)
    text = path.read_text("utf-8")
    old = json.loads(text)
    for ranking in old["worst"].values():
        for item in ranking:
            del item["decision"]
    path.write_text(json.dumps(old), "utf-8")
    report = decided_report(read_without_items(path), decisions_about(path))
    assert {item.decision for item in report.worst.caption_mismatch} == {None}
    batches = list(DecidedItems(Decisions(tmp_path)).marked(read_items(path)))
    assert {value for batch in batches for value in batch["decision"].to_pylist()} == {None}


def test_the_rule() -> None:
    """What stands on an item: one place decides it for every surface."""
    fine = Decision(path="1.png", decision="fine", caption="a cat")
    assert (fine.on("a cat"), fine.on("a dog"), fine.on(None)) == ("fine", None, "fine")
    assert Decision(path="1.png", decision="fine", rules=("short",)).on("a cat") is None
    assert Decision(path="1.png", decision="exclude", caption="a cat").on("a dog") == "exclude"
    corrected = Decision(path="1.png", decision="caption", caption="a cat", before="a dog")
    assert [corrected.on(caption) for caption in ("a cat", "a dog", "a bird")] == ["caption", "caption", None]
    assert Decision(path="1.png", decision="undone").on("a cat") is None


def test_view(decided: Path) -> None:
    """The served page counts without them too."""
    with LiveRun(find_run(decided)) as live:
        counts = wait_until(lambda: live.report()[1])
    assert (counts.likely, counts.items) == (4, 80)


@pytest.mark.parametrize("spelled", ["./photos/{}", "photos//{}", "photos/../photos/{}", "photos/{}"])
def test_paths_that_are_recorded_in_another_spelling(
    tmp_path: Path, spelled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a trainer that was given ./photos logs them: what is decided counts in every place."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    names = [spelled.format(f"{i}.png") for i in range(3)]
    with LossLogger(job_name="j", save_root="run", loggers=[], reporter="inline") as losses:
        losses.log_batch(1, [0.5] * 3, paths=names, datasets="d", captions=["nan"] * 3)
        losses.save_step(1).result()
    Decisions().decide("photos/0.png", "exclude")
    Decisions().decide(names[1], "fine", caption="nan")
    rows = [json.loads(line) for line in run("export", Path("run"), "--to", "jsonl").stdout.splitlines()]
    assert [row["decision"] for row in sorted(rows, key=lambda row: row["path"])] == ["exclude", "fine", None]
    found = json.loads(run("show", Path("run"), "--json").stdout)
    assert [item["path"] for item in found["flagged"]] == names[2:]
    assert {path: one.decision for path, one in Decisions().among([names[0][:-5]]).items() if path in names} == {
        names[0]: "exclude",
        names[1]: "fine",
    }
