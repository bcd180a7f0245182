"""What goes wrong between a run and its object store: nothing is lost, counted twice, or replaced by what is older."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import fsspec
import pytest
from filelock import FileLock
from helpers import record
from object_stores import MEMORY, counts, left_behind, log, logger, manifest, train
from waiting import wait_until

from loss_logging import TrainConfig, evaluate_dataset
from loss_logging.records.log import RecordLog
from loss_logging.runs.paths import opened_run
from loss_logging.runs.store import upload as mirror
from loss_logging.runs.store.download import StoredRun
from loss_logging.runs.store.manifest import manifest_name
from loss_logging.runs.store.upload import Uploader
from loss_logging.support.object_store import ObjectStore, StoreError

MANIFEST = manifest_name("cats")


@pytest.fixture(autouse=True)
def quick(empty_store: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again soon."""
    monkeypatch.setattr(mirror, "_EVERY_SECONDS", 0.1)
    monkeypatch.setattr(mirror, "_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(mirror, "_MOST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr("loss_logging.runs.store.download._PAUSE_SECONDS", 0.01)


def fails(
    patch: pytest.MonkeyPatch,
    method: str,
    part: str,
    times: float = float("inf"),
    *,
    arrives: float = 0,
) -> list[str]:
    """Break off so many ``times`` what the store is asked with a name that has ``part`` in it; the first few arrive,
    and only their answer is lost. Returns the names, which are added as it happens."""
    original, names = getattr(ObjectStore, method), []

    def flaky(store: ObjectStore, *arguments: Any) -> None:
        name = next(given for given in arguments if isinstance(given, str))
        if part in name and len(names) < times:
            names.append(name)
            if len(names) <= arrives:
                original(store, *arguments)
            raise StoreError("connection reset", may_pass=True)
        original(store, *arguments)

    patch.setattr(ObjectStore, method, flaky)
    return names


def config_of(spool: Path) -> TrainConfig:
    return TrainConfig(job_name="cats", save_root=MEMORY, spool=spool)


def uploading(config: TrainConfig) -> FileLock:
    """What is held by the process that uploads."""
    return FileLock(config.records_dir / ".uploading.lock", thread_local=False)


def shards() -> int:
    return sum("/rank" in name for name in manifest(MEMORY).files)


@pytest.mark.parametrize(("method", "part"), [("write", MANIFEST), ("upload", "records/")])
def test_an_upload_that_breaks_off_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, part: str
) -> None:
    """Nothing is missing, counted twice, stale or left behind, though the run has begun by cutting a shard."""
    losses = logger(MEMORY, tmp_path, html=True)
    log(losses, 1, 2, 3, 4)
    losses.save_step(4).result()
    assert losses.close() == []
    broken = fails(monkeypatch, method, part, 1)
    page = losses.config.page_path
    before = page.read_bytes()
    with uploading(losses.config):
        losses = logger(MEMORY, tmp_path, html=True)
        losses.resume(2)
        log(losses, 3)
        losses.save_step(3).result()
        wait_until(lambda: page.read_bytes() != before)
    assert losses.close() == []
    assert broken
    assert counts(MEMORY, tmp_path) == [6, 6]
    assert left_behind() == set()


def test_shards_that_are_merged_while_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has read a manifest whose shards are gone meanwhile gets those that replaced them."""
    monkeypatch.setattr("loss_logging.records.log._RUN", 3)
    with logger(MEMORY, tmp_path) as losses:
        log(losses, 1)
        for step in range(2, 6):
            log(losses, step)
            losses._recorder.flush(lambda _: None, patient=False)  # type: ignore[union-attr]
        losses.save_step(5).result()
        wait_until(lambda: ObjectStore(MEMORY).names("loss_logging", MANIFEST.rpartition("/")[2]) and shards() >= 3)
        run = StoredRun(MEMORY, "cats", tmp_path / "reader")
        before = shards()
        RecordLog(losses.config.records_dir).compact()
        wait_until(lambda: shards() < before)
        assert RecordLog(run.fetch() / "loss_logging/records/cats").read().num_rows == 10


def test_a_copy_that_breaks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resume that could copy only some of the run is no beginning: the next one copies the rest."""
    train(MEMORY, tmp_path / "first", 1, 2)
    losses = logger(MEMORY, tmp_path / "second")
    with monkeypatch.context() as patch, pytest.raises(StoreError, match="connection reset"):
        fails(patch, "download", "-000000001.")
        losses.resume(2)
    losses.close()
    assert train(MEMORY, tmp_path / "second", 3, resume=2) == []
    assert counts(MEMORY, tmp_path) == [2, 4, 6, 6]


def test_going_on_elsewhere_after_a_kill_before_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is newer than the manifest is no reason to refuse the run."""
    assert train(MEMORY, tmp_path / "first", 1, html=True) == []
    with monkeypatch.context() as patch:
        fails(patch, "write", MANIFEST)
        assert train(MEMORY, tmp_path / "first", 2, resume=1, html=True, timeouts={"close": 0.3})
    assert train(MEMORY, tmp_path / "second", 2, resume=1, html=True) == []
    assert counts(MEMORY, tmp_path) == [2, 4, 4]


def test_a_manifest_whose_answer_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run in the store is this one still, however often writing it failed since."""
    train(MEMORY, tmp_path, 1)
    with monkeypatch.context() as patch:
        broken = fails(patch, "write", MANIFEST, arrives=1)
        losses = logger(MEMORY, tmp_path, timeouts={"close": 0.2})
        losses.resume(1)
        for step in (2, 3):
            log(losses, step)
            losses.save_step(step).result()
            wanted = len(broken) + 10  # more than are remembered
            wait_until(lambda: len(broken) >= wanted)  # noqa: B023 called at once
        (sentence,) = losses.close()
    assert "connection reset" in sentence
    assert Uploader(config_of(tmp_path), None).close(5) == []
    assert counts(MEMORY, tmp_path) == [2, 4, 6, 6]


def test_what_is_removed_from_a_run_stays_in_an_archived_one(tmp_path: Path) -> None:
    """Two runs with the same records share no object."""
    for spool in ("first", "second"):
        train(MEMORY, tmp_path / spool, 1)
    (archived,) = ObjectStore(MEMORY).names("loss_logging/archive", "")
    train(MEMORY, tmp_path / "second", 5, resume=0)
    assert counts(MEMORY, tmp_path) == [2, 2]
    assert counts(f"{MEMORY}/loss_logging/archive/{archived}", tmp_path) == [2, 2]


def test_a_machine_that_was_suspended(tmp_path: Path) -> None:
    """It finds that the run has gone on elsewhere, and says so."""
    losses = logger(MEMORY, tmp_path / "first")
    log(losses, 1)
    losses.save_step(1).result()
    wait_until(lambda: ObjectStore(MEMORY).names("loss_logging", ".manifest.json"))
    with uploading(losses.config):
        train(MEMORY, tmp_path / "second", 2, resume=1)
    before = manifest(MEMORY)
    log(losses, 2)
    losses.save_step(2).result()
    (sentence,) = losses.close()
    assert "another machine has continued" in sentence
    assert manifest(MEMORY) == before


def test_a_reporter_that_outlives_its_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be uploading when the next run begins in its folder, which then waits; it replaces nothing after that."""
    train(MEMORY, tmp_path, 1)
    config = config_of(tmp_path)
    config.report_path(7).write_bytes(b"{}")
    upload, begun, may_end = ObjectStore.upload, threading.Event(), threading.Event()

    def slow(store: ObjectStore, source: Path, name: str) -> None:
        if name.endswith("7.json"):
            begun.set()
            may_end.wait(10)
        upload(store, source, name)

    monkeypatch.setattr(ObjectStore, "upload", slow)
    orphan = Uploader(config, opened_run(config.paths))
    assert begun.wait(10)
    threading.Timer(0.5, may_end.set).start()
    assert train(MEMORY, tmp_path, 2, resume=1) == []
    assert may_end.is_set()
    assert orphan.close(5) == []
    assert counts(MEMORY, tmp_path) == [2, 4, 4]


def test_closing_while_another_process_uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training ends in the time that it has, and is told why; or as soon as the other one has finished."""
    losses = logger(MEMORY, tmp_path, timeouts={"close": 0.3})
    log(losses, 1)
    losses.save_step(1).result()
    monkeypatch.setattr(mirror, "_PATIENCE_SECONDS", 0.1)
    with uploading(losses.config) as lock:
        log(losses, 2)
        losses.save_step(2).result()
        (sentence,) = losses.close()  # the lock is held on
        assert f"another process is uploading {losses.config.records_dir}" in sentence
        assert "loss-logging upload" in sentence
        threading.Timer(0.3, lock.release).start()
        assert Uploader(losses.config, None).close(5) == []
    assert counts(MEMORY, tmp_path) == [2, 4, 4]


def test_an_error_that_nobody_expected(tmp_path: Path) -> None:
    """A thread that could not go on is no success."""
    losses = logger(MEMORY, tmp_path)
    log(losses, 1)
    losses.save_step(1).result()
    with uploading(losses.config):
        (losses.config.records_dir / ".uploaded").write_bytes(b"\xff")
    (sentence,) = losses.close()
    assert "UnicodeDecodeError" in sentence


def test_what_cannot_be_removed_is_removed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no manifest names any more does not stay for ever."""
    train(MEMORY, tmp_path, 1, 2)
    broken = fails(monkeypatch, "remove", "loss_logging/cats_", 1)
    train(MEMORY, tmp_path, 3, resume=1)
    assert broken == ["loss_logging/cats_000000002.json"]
    assert left_behind() == set()


def test_a_store_that_somebody_has_emptied(tmp_path: Path) -> None:
    """A run that goes on has everything there again in the end."""
    losses = logger(MEMORY, tmp_path)
    log(losses, 1)
    losses.save_step(1).result()
    wait_until(lambda: ObjectStore(MEMORY).names("loss_logging", ".manifest.json"))
    with uploading(losses.config):
        fsspec.filesystem("memory").rm("/bucket", recursive=True)
    log(losses, 2)
    losses.save_step(2).result()
    assert losses.close() == []
    assert counts(MEMORY, tmp_path) == [2, 4, 4]


def test_an_evaluation_that_another_machine_has_finished(tmp_path: Path) -> None:
    """What was left of it here is forgotten: a better model may be evaluated with the same arguments."""
    asked: list[str] = []
    loss, most = 0.5, 3

    def compute(batch: dict[str, Any]) -> list[dict[str, Any]]:
        if len(asked) == most:
            raise KeyboardInterrupt
        asked.extend(batch["paths"])
        return [record(path, loss) for path in batch["paths"]]

    batches = [{"paths": [f"{i}.png"]} for i in range(6)]
    first, second = (
        TrainConfig(job_name="x", save_root=MEMORY, spool=tmp_path / name, loggers=[], timeouts={"flush": 0.001})
        for name in ("first", "second")
    )
    with pytest.raises(KeyboardInterrupt):
        evaluate_dataset(compute, batches, config=first, job_name="eval", progress=False)
    most = 100
    evaluate_dataset(compute, batches, config=second, job_name="eval", progress=False)
    loss = 0.25
    report = evaluate_dataset(compute, batches, config=first, job_name="eval", progress=False)
    assert report.global_.mean == 0.25
