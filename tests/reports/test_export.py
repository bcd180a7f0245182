"""loss_logging.reports.export"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from item_reports import save, save_pairs

from loss_logging import Exclusions, LossLogger, TrainConfig
from loss_logging.captions.decisions import Decisions
from loss_logging.errors import LossLoggingError
from loss_logging.reports.artifact import read_report
from loss_logging.reports.export import Format, ItemFilter, export_items

LOSSES = {
    ("cats", "images/1.png"): [1.0, 2.0],
    ("cats", "=cmd()"): [9.0, 8.0],
    ("dogs", "images/1.png"): [0.5, 0.25],
    ("dogs", "line\nbreak.png"): [0.75, 0.5],
}
CAPTIONS = {"=cmd()": "untitled", "line\nbreak.png": "a"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four items in two datasets; two captions are flagged."""
    return save(tmp_path_factory.mktemp("run"), [LOSSES], captions=CAPTIONS)[0]


def exported(report: Path, to: Format, selection: ItemFilter | None = None, *, formulas: bool = False) -> str:
    out = io.BytesIO()
    export_items(report, out, to, selection, formulas=formulas)
    return out.getvalue().decode()


def paths(report: Path, **selection: object) -> list[str]:
    lines = exported(report, "jsonl", ItemFilter(**selection)).splitlines()  # type: ignore[arg-type]
    return [json.loads(line)["path"] for line in lines]


def test_every_format_holds_every_figure(report: Path, tmp_path: Path) -> None:
    """CSV, JSON lines and Parquet have one row per item, with the figures of the JSON."""
    expected = {
        (name, path): stats
        for name, dataset in read_report(report).datasets.items()
        for path, stats in dataset.item_stats.items()
    }
    done = export_items(report, tmp_path / "items.parquet", "parquet")
    assert (done.items, done.of, done.warnings) == (4, 4, [])
    tables = [
        pq.read_table(tmp_path / "items.parquet").to_pylist(),
        [json.loads(line) for line in exported(report, "jsonl").splitlines()],
        list(csv.DictReader(io.StringIO(exported(report, "csv", formulas=True), newline=""))),
    ]
    for rows in tables:
        assert len(rows) == len(expected)
        for row in rows:
            stats = expected[row["dataset"], row["path"]]
            assert float(row["average_loss"]) == stats.average_loss
            assert int(row["count"]) == stats.count
            assert row["caption"] == stats.caption
    assert {row["path"]: row["reasons"] for row in tables[1] if row["reasons"]} == {
        "=cmd()": ["empty"],
        "line\nbreak.png": ["short"],
    }


def test_formulas_are_neutralised_unless_asked(report: Path) -> None:
    """A path that a spreadsheet would run gets an apostrophe in CSV, and only there."""
    assert "'=cmd()" in exported(report, "csv")
    assert "'=cmd()" not in exported(report, "csv", formulas=True)
    assert "'=cmd()" not in exported(report, "exclude-list", ItemFilter(datasets=("cats",)))


def test_an_exclude_list_is_a_plain_list(report: Path) -> None:
    """One path a line, each once, as it was recorded; one with a line break is left out, and that is said."""
    out = io.BytesIO()
    done = export_items(report, out, "exclude-list", ItemFilter(worst=("average_loss", 4)))
    assert out.getvalue() == b"=cmd()\nimages/1.png\n"
    assert done.warnings == ["1 paths with line breaks in them are left out"]


def test_filters(report: Path) -> None:
    """Each filter keeps what it says, several narrow it further, and the worst are of what is left, in order."""
    assert paths(report, datasets=("dogs",)) == ["images/1.png", "line\nbreak.png"]
    assert paths(report, flagged="any") == ["=cmd()", "line\nbreak.png"]
    assert paths(report, flagged="error") == ["=cmd()"]
    assert paths(report, flagged="short") == ["line\nbreak.png"]
    assert paths(report, worst=("average_loss", 2)) == ["=cmd()", "images/1.png"]
    assert paths(report, worst=("average_loss", 2), datasets=("dogs",)) == ["line\nbreak.png", "images/1.png"]
    assert paths(report, worst=("hard", 1)) == ["=cmd()"]
    assert paths(report, min_caption_mismatch=-1.0) == []


def test_caption_mismatch(tmp_path: Path) -> None:
    """Items whose caption hurts by at least so much are kept; never one for which that is undecided."""
    with LossLogger(job_name="j", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        for step in range(1, 6):
            losses.log_batch(
                step, [0.9, 0.5], paths=["a", "b"], datasets="d", captions=["a red cat"] * 2, losses_empty=[0.6, 0.6]
            )
        for step in range(6, 9):
            losses.log_batch(step, [0.9], paths=["few"], datasets="d", captions=["a red cat"], losses_empty=[0.1])
        report = losses.save_step(8).result()
    assert report is not None
    assert read_report(report).datasets["d"].item_stats["few"].n_paired == 3
    assert paths(report, min_caption_mismatch=0.4) == ["a"]
    assert paths(report, worst=("caption_mismatch", 3)) == ["a", "b"]


@pytest.mark.parametrize(
    ("selection", "named"),
    [
        (ItemFilter(datasets=("cat",)), "there is no dataset 'cat'; there are: cats, dogs"),
        (ItemFilter(flagged="emty"), "no caption is flagged 'emty'; allowed: any, info, warning, error, empty"),
        (None, "every item"),
    ],
)
def test_what_cannot_be(report: Path, selection: ItemFilter | None, named: str) -> None:
    """A dataset or flag that is not there is named with those that are; a list that excludes everything is refused."""
    with pytest.raises(LossLoggingError, match=named):
        exported(report, "exclude-list", selection)


def test_a_truncated_list_of_flags_is_said(tmp_path: Path) -> None:
    """Where the report lists only some of the flagged captions, so does the export, and says it."""
    report = save(tmp_path, [LOSSES], captions=CAPTIONS, max_table_rows=1)[0]
    done = export_items(report, io.BytesIO(), "jsonl", ItemFilter(flagged="any"))
    assert done.items == 1
    assert "max_table_rows" in done.warnings[0]


def test_without_items(tmp_path: Path) -> None:
    """A report without figures per item cannot be exported."""
    report = save(tmp_path, [LOSSES], log_per_example=False)[0]
    with pytest.raises(LossLoggingError, match="no figures per item"):
        exported(report, "csv")


def test_a_failed_export_leaves_what_was_there(report: Path, tmp_path: Path) -> None:
    """The file is replaced as a whole or not at all."""
    out = tmp_path / "items.csv"
    out.write_text("before")
    with pytest.raises(LossLoggingError):
        export_items(report, out, "csv", ItemFilter(flagged="nothing"))
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


def test_verdicts(tmp_path: Path) -> None:
    """Captions that are very likely wrong are kept, with those to look at where that is asked for."""
    report = save_pairs(tmp_path, wrong=6, items=80)
    found = sorted(paths(report, verdicts=("very likely wrong",)))
    assert found == [f"{i:03}.png" for i in range(6)]
    assert set(paths(report, verdicts=("very likely wrong", "look at these"))) >= set(found)
    (row,) = [json.loads(line) for line in exported(report, "jsonl").splitlines() if '"000.png"' in line]
    assert (row["verdict"], row["p_wrong"]) == ("very likely wrong", None)
    assert 0 <= row["p_odd"] <= 1


def test_no_verdicts_to_export(report: Path, tmp_path: Path) -> None:
    """A report without any verdict is no report without wrong captions: what is missing is said."""
    with pytest.raises(LossLoggingError, match=r"has a verdict; verdicts need the loss with the empty caption"):
        paths(report, verdicts=("very likely wrong",))
    old = tmp_path / report.name
    old.write_text(report.read_text("utf-8").replace("loss_logging/report/2", "loss_logging/report/1", 1), "utf-8")
    with pytest.raises(LossLoggingError, match="make it again with loss-logging report"):
        paths(old, verdicts=("very likely wrong",))


def test_a_list_of_one_dataset_says_what_it_excludes_of_others(report: Path) -> None:
    """An image of two datasets is left out of both, as a list has paths alone; nothing is said where both are meant."""
    out = io.BytesIO()
    said = export_items(report, out, "exclude-list", ItemFilter(datasets=("cats",))).warnings
    assert len(said) == 1
    assert "1 of these" in said[0]
    assert "images/1.png in dogs" in said[0]
    assert export_items(report, out, "exclude-list", ItemFilter(datasets=("cats", "dogs"))).warnings == [
        "1 paths with line breaks in them are left out"
    ]
    assert export_items(report, out, "exclude-list", ItemFilter(worst=("hard", 1))).warnings == []
    assert export_items(report, out, "jsonl", ItemFilter(datasets=("cats",))).warnings == []


@pytest.mark.parametrize("selected", ["flagged", "min_caption_mismatch", "worst", "word_score", "hard"])
def test_what_a_person_has_settled_is_in_no_list_of_captions(tmp_path: Path, selected: str) -> None:
    """A caption that was found fine or corrected excludes no image; what is odd by its picture does, all the same."""
    names = [str(tmp_path / f"{i}.png") for i in range(6)]
    with LossLogger(job_name="j", save_root=tmp_path / "run", loggers=[], reporter="inline") as losses:
        for step in range(1, 6):
            figures = [0.9 + 0.01 * step, 0.8, 0.7, 0.6, 0.5, 0.45]
            losses.log_batch(step, figures, paths=names, datasets="d", captions=["nan"] * 6, losses_empty=[0.4] * 6)
        made = losses.save_step(5).result()
    assert made is not None
    decisions = Decisions()
    decisions.decide(names[0], "fine", caption="nan")
    decisions.decide(names[1], "caption", caption="a cat", before="nan")
    decisions.decide(names[2], "later", caption="nan")
    decisions.decide(names[3], "exclude")
    decisions.decide(names[5], "caption", caption="nan", before="null")  # it was trained with the new one
    selection = {
        "flagged": ItemFilter(flagged="any"),
        "min_caption_mismatch": ItemFilter(min_caption_mismatch=0.0),
        "worst": ItemFilter(worst=("caption_mismatch", 6)),
        "word_score": ItemFilter(worst=("caption_mismatch", 6), flagged="empty"),
        "hard": ItemFilter(worst=("hard", 6)),
    }[selected]
    out = io.BytesIO()
    done = export_items(made, out, "exclude-list", selection, decisions=decisions)
    listed = {Path(path).stem for path in out.getvalue().decode().splitlines()}
    warned = [names[5] in sentence for sentence in done.warnings if "corrected" in sentence]
    assert warned == ([] if selected == "hard" else [True])  # it may have been trained with the former one, too
    expected = {"0", "1", "2", "3", "4", "5"} if selected == "hard" else {"2", "3", "4", "5"}
    assert listed | {"3"} == expected  # of what is excluded already, the one or the other
    table = io.BytesIO()
    export_items(made, table, "jsonl", ItemFilter(flagged="any"), decisions=decisions)
    rows = {Path(row["path"]).stem: row["decision"] for row in map(json.loads, table.getvalue().splitlines())}
    assert rows == {"1": "caption", "2": "later", "4": None, "5": "caption"}  # as the page shows them


def test_a_path_that_looks_like_a_remark(tmp_path: Path) -> None:
    """What is exported is excluded by who reads the list, also with blanks around it, and alike as a relative path."""
    names = ["#1.png", " 2.png", "cats/3.png "]
    with LossLogger(job_name="j", save_root=tmp_path, loggers=[], reporter="inline") as losses:
        losses.log_batch(1, [1.0, 2.0, 3.0], paths=names, datasets="d", captions=["a cat"] * 3)
        report = losses.save_step(1).result(30)
    assert report is not None
    export_items(report, tmp_path / "exclude.txt", "exclude-list", ItemFilter(datasets=("d",)))
    exclusions = Exclusions(TrainConfig(job_name="j", save_root=tmp_path, exclude=tmp_path / "exclude.txt"))
    assert [exclusions.excludes(name) for name in (*names, "4.png")] == [True, True, True, False]
