"""Backends that are slow, broken or hung, and what is known about the undelivered afterwards."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import HOURS, wait_until

from loss_logging.reports.report import Job, LossReport, Summary
from loss_logging.runs.config import TrainConfig
from loss_logging.trackers.backends import BackendSpec
from loss_logging.trackers.delivery import Delivery, Dispatcher, Undelivered
from loss_logging.trackers.memory import MemoryBackend

EMPTY = Summary(count=0, mean=None, median=None, min=None, max=None, std=None, non_finite=0, quantiles={})


def report(step: int) -> LossReport:
    return LossReport(job=Job("cats", step, "2024-01-01T00:00:00Z"), global_=EMPTY)


class Failing(MemoryBackend):
    """Raises what ``fails(step, attempt)`` returns, attempts counted from 1 for each step."""

    name = "failing"

    def __init__(self, fails: Callable[[int, int], BaseException | None]) -> None:
        super().__init__()
        self._fails = fails
        self._attempts: dict[int, int] = {}

    def write(self, report: LossReport) -> None:
        self._may_fail(report.job.step)
        super().write(report)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        self._may_fail(step)
        super().write_scalars(step, scalars)

    def _may_fail(self, step: int) -> None:
        self._attempts[step] = self._attempts.get(step, 0) + 1
        error = self._fails(step, self._attempts[step])
        if error is not None:
            raise error


class Blocking(MemoryBackend):
    """Blocks in every write until ``release`` is set."""

    name = "blocking"

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.release = threading.Event(), threading.Event()

    def write(self, report: LossReport) -> None:
        self.entered.set()
        self.release.wait()
        super().write(report)


MakeConfig = Callable[[], TrainConfig]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> MakeConfig:
    """Makes the configuration of a run that nothing was delivered of."""
    return lambda: TrainConfig(job_name="cats", save_root=tmp_path_factory.mktemp("run"))


@pytest.fixture
def blocking() -> Iterator[Blocking]:
    """A hung backend, let go at the end."""
    backend = Blocking()
    yield backend
    backend.release.set()


def steps(backend: MemoryBackend) -> list[int]:
    return [report.job.step for report in backend.reports]


def test_everything_arrives_in_order(config: MakeConfig) -> None:
    """What is offered reaches the backend in the order of the offers, and closing closes it."""
    memory = MemoryBackend()
    delivery = Delivery(memory, config())
    for step in range(100):
        delivery.write_scalars(step, {"a": float(step)})
    delivery.write(report(100))
    assert delivery.close(timeout=10) is None
    assert memory.scalars == [(step, {"a": float(step)}) for step in range(100)]
    assert steps(memory) == [100]
    assert memory.closed


def test_a_passing_error_loses_nothing(caplog: pytest.LogCaptureFixture, config: MakeConfig) -> None:
    """A call that raises is tried again, and only the first error of a kind is warned about."""
    backend = Failing(lambda _step, attempt: ConnectionResetError("gone") if attempt <= 2 else None)
    delivery = Delivery(backend, config(), retry_delays=(0.01, 0.01))
    for step in (1, 2, 3):
        delivery.write(report(step))
    wait_until(lambda: steps(backend) == [1, 2, 3])
    assert delivery.close(timeout=10) is None
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "logger 'failing': the report of step 1: ConnectionResetError: gone; 2 more tries follow" in warning
    assert "Training goes on" in warning


def test_one_rejected_report_does_not_stop_the_next(caplog: pytest.LogCaptureFixture, config: MakeConfig) -> None:
    """A report that always fails is tried a bounded number of times and named; the others are delivered."""
    backend = Failing(lambda step, _attempt: TypeError("mixed column") if step == 2 else None)
    delivery = Delivery(backend, config(), retry_delays=(0.01, 0.01))
    for step in (1, 2, 3):
        delivery.write(report(step))
    assert delivery.close(timeout=10) == Undelivered("failing", [2], 0, "TypeError: mixed column")
    assert steps(backend) == [1, 3]
    assert backend._attempts[2] == 3
    assert "mixed column" in caplog.text


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), MemoryError()])
def test_an_sdk_that_exits_is_an_error_like_others(error: BaseException, config: MakeConfig) -> None:
    """Neither SystemExit nor KeyboardInterrupt out of a backend ends its thread unseen."""
    backend = Failing(lambda step, _attempt: error if step == 1 else None)
    delivery = Delivery(backend, config(), retry_delays=())
    delivery.write(report(1))
    delivery.write(report(2))
    undelivered = delivery.close(timeout=10)
    assert undelivered is not None
    assert undelivered.report_steps == [1]
    assert undelivered.reason.startswith(type(error).__name__)
    assert steps(backend) == [2]


def test_a_hung_backend_is_abandoned(blocking: Blocking, config: MakeConfig) -> None:
    """Offers and closing come back while it hangs, and everything not delivered is named."""
    delivery = Delivery(blocking, config(), max_reports=2, max_scalar_rows=3)
    delivery.write(report(1))
    assert blocking.entered.wait(10)
    for step in range(2, 8):
        delivery.write_scalars(step, {"a": 1.0})
        delivery.write(report(step))
    undelivered = delivery.close(timeout=0.2)
    assert undelivered == Undelivered("blocking", [1, 2, 3, 4, 5, 6, 7], 6, "it did not return within 0.2 s")
    assert str(undelivered) == (
        "logger 'blocking': the reports of steps 1, 2, 3, 4, 5, 6, 7 and 6 rows of scalars not delivered: "
        "it did not return within 0.2 s"
    )
    assert delivery.close(timeout=0) == undelivered


def test_an_abandoned_backend_gets_nothing_more(blocking: Blocking, config: MakeConfig) -> None:
    """Once closing gave up on it, a backend that comes back is not written to behind the caller's back."""
    delivery = Delivery(blocking, config())
    delivery.write(report(1))
    delivery.write(report(2))
    assert blocking.entered.wait(10)
    delivery.close(timeout=0.05)
    blocking.release.set()
    delivery._thread.join(10)
    assert not delivery._thread.is_alive()
    assert steps(blocking) == [1]


def test_a_full_queue_drops_scalars_before_reports(
    blocking: Blocking, caplog: pytest.LogCaptureFixture, config: MakeConfig
) -> None:
    """Scalars that find no room are counted, while reports still find theirs."""
    delivery = Delivery(blocking, config(), max_reports=2, max_scalar_rows=3)
    delivery.write(report(0))
    assert blocking.entered.wait(10)
    for step in range(1, 6):
        delivery.write_scalars(step, {"a": 1.0})
    for step in (6, 7, 8):
        delivery.write(report(step))
    blocking.release.set()
    assert delivery.close(timeout=10) == Undelivered("blocking", [8], 2, "its queue was full")
    assert [step for step, _ in blocking.scalars] == [1, 2, 3]
    assert steps(blocking) == [0, 6, 7]
    assert "queue is full; the scalars of step 4 and the following ones are not delivered" in caplog.text


def test_closing_does_not_wait_for_the_next_try(config: MakeConfig) -> None:
    """A backend that backs off when training ends gets its last tries at once."""
    backend = Failing(lambda _step, _attempt: ConnectionResetError("gone"))
    delivery = Delivery(backend, config(), retry_delays=(HOURS, HOURS))
    delivery.write(report(1))
    wait_until(lambda: backend._attempts.get(1) == 1)
    assert delivery.close(timeout=60) == Undelivered("failing", [1], 0, "ConnectionResetError: gone")
    assert backend._attempts[1] == 3


def test_a_failing_close_is_said(config: MakeConfig) -> None:
    """An error in close is returned even though every report was delivered."""

    class FailsToClose(MemoryBackend):
        def close(self) -> None:
            raise OSError("disk full")

    delivery = Delivery(FailsToClose(), config())
    delivery.write(report(1))
    undelivered = delivery.close(timeout=10)
    assert str(undelivered) == "logger 'memory': not closed properly: OSError: disk full"


def test_what_comes_after_closing_is_undelivered(config: MakeConfig) -> None:
    """A late report is named instead of vanishing."""
    memory = MemoryBackend()
    delivery = Delivery(memory, config())
    assert delivery.close(timeout=10) is None
    delivery.write(report(9))
    assert delivery.close(timeout=10) == Undelivered("memory", [9], 0, "it was offered after closing")
    assert memory.reports == []


def test_a_spec_is_built_at_the_first_write(tmp_path: Path) -> None:
    """A run that writes nothing opens no tracker; the first write does, away from the caller's thread."""
    config = TrainConfig(job_name="cats", save_root=tmp_path)
    spec = BackendSpec("tensorboard", "loss_logging.integrations.loggers.tensorboard:TensorBoardBackend")
    unused = Delivery(spec, config)
    assert unused.close(timeout=10) is None
    assert list(tmp_path.iterdir()) == []
    used = Delivery(spec, config)
    used.write(report(1))
    assert used.close(timeout=30) is None
    assert len(list((tmp_path / "loss_logging" / "tensorboard" / "cats").iterdir())) == 1


def test_a_backend_that_cannot_be_built_is_undelivered(config: MakeConfig) -> None:
    """An error of the constructor is caught and retried like one of a write."""
    delivery = Delivery(BackendSpec("broken", "pathlib:PurePath", {"unknown": 1}), config(), retry_delays=(0.01,))
    delivery.write(report(1))
    undelivered = delivery.close(timeout=10)
    assert undelivered is not None
    assert (undelivered.backend, undelivered.report_steps) == ("broken", [1])


def test_idle_is_called_while_there_is_nothing_to_write(config: MakeConfig) -> None:
    """A backend that holds something back may write it without another offer; an error that passes hurts nothing."""

    class Idling(MemoryBackend):
        calls = 0

        def idle(self) -> None:
            self.calls += 1
            if self.calls == 1:
                raise OSError("once")

    backend = Idling()
    delivery = Delivery(backend, config())
    wait_until(lambda: backend.calls >= 3)
    delivery.write(report(1))
    wait_until(lambda: steps(backend) == [1])
    assert delivery.close(timeout=10) is None
    assert backend.closed


def test_one_bad_backend_costs_the_others_nothing(blocking: Blocking, config: MakeConfig) -> None:
    """Beside a hung and a broken backend a good one gets everything, and closing comes back."""
    memory = MemoryBackend()
    broken = Failing(lambda _step, _attempt: ValueError("no"))
    dispatcher = Dispatcher([blocking, broken, memory], config())
    for step in (1, 2):
        dispatcher.write_scalars(step, {"a": 0.5})
        dispatcher.write(report(step))
    wait_until(lambda: steps(memory) == [1, 2])
    undelivered = dispatcher.close(timeout=0.5)
    assert [(u.backend, u.report_steps, u.scalar_rows) for u in undelivered] == [
        ("blocking", [1, 2], 1),
        ("failing", [1, 2], 2),
    ]
    assert memory.closed


@settings(max_examples=examples(30), deadline=None)
@given(offers=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_delivered_and_undelivered_make_up_what_was_offered(
    offers: list[tuple[bool, bool]], config: MakeConfig
) -> None:
    """Whatever fails, every offer is either with the backend or named or counted as undelivered."""
    fails = {step for step, (_, bad) in enumerate(offers) if bad}
    backend = Failing(lambda step, _attempt: RuntimeError("no") if step in fails else None)
    delivery = Delivery(backend, config(), retry_delays=())
    for step, (is_report, _) in enumerate(offers):
        if is_report:
            delivery.write(report(step))
        else:
            delivery.write_scalars(step, {"a": 1.0})
    undelivered = delivery.close(timeout=10) or Undelivered("failing", [], 0, "")
    assert undelivered.report_steps == [s for s, (is_report, bad) in enumerate(offers) if is_report and bad]
    assert undelivered.scalar_rows == sum(bad and not is_report for is_report, bad in offers)
    assert len(backend.reports) + len(backend.scalars) == sum(not bad for _, bad in offers)
