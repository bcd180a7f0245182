"""What every logger backend promises, as tests. See :mod:`loss_logging.testing` for how to run them on yours."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loss_logging.errors import ConfigError
from loss_logging.reports.report import LossReport, Worst, WorstItem
from loss_logging.runs.config import TrainConfig
from loss_logging.testing.reports import HOSTILE, empty_report, sample_report
from loss_logging.testing.subject import Contents, Subject
from loss_logging.trackers.backends import LoggerBackend
from loss_logging.trackers.delivery import Delivery
from loss_logging.training.logger import LossLogger

LOSS = "loss_logging/loss/cats"
ROWS = 500  # TrainConfig.max_table_rows
_TURNS = 50
"""Longest waits beside plain Python, each some 10 ms on a quiet machine, that a thread may wait beside a backend."""


def test_an_option_with_a_typo_is_refused(loss_logging_subject: Subject) -> None:
    """An option that the backend does not have is an error when the run is configured, with its name."""
    entry = loss_logging_subject.entry
    options = {"name": entry} if isinstance(entry, str) else dict(entry)
    with pytest.raises(ConfigError, match="no_such_option"):
        Subject({**options, "no_such_option": 1}, loss_logging_subject.config, None).selection  # noqa: B018


def test_what_never_wrote_leaves_nothing(loss_logging_subject: Subject) -> None:
    """Building and closing opens no tracker: a run that logs nothing leaves no file."""
    backend = loss_logging_subject.build()
    assert isinstance(backend.name, str)
    assert backend.name
    backend.close()
    assert [*Path(loss_logging_subject.config.save_root).iterdir()] == []


def test_scalars_arrive_under_their_names(loss_logging_subject: Subject) -> None:
    """Every value comes back with its name and step, in order; also those that share a step with others."""
    backend = loss_logging_subject.build()
    for step in (50, 100, 150):
        backend.write_scalars(step, {LOSS: step / 8, "loss_logging/loss/dogs": -step / 8})
    backend.close()
    found = loss_logging_subject.read(backend).scalars
    assert _points(found[LOSS]) == [(50, 6.25), (100, 12.5), (150, 18.75)]
    assert _points(found["loss_logging/loss/dogs"]) == [(50, -6.25), (100, -12.5), (150, -18.75)]


def test_a_report_arrives_whole(loss_logging_subject: Subject) -> None:
    """Scalars, histograms, curves and tables of two reports come back by their names and steps."""
    reports = [_report(loss_logging_subject, step) for step in (10, 20)]
    backend = loss_logging_subject.build()
    for report in reports:
        backend.write(report)
    backend.close()
    _check(loss_logging_subject.read(backend), reports)


def test_a_report_written_twice_does_no_harm(loss_logging_subject: Subject) -> None:
    """A call whose answer was lost is repeated: the report is there, and so is the next."""
    reports = [_report(loss_logging_subject, step) for step in (10, 20)]
    backend = loss_logging_subject.build()
    backend.write(reports[0])
    for report in reports:
        backend.write(report)
    backend.close()
    found = loss_logging_subject.read(backend)
    assert sorted(set(_points(found.scalars[LOSS]))) == [(10, 10.5), (20, 20.5)]


def test_an_empty_report_is_written(loss_logging_subject: Subject) -> None:
    """A report without datasets, tables and JSON raises nothing, and the next one arrives."""
    report = _report(loss_logging_subject, 20)
    backend = loss_logging_subject.build()
    backend.write(empty_report(10))
    backend.write_scalars(15, {})
    backend.write(report)
    backend.close()
    _check(loss_logging_subject.read(backend), [report])


def test_hostile_text_is_data(loss_logging_subject: Subject) -> None:
    """Markup, control characters, lone surrogates and endless captions in cells: each keeps its row."""
    report = _report(loss_logging_subject, 10, captions=HOSTILE)
    backend = loss_logging_subject.build()
    backend.write(report)
    backend.close()
    _check(loss_logging_subject.read(backend), [report])


def test_hostile_names_of_datasets_stay_apart(loss_logging_subject: Subject) -> None:
    """Datasets with unusual names are written, no two of them under one name, in a report and between reports."""
    names = ["my cats | (2024)", "猫", "犬", "lone \ud800 surrogate", "a\nb", "50%: <b>", "..", "x" * 300 + "1"]
    names += ["bell \x07", "bell \x08", "bell \ufffd", "Z\xfcrich", "Zu\u0308rich"]
    names += ["my dogs", "my_dogs", "My dogs", "my dogs ", "/my dogs", "my|dogs", "my.dogs", "mydogs"]
    report = _report(loss_logging_subject, 20, datasets=names)
    backend = loss_logging_subject.build()
    backend.write_scalars(10, {f"loss_logging/loss/{name}": float(i) for i, name in enumerate(names)})
    backend.write(report)
    backend.close()
    found = loss_logging_subject.read(backend).scalars
    losses = [_points(points) for name, points in found.items() if name.startswith("loss_logging/loss/")]
    assert sorted(losses) == [[(10, float(i)), (20, 20.5 + i)] for i in range(len(names))]


def test_a_long_table_is_written_whole_and_no_longer_one(loss_logging_subject: Subject) -> None:
    """Up to ``max_table_rows`` rows arrive, and what is longer is cut there."""
    captions = [f"caption {i}" for i in range(ROWS + 1)]
    exact = _report(loss_logging_subject, 10, captions=captions[:ROWS])
    longer = _report(loss_logging_subject, 20, captions=captions)
    backend = loss_logging_subject.build()
    backend.write(exact)
    backend.write(longer)
    backend.close()
    found = loss_logging_subject.read(backend)
    if found.tables is not None:
        assert found.tables["loss_logging/worst/hard"] == {10: ROWS, 20: ROWS}


def test_steps_may_go_back(loss_logging_subject: Subject) -> None:
    """A step that is lower than one before raises nothing and costs no other point."""
    backend = loss_logging_subject.build()
    for step in (10, 30, 20, 40):
        backend.write_scalars(step, {LOSS: step / 8})
    backend.close()
    found = _points(loss_logging_subject.read(backend).scalars[LOSS])
    assert {(10, 1.25), (30, 3.75), (40, 5.0)} <= set(found)


def test_closing_twice_is_closing_once(loss_logging_subject: Subject) -> None:
    """A second close raises nothing and changes nothing."""
    backend = loss_logging_subject.build()
    backend.write_scalars(10, {LOSS: 0.5})
    backend.close()
    backend.close()
    assert _points(loss_logging_subject.read(backend).scalars[LOSS]) == [(10, 0.5)]


def test_a_report_that_fails_spoils_no_other(loss_logging_subject: Subject) -> None:
    """After a report that cannot be written, the next one arrives whole."""
    report = _report(loss_logging_subject, 20)
    backend = loss_logging_subject.build()
    try:
        backend.write(_unwritable(_report(loss_logging_subject, 10)))
    except Exception:
        logging.getLogger(__name__).debug("the broken report was refused", exc_info=True)
    backend.write(report)
    backend.close()
    found = loss_logging_subject.read(backend)
    assert _points(found.scalars[LOSS])[-1] == (20, 20.5)
    if found.tables is not None:
        assert found.tables["loss_logging/worst/hard"][20] == 2


def test_a_json_that_is_gone_costs_nothing_else(loss_logging_subject: Subject) -> None:
    """With few reports kept, a slow tracker may find the file gone: the figures arrive all the same."""
    report = _report(loss_logging_subject, 10)
    assert report.json_path is not None
    Path(report.json_path).unlink()
    backend = loss_logging_subject.build()
    backend.write(report)
    backend.close()
    _check(loss_logging_subject.read(backend), [report])


def test_another_process_goes_on(loss_logging_subject: Subject) -> None:
    """After resuming at step 20, later steps of the first session are hidden, or the backend says that they stay."""
    first = loss_logging_subject.build()
    for step in (10, 20, 30):
        first.write_scalars(step, {LOSS: step / 8})
    first.close()
    if loss_logging_subject.selection.trainer:
        pytest.skip("it writes to an object of the trainer, whose history is the trainer's affair")
    second: Any = loss_logging_subject.build()
    hidden = second.forget_after(20) if hasattr(second, "forget_after") else None
    second.write_scalars(40, {LOSS: 5.0})
    second.close()
    found = _points(loss_logging_subject.read(second).scalars[LOSS])
    assert {(10, 1.25), (20, 2.5), (40, 5.0)} <= set(found)
    if hidden is not None:
        assert ((30, 3.75) in found) is not hidden


def test_it_writes_from_a_thread_of_its_own(loss_logging_subject: Subject) -> None:
    """Behind its queue and thread everything is delivered, and who offers it does not wait until it is written."""
    backend = _Held(loss_logging_subject.build())
    delivery = Delivery(backend, loss_logging_subject.config, retry_delays=())
    for step in (10, 20):
        delivery.write(_report(loss_logging_subject, step))
    backend.may_write.set()
    assert delivery.close(timeout=60) is None


def test_a_run_delivers_everything(loss_logging_subject: Subject, caplog: pytest.LogCaptureFixture) -> None:
    """A real run with this logger, in the reporter's process where it can be there: no warning, and all is there."""
    config = TrainConfig.from_dict({**_of(loss_logging_subject), "log_every": 2, "save_every": 4})
    with LossLogger(config) as losses:
        for step in range(1, 5):
            names = {"paths": ["1.png", "2.png"], "datasets": "cats", "captions": ["a cat on a sofa", "untitled"]}
            losses.log_batch(step, [step / 4, step / 2], **names)  # type: ignore[arg-type]
        losses.save_step(4).result(timeout=120)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    if loss_logging_subject.selection.trainer:
        pytest.skip("delivered without trouble to an object of this process, which the run has let go of")
    found = loss_logging_subject.read().scalars[LOSS]
    assert found[-1][0] == 4


def test_writing_leaves_the_interpreter_to_others(loss_logging_subject: Subject) -> None:
    """While a report with long tables is written, another thread gets its turns, as it does beside code in Python.

    What it waits for longest is compared with what it waits for beside a loop that takes as long, on this machine.
    """
    backend = loss_logging_subject.build()
    backend.write(_report(loss_logging_subject, 10))  # opens the tracker, imports its SDK
    report = _report(loss_logging_subject, 20, captions=[f"caption {i}" for i in range(ROWS)])
    began = time.perf_counter()
    with _waits() as waits:
        backend.write(report)
    took = time.perf_counter() - began
    backend.close()
    with _waits() as ordinary:
        _keep_busy(max(took, 0.2))
    assert max(waits) < _TURNS * max(ordinary)


def _report(subject: Subject, step: int, **options: Any) -> LossReport:
    return sample_report(step, subject.config.out_dir.parent, **options)


def _of(subject: Subject) -> dict[str, Any]:
    return {"job_name": subject.config.job_name, "save_root": subject.config.save_root, "loggers": [subject.entry]}


def _points(points: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """float32 is enough for a chart."""
    return [(step, float(f"{value:.6g}")) for step, value in points]


class _Unwritable:
    """A cell that no tracker can have foreseen."""

    def __repr__(self) -> str:
        raise RuntimeError("this cell cannot be shown")


def _unwritable(report: LossReport) -> LossReport:
    broken = WorstItem("cats", "1.png", _Unwritable(), 1.0, 1, 0.5)  # type: ignore[arg-type]
    return msgspec.structs.replace(report, worst=Worst(hard=[broken, *report.worst.hard]))


class _Held:
    """A backend that writes no report before ``may_write`` is set."""

    def __init__(self, backend: LoggerBackend) -> None:
        self._backend = backend
        self.may_write = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def write(self, report: LossReport) -> None:
        if not self.may_write.wait(60):
            raise TimeoutError("it was written before the offer had come back")
        self._backend.write(report)


def _keep_busy(seconds: float) -> None:
    """Run Python code, between whose lines other threads get their turns."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@contextmanager
def _waits() -> Iterator[list[float]]:
    """Fills the list with the seconds that a thread was kept waiting when it asked for 5 ms."""
    waits, done = [0.0], threading.Event()

    def ask() -> None:
        while not done.is_set():
            began = time.perf_counter()
            time.sleep(0.005)
            waits.append(time.perf_counter() - began)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield waits
    finally:
        done.set()
        thread.join()


def _check(found: Contents, reports: list[LossReport]) -> None:
    """Everything of the reports is there, each thing once."""
    for report in reports:
        step = report.job.step
        for name, value in report.scalars.items():
            assert [v for s, v in _points(found.scalars[name]) if s == step] == [float(f"{value:.6g}")], name
        if found.histograms is not None:
            for name, histogram in report.histograms.items():
                assert [*found.histograms[name][step]] == histogram.counts, name
            for name, curve in report.curves.items():
                assert [*found.histograms[name][step]] == pytest.approx([mean or 0.0 for mean in curve.means]), name
        if found.tables is not None:
            for name, table in report.tables.items():
                assert found.tables[name][step] == len(table.rows), name
