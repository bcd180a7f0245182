"""Names, files and clocks that mean harm, or are of others: nothing outside is touched, and nothing is lost."""

from __future__ import annotations

import ast
import csv
import os
import random
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import assert_same_figures, record, strict_json, write
from hypothesis import given
from hypothesis import strategies as st
from processes import finish, run_script
from training_run import log

import loss_logging
from loss_logging import LossLogger, TrainConfig, read_report
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.records.columns import SCHEMA, table_from_records
from loss_logging.records.log import LogVersionError, RecordLog, Shard
from loss_logging.reports.artifact import write_csv
from loss_logging.training import report_maker

SECRET = b"what is outside stays as it is"


def logger(root: Path, **options: Any) -> LossLogger:
    defaults: dict[str, Any] = {"job_name": "job", "save_root": root, "loggers": [], "reporter": "inline"}
    return LossLogger(**(defaults | options))


def run(root: Path, first: int = 1, last: int = 3, resume: int | None = None, **options: Any) -> dict[str, Any]:
    """A short run; its last report."""
    with logger(root, **options) as losses:
        if resume is not None:
            losses.resume(resume)
        for step in range(first, last + 1):
            log(losses, step)
        path = losses.save_step(last).result(60)
    assert path is not None
    return strict_json(path)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with a file that nobody may touch."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(SECRET)
    os.utime(folder / "secret", (1, 1))
    return folder


def assert_untouched(outside: Path) -> None:
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == SECRET
    assert (outside / "secret").stat().st_mtime == 1


# --- names ----------------------------------------------------------------------------------------------------------


@given(st.text(max_size=60) | st.lists(st.sampled_from(["..", ".", "/", "\\", "a", "\0", "\n", "~", ":"])).map("".join))
def test_no_job_name_leads_out(name: str) -> None:
    """A job name is refused, or all its files are in the folder that they belong to."""
    try:
        config = TrainConfig(job_name=name, save_root="/root/runs", loggers=[])
    except ConfigError:
        return
    assert os.path.normpath(config.records_dir) == f"/root/runs/loss_logging/records/{name}"
    assert os.path.normpath(config.report_path(1)) == f"/root/runs/loss_logging/{name}_000000001.json"


SQL = [
    "'); DROP TABLE records; --",
    "\"; COPY (SELECT 1) TO '/tmp/owned'; --",
    "$step",
    "?",
    "' || getvariable('timestep_scale') || '",
    "{{1}}%s%(x)s",
    "read_parquet('/etc/passwd')",
    "E'\\'",
    "/*",
]


def test_sql_in_every_text_is_text(tmp_path: Path) -> None:
    """The figures are those of harmless names, and every text comes back letter by letter."""
    reports = []
    for i, texts in enumerate([SQL, [f"{n}" for n in range(len(SQL))]]):
        name = texts[0] if i == 0 else "harmless"
        with logger(tmp_path / "it's; --" / str(i), job_name=name.replace("/", "")) as losses:
            for step in (1, 2):
                losses.log_batch(
                    step,
                    np.arange(1.0, len(texts) + 1) * step,
                    paths=texts,
                    datasets=texts,
                    captions=texts,
                    components={text: np.ones(len(texts)) for text in texts},
                )
            path = losses.save_step(2).result()
        assert path is not None
        reports.append(read_report(path))
    hostile, harmless = reports
    assert list(hostile.datasets) == sorted(SQL)
    for n, text in enumerate(SQL):
        ours, theirs = hostile.datasets[text], harmless.datasets[f"{n}"]
        assert ours.item_stats[text].caption == text
        assert (ours.item_stats[text].average_loss, ours.summary.max) == ((n + 1) * 1.5, (n + 1) * 2.0)
        assert ours.summary.histogram == theirs.summary.histogram
        assert list(ours.item_stats) == [text]
    assert not Path("/tmp/owned").exists()


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\r=1")


@pytest.mark.parametrize(
    "formula", ["\t=1", "=cmd|' /C calc'!A0", *(pytest.param(text, marks=pytest.mark.long) for text in FORMULAS)]
)
def test_no_cell_is_a_formula(formula: str, tmp_path: Path) -> None:
    """In the CSV of a whole run no text begins as a spreadsheet's formula does, and the text is still there."""
    with logger(tmp_path) as losses:
        losses.log_batch(1, [0.5], paths=[formula], datasets=formula, captions=[formula])
        path = losses.save_step(1).result()
    assert path is not None
    write_csv(tmp_path / "items.csv", read_report(path).datasets)
    with (tmp_path / "items.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert {row["dataset"], row["path"], row["caption"]} == {f"'{formula}"}


# --- links ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        "loss_logging",
        "loss_logging/records",
        "loss_logging/records/job",
        "loss_logging/records/job/.spill",
        "loss_logging/archive",
        "loss_logging/delivered",
        "loss_logging/delivered/job",
    ],
)
def test_a_folder_that_leads_out_is_refused(place: str, tmp_path: Path, outside: Path) -> None:
    """A link in place of a folder is an error that names it, before anything is written."""
    link = tmp_path / "root" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(ConfigError, match=r"save_root: .* leads out of .*outside"):
        logger(tmp_path / "root")
    assert_untouched(outside)


@pytest.mark.parametrize(
    "place",
    [
        "job_000000003.json",
        pytest.param("job_000000003.items.parquet", marks=pytest.mark.long),
        pytest.param(f"records/job/{Shard.name(0, 0, 0)}", marks=pytest.mark.long),
        f"records/job/{Shard.name(0, 1, 1)}",
        "records/job/.run",
        "records/job/.evaluation",
        "records/job/.writable",
        "records/job/.rank00000.lock",
        "records/job/.rewriting.lock",
        "records/job/rank00000.progress.json",
    ],
)
def test_a_file_that_leads_out_is_not_followed(place: str, tmp_path: Path, outside: Path) -> None:
    """A link in place of a file is refused or replaced; what it leads to stays as it was."""
    root = tmp_path / "root"
    link = root / "loss_logging" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "secret")
    try:
        for after in (0, 2):
            assert run(root, after + 1, resume=after, items="both")["global"]["count"] == 12
    except ConfigError as error:
        assert "leads out of" in str(error)  # noqa: PT017 either will do
    assert_untouched(outside)


def test_the_temporary_file_is_new(tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where its name is guessed, a link in its place is not followed."""
    monkeypatch.setattr("secrets.token_hex", lambda n: "0" * 2 * n)
    (tmp_path / ".report.json.00000000.tmp").symlink_to(outside / "secret")
    with pytest.raises(FileExistsError):
        write_csv(tmp_path / "report.json", {})
    assert_untouched(outside)


# --- files of others ------------------------------------------------------------------------------------------------


def foreign_table(kind: str) -> pa.Table:
    good = table_from_records([record(step=1)])
    if kind == "foreign":
        return pa.table({"a": [1]})
    if kind == "other columns":
        return pa.table({"a": [1]}, metadata=SCHEMA.metadata)
    return good.set_column(4, "loss", pa.array(["text"])).replace_schema_metadata(SCHEMA.metadata)


@pytest.mark.parametrize(
    ("kind", "reporter_"),
    [
        ("truncated", "inline"),
        ("other types", "inline"),
        *(
            pytest.param(kind, "inline", marks=pytest.mark.long)
            for kind in ("empty", "garbage", "foreign", "other columns", "folder")
        ),
        pytest.param("truncated", "process", marks=pytest.mark.long),
    ],
)
def test_a_file_that_is_no_shard(kind: str, reporter_: str, tmp_path: Path) -> None:
    """Left out, left alone and named in the report; the log goes on around it."""
    root = tmp_path / "root"
    expected = run(tmp_path / "clean")
    run(root, 1, 2, reporter=reporter_)
    bad = root / "loss_logging" / "records" / "job" / Shard.name(0, 50, 50)
    if kind == "truncated":
        whole = write(RecordLog(tmp_path), [record(path=str(i)) for i in range(100)]).read_bytes()
        bad.write_bytes(whole[: len(whole) // 2])
    elif kind in ("empty", "garbage"):
        bad.write_bytes(b"" if kind == "empty" else random.Random(0).randbytes(5_000))
    elif kind == "folder":
        bad.mkdir()
    else:
        pq.write_table(foreign_table(kind), bad)
    report = run(root, 3, resume=2, reporter=reporter_)
    sentence, undecided = report.pop("warnings")
    assert sentence.startswith(f"{bad.name} is left out of the log: ")
    assert undecided.startswith("caption_mismatch is undecided")
    assert_same_figures(report["global"], expected["global"])
    assert_same_figures(report["datasets"], expected["datasets"])
    assert bad.exists()


def test_a_shard_with_a_broken_page(tmp_path: Path) -> None:
    """A shard whose footer is whole and whose data is not: left out and named like any other, and reports come."""
    run(tmp_path, 1, 2)
    shard = RecordLog(tmp_path / "loss_logging" / "records" / "job").files()[0]
    data = bytearray(shard.read_bytes())
    data[4:200] = bytes(196)
    shard.write_bytes(data)
    assert "left out" in run(tmp_path, 3, resume=2)["warnings"][0]


@pytest.mark.parametrize("resume", [None, 0, 2])
def test_a_log_of_a_later_version(resume: int | None, tmp_path: Path) -> None:
    """Refused when the logger is made, in words, and left as it is."""
    run(tmp_path, 1, 2)
    folder = tmp_path / "loss_logging" / "records" / "job"
    later = table_from_records([record(step=3)]).replace_schema_metadata({"loss_logging": "records/3"})
    pq.write_table(later, folder / Shard.name(0, 60, 60))
    before = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    with pytest.raises(LogVersionError, match=r"is of version 'records/3'; this version .* reads 'records/2'"):
        run(tmp_path, 3, resume=resume)
    assert {path.name: path.read_bytes() for path in folder.glob("*.parquet")} == before


# --- clocks ---------------------------------------------------------------------------------------------------------


def test_clocks_that_jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back, forward, and to 1970 and 2262: only the time of creation differs."""
    expected = run(tmp_path / "steady", last=40)
    rng = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: rng.uniform(0, 9e9))

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=rng.uniform(0, 9e9))

    monkeypatch.setattr(report_maker, "datetime", Jumping)
    root = tmp_path / "jumping"
    run(root, last=20)
    jumping = run(root, 21, 40, resume=20)
    for report in (expected, jumping):
        del report["job"]["created"], report["job"]["resumed_from"], report["config"]["save_root"], report["recent"]
    assert_same_figures(jumping, expected)


# --- two processes --------------------------------------------------------------------------------------------------


def test_a_second_process_of_one_name_is_refused(tmp_path: Path) -> None:
    """It is told which run is taken, and the first one goes on as if nothing had been."""
    with logger(tmp_path, reporter="process") as losses:
        log(losses, 1)
        losses.save_step(1).result(60)
        second = """
with LossLogger(**options(root)) as losses:
    try:
        losses.resume(0)
        log(losses, 5)
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
"""
        out, err = finish(run_script(tmp_path, second))
        log(losses, 2)
        path = losses.save_step(2).result(60)
    folder = tmp_path / "loss_logging" / "records" / "job"
    assert out.startswith(LossLoggingError.__name__)
    assert f"writes rank 0 of the run in {folder}" in out
    assert err == ""
    assert path is not None
    assert strict_json(path)["global"]["count"] == 8


# --- pickle ---------------------------------------------------------------------------------------------------------

PICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "multiprocessing"}
PICKLING = {"read_pickle", "to_pickle", "all_gather_object", "gather_object", "broadcast_object_list", "unsafe_load"}


def test_no_pickle_in_the_source() -> None:
    """No module of the package imports anything that reads or writes pickles, or calls what does so behind it."""
    found = []
    for path in Path(loss_logging.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found += [f"{path.name}: {name}" for name in names if name.split(".")[0] in PICKLERS]
            if isinstance(node, ast.Attribute) and node.attr in PICKLING:
                found.append(f"{path.name}: {node.attr}")
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                found.append(f"{path.name}: {node.arg}")
    assert found == []


def test_no_pickle_is_read(tmp_path: Path) -> None:
    """In a whole run, the reporter's process included, nothing is unpickled."""
    hook = """
import sys
def hook(event, args):
    if event == "pickle.find_class":
        print("unpickled", args, file=sys.stderr, flush=True)
sys.addaudithook(hook)
"""
    (tmp_path / "sitecustomize.py").write_text(hook)
    script = "with LossLogger(**options(root)) as losses:\n    log(losses, 1)\n    losses.save_step(1).result()\n"
    assert finish(run_script(tmp_path, f"{hook}{script}")) == ("", "")
    check = f"{hook}import pickle; pickle.loads(pickle.dumps(print))"
    assert "unpickled" in subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stderr
