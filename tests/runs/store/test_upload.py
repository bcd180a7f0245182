"""Runs whose save_root is a URL: uploaded beside training, atomic by manifest, read back from there."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from helpers import record, strict_json
from object_stores import MEMORY, counts, left_behind, log, logger, manifest, train
from typer.testing import CliRunner
from waiting import wait_until

from loss_logging import TrainConfig, evaluate_dataset, read_report
from loss_logging.cli.commands import app
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.records.log import RecordLog
from loss_logging.runs.locate import find_report, find_run, last_two
from loss_logging.runs.store import upload as mirror
from loss_logging.runs.store.download import StoredRun
from loss_logging.runs.store.manifest import manifest_name
from loss_logging.runs.store.upload import Uploader
from loss_logging.support.object_store import ObjectStore, StoreError

pytestmark = [pytest.mark.usefixtures("empty_store"), pytest.mark.xdist_group("s3")]  # whose server is started once


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A local server that speaks S3."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    yield moto
    moto.stop()


@pytest.fixture
def s3(server: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty run in a bucket."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # it waits longer before each
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    if files.exists("bucket"):
        files.rm("bucket", recursive=True)
    files.mkdir("bucket")
    return "s3://bucket/runs/cats"


# --- without a network ----------------------------------------------------------------------------------------------


def test_everything_is_uploaded_and_read_back(tmp_path: Path) -> None:
    """Reports and records are there at the end; every reader takes the URL, a step of it, or a report in it."""
    assert train(MEMORY, tmp_path / "spool", 1, 2, 3, html=True) == []
    assert counts(MEMORY, tmp_path) == [2, 4, 6, 6]
    assert "cats.html" in manifest(MEMORY).files
    assert [path.name for path in last_two(MEMORY)] == ["cats_000000002.json", "cats_000000003.json"]
    for given, count in ((MEMORY, 6), (Path(MEMORY), 6), (f"{MEMORY}@2", 4), (f"{MEMORY}/loss_logging", 6)):
        assert strict_json(find_report(given))["global"]["count"] == count
    one = f"{MEMORY}/loss_logging/cats_000000001.json"
    assert read_report(one).global_.count == read_report(find_report(one)).global_.count == 2
    config = find_run(Path(MEMORY))
    assert RecordLog(config.records_dir).read().num_rows == 6
    assert config.job_name == "cats"
    with pytest.raises(LossLoggingError, match="holds no report of step 7; the last ones are of: 1, 2, 3"):
        find_report(f"{MEMORY}@7")
    with pytest.raises(LossLoggingError, match="holds no run of the job 'dogs'; there are: cats"):
        find_report(MEMORY, "dogs")
    with pytest.raises(LossLoggingError, match=r"holds no run .*give the save_root of a run"):
        find_report("memory://bucket/other")


@pytest.mark.parametrize("same_machine", [False, pytest.param(True, marks=pytest.mark.long)])
def test_going_on(tmp_path: Path, same_machine: bool) -> None:
    """resume(step) goes on from the store, on a machine that has nothing or something old, without what is later."""
    first, second = tmp_path / "first", tmp_path / ("first" if same_machine else "second")
    train(MEMORY, first, 1, 2, 3)
    train(MEMORY, second, 3, 4, resume=2)
    assert counts(MEMORY, tmp_path) == [2, 4, 6, 8, 8]
    train(MEMORY, first, 5, resume=4)
    assert counts(MEMORY, tmp_path) == [2, 4, 6, 8, 10, 10]
    train(MEMORY, second, 1, resume=0)
    assert counts(MEMORY, tmp_path) == [2, 2]
    assert left_behind() == set()


@pytest.mark.parametrize("same_machine", [False, pytest.param(True, marks=pytest.mark.long)])
def test_another_run_of_the_name_is_moved_away(
    tmp_path: Path, same_machine: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a folder: what was there can still be read."""
    first, second = tmp_path / "first", tmp_path / ("first" if same_machine else "second")
    train(MEMORY, first, 1, 2)
    assert counts(MEMORY, tmp_path) == [2, 4, 4]
    train(MEMORY, second, 7)
    assert counts(MEMORY, tmp_path) == [2, 2]
    (archived,) = ObjectStore(MEMORY).names("loss_logging/archive", "")
    assert counts(f"{MEMORY}/loss_logging/archive/{archived}", tmp_path) == [2, 4, 4]
    assert "call resume(step)" in caplog.text


def test_compaction_never_hides_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While shards are written, merged and uploaded, each manifest has all records of the one before."""
    monkeypatch.setattr("loss_logging.training.reporter._COMPACT_FILES", 8)
    monkeypatch.setattr(mirror, "_EVERY_SECONDS", 0.01)
    monkeypatch.setattr("loss_logging.records.log._RUN", 3)
    seen = []
    with logger(MEMORY, tmp_path, timeouts={"flush": 0.02}, save_every=10) as losses:
        for step in range(1, 41):
            log(losses, step)
            losses._recorder.flush(lambda _: None, patient=False)  # type: ignore[union-attr]
            time.sleep(0.005)
            if step % 8 == 0:
                seen.append(counts(MEMORY, tmp_path)[-1])
    assert seen == sorted(seen)
    assert counts(MEMORY, tmp_path) == [80]


def test_a_foreign_continuation_is_not_overwritten(tmp_path: Path) -> None:
    """A machine that comes back with an old state says so, and leaves the store alone."""
    train(MEMORY, tmp_path / "first", 1)
    train(MEMORY, tmp_path / "second", 2, resume=1)
    before = manifest(MEMORY)
    (sentence,) = Uploader(TrainConfig(job_name="cats", save_root=MEMORY, spool=tmp_path / "first"), None).close(5)
    assert "another machine has continued" in sentence
    assert manifest(MEMORY) == before


def test_an_evaluation_goes_on_on_another_machine(tmp_path: Path) -> None:
    """What one machine has computed until it was interrupted is not computed again."""
    asked: list[str] = []

    def compute(batch: dict[str, Any]) -> list[dict[str, Any]]:
        if len(asked) == 6:
            raise KeyboardInterrupt
        asked.extend(batch["paths"])
        return [record(path, 0.5) for path in batch["paths"]]

    batches = [{"paths": [f"{i}.png", f"{i + 1}.png"]} for i in range(0, 12, 2)]
    first, second = (
        TrainConfig(job_name="x", save_root=MEMORY, spool=tmp_path / name, loggers=[], timeouts={"flush": 0.001})
        for name in ("first", "second")
    )
    with pytest.raises(KeyboardInterrupt):
        evaluate_dataset(compute, batches, config=first, job_name="eval", progress=False)
    asked.append("")
    report = evaluate_dataset(compute, batches, config=second, job_name="eval", progress=False)
    assert sorted(filter(None, asked)) == sorted(f"{i}.png" for i in range(12))
    assert report.global_.count == 12
    again = evaluate_dataset(compute, batches, config=first, job_name="eval", step=5, progress=False)
    assert again.global_.count == 12
    assert list(StoredRun(MEMORY, "eval").reports()) == [0, 5]


# --- S3, and its faults ---------------------------------------------------------------------------------------------


def test_a_run_in_s3(s3: str, tmp_path: Path) -> None:
    """Training in one process, the reporter in a second one, readers elsewhere; and going on on another machine."""
    assert train(s3, tmp_path / "spool", 1, 2, reporter="process", loggers=["tensorboard"]) == []
    assert {"delivered", "records", "tensorboard"} <= {name.partition("/")[0] for name in manifest(s3).files}
    train(s3, tmp_path / "second", 3, resume=2)
    assert counts(s3, tmp_path) == [2, 4, 6, 6]
    assert read_report(f"{s3}/loss_logging/cats_000000003.json").global_.count == 6
    for arguments, said in (
        (["show", f"{s3}@2"], "cats, step 2"),
        (["compare", s3], "step 2"),
        (["export", s3, "--to", "jsonl"], '"path":"b.png"'),
        (["html", s3, "--out", str(tmp_path / "page.html")], "page.html"),
    ):
        done = CliRunner().invoke(app, arguments)
        assert (done.exit_code, said in done.output) == (0, True), done.output
    assert isinstance(CliRunner().invoke(app, ["push", s3, "--to", "tensorboard"]).exception, LossLoggingError)


def test_a_server_that_goes_and_comes_back(
    server: Any, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Training waits for nothing, one warning is said, and once the server is there again so is everything."""
    monkeypatch.setattr(mirror, "_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(mirror, "_RETRY_SECONDS", 0.05)
    host, port = server.get_host_and_port()
    losses = logger(s3, tmp_path / "spool")
    log(losses, 1)
    losses.save_step(1).result()
    server.stop()
    try:
        for step in range(2, 30):
            log(losses, step)  # the server is away until all have been logged
        path = losses.save_step(29).result()
        assert path is not None
        assert read_report(path).global_.count == 58
        wait_until(lambda: "are uploaded once that is possible" in caplog.text)
    finally:
        server._port = port
        server.start()
    assert server.get_host_and_port() == (host, port)
    assert losses.close() == []
    assert caplog.text.count("are uploaded once that is possible") == 1
    assert counts(s3, tmp_path)[-1] == 58


def _killed_before_the_manifest(url: str, spool: Path, step: int) -> None:
    """Train, and be killed when the files of ``step`` are uploaded and the manifest is not."""
    write = ObjectStore.write

    def dies(store: ObjectStore, name: str, content: bytes) -> None:
        if name == manifest_name("cats") and f"cats_{step:09d}.json".encode() in content:
            os.kill(os.getpid(), signal.SIGKILL)
        write(store, name, content)

    ObjectStore.write = dies  # type: ignore[method-assign]
    train(url, spool, 1, resume=0)
    losses = logger(url, spool)
    losses.resume(1)
    log(losses, step)
    losses.save_step(step).result()
    losses.close()


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_kill_between_upload_and_manifest(s3: str, tmp_path: Path) -> None:
    """Readers see the run as it was before; loss-logging upload, or the next process, brings the rest."""
    spool = tmp_path / "spool"
    process = multiprocessing.get_context("spawn").Process(target=_killed_before_the_manifest, args=(s3, spool, 2))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert list(StoredRun(s3).reports()) == [1]
    assert counts(s3, tmp_path)[0] == 2
    assert fsspec.filesystem("s3", skip_instance_cache=True).exists(f"{s3}/loss_logging/cats_000000002.json")
    done = CliRunner().invoke(app, ["upload", s3, "--spool", str(spool)])
    assert (done.exit_code, done.output) == (0, f"cats: all files are in {s3}\n")
    assert counts(s3, tmp_path) == [2, 4, 4]


def test_a_server_that_is_not_there_at_the_beginning(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The run begins without it; what is not delivered in the end is said, and where it is."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    (sentence,) = train(s3, tmp_path / "spool", 1, timeouts={"close": 0.5})
    assert "uploaded once the store can be reached" in caplog.text
    assert f"loss-logging upload {s3}" in sentence
    assert list((tmp_path / "spool").rglob("cats_000000001.json"))


def test_what_s3_refuses(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that is missing and credentials that are none are errors at once, in words; a dead host is none."""
    with pytest.raises(ConfigError, match=r"save_root: s3://nowhere/run: cannot write .*bucket"):
        logger("s3://nowhere/run", tmp_path)
    with pytest.raises(StoreError, match=r"s3://nowhere/run: cannot .*does the bucket exist"):
        find_report("s3://nowhere/run")
    with pytest.raises(FileNotFoundError):
        read_report("s3://bucket/none.json")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ConfigError, match=r"save_root: s3://bucket/run: cannot write .*credentials"):
        logger("s3://bucket/run", tmp_path)
