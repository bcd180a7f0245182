"""How the trainer's process talks to a Reporter: one in a second process, or one in the caller.

Both take the same calls, from the recorder's small thread, and answer through the Future of a save step.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

import msgspec

from loss_logging.errors import LossLoggingError
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.facts import report_command
from loss_logging.support.warn import LOGGER, warn_once
from loss_logging.trackers.delivery import Dispatcher
from loss_logging.training.messages import (
    ALIVE_SECONDS,
    Alive,
    Close,
    Closed,
    Command,
    Failed,
    Notice,
    Reply,
    Save,
    Saved,
    Scalars,
    Start,
)

__all__ = ["InlineReporter", "ReporterClient", "ReporterError", "ReporterProcess"]

_SILENT_SECONDS = 60.0
_GRACE_SECONDS = 5.0
"""For what is left to do when a process has been killed; it takes milliseconds."""

_SMALL = {"ARROW_DEFAULT_MEMORY_POOL": "system", "DUCKDB_JE_MALLOC_CONF": "background_thread:true"}
"""What makes the process a smaller guest. Arrow's own pool keeps some MB, and there is little that goes through it.
DuckDB's allocator gives freed memory back only when it is asked for more, at the next save step; now a thread does."""

_MAX_DEATHS = 3
"""Deaths of the reporter without an answer in between, after which the save steps it owes fail."""


class ReporterError(LossLoggingError, RuntimeError):
    """A report could not be made. The records are in the log, and a later save step covers them."""


class ReporterClient(Protocol):
    """What LossLogger needs of a reporter, wherever it runs."""

    def notice(self, step: int) -> None:
        """Say that the log holds records up to ``step``."""

    def save(self, command: Save, future: Future[Path | None]) -> None:
        """Ask for a report; ``future`` gets the path of its JSON, or a ReporterError."""

    def close(self, step: int, timeout: float) -> list[str]:
        """End it within ``timeout`` seconds; returns in sentences what was not delivered."""


class _Replies:
    """Resolves Futures and feeds the backends that live in the trainer's process."""

    def __init__(self, backends: Dispatcher) -> None:
        self._backends = backends
        self._missing: int | None = None  # the last step whose report there is not
        self.futures: dict[int, Future[Path | None]] = {}  # by the serial of their save step
        self.scalars_through = 0
        self.undelivered: list[str] = []
        self.closed = False

    def expect(self, serial: int, future: Future[Path | None]) -> None:
        """Resolve ``future`` with the answer to ``serial``; from here on nobody can cancel it under our hands."""
        if future.set_running_or_notify_cancel():
            self.futures[serial] = future

    def __call__(self, reply: Reply) -> None:
        if isinstance(reply, Scalars):
            self.scalars_through = reply.through
            for step, scalars in reply.rows:
                self._backends.write_scalars(step, scalars)
        elif isinstance(reply, Saved):
            if reply.report is not None:
                self._backends.write(reply.report)
            if self._missing is not None and self._missing <= reply.step:
                self._missing = None
            if (future := self.futures.pop(reply.serial, None)) is not None:
                future.set_result(Path(reply.path))
        elif isinstance(reply, Failed):
            self.fail(reply.step, reply.serial, reply.reason)
        elif isinstance(reply, Closed):
            self.undelivered += reply.undelivered
            self.closed = True

    def fail(self, step: int, serial: int, reason: str) -> None:
        self._missing = step
        message = (
            f"no report for step {step}: {reason}. The records are in the log; the next save step covers them, or "
            f"loss-logging report --step {step} when training has ended."
        )
        warn_once(f"no report: {reason}", message)
        if (future := self.futures.pop(serial, None)) is not None:
            future.set_exception(ReporterError(message))

    def no_report(self, start: Start) -> list[str]:
        """A sentence on the report that the run ends without, and how to get it."""
        if self._missing is None:
            return []
        command = report_command(TrainConfig.from_dict(start.config | {"loggers": []}), self._missing)
        return [f"there is no report of step {self._missing}; this makes it from the log: {command}"]


class InlineReporter:
    """A Reporter in this process: for notebooks, tests and the evaluator."""

    def __init__(self, start: Start, backends: Dispatcher) -> None:
        from loss_logging.training.reporter import (
            Reporter,  # pulls in DuckDB, which a reporter process keeps out of the trainer
        )

        self._start = start
        self._replies = _Replies(backends)
        self._reporter = Reporter(start, self._replies)

    def notice(self, step: int) -> None:
        self._reporter.handle(Notice(step))

    def save(self, command: Save, future: Future[Path | None]) -> None:
        self._replies.expect(command.serial, future)
        self._reporter.handle(command)
        if not future.done():  # the disk refused it; the reporter tries again, but here somebody waits
            self._replies.fail(command.step, command.serial, "the disk does not take it now; it is tried again")

    def close(self, step: int, timeout: float) -> list[str]:
        self._reporter.handle(Close(step, timeout))
        return [*self._replies.undelivered, *self._replies.no_report(self._start)]


class _Asked(msgspec.Struct, frozen=True):
    """A save step, and the Future that waits for its answer."""

    command: Save
    future: Future[Path | None]


class _Said(msgspec.Struct, frozen=True):
    """A reply of the reporter process, and when it came (`time.monotonic`)."""

    reply: Reply
    time: float


class _Ended(msgspec.Struct, frozen=True):
    """A reporter process closed its output: it finished, or it died."""

    process: subprocess.Popen[bytes]


class _Overdue(msgspec.Struct, frozen=True):
    """The time for closing is up."""

    timeout: float


class ReporterProcess:
    """A Reporter in ``python -m loss_logging.training.reporter``, started again when it dies.

    One thread owns the process and everything that is known of it. Callers, and a thread that reads the replies, only
    put messages into its queue. A process that is started anew gets every save step that is still owed: the log on disk
    is all that it needs.
    """

    def __init__(self, start: Start, backends: Dispatcher) -> None:
        self._start = start
        self._replies = _Replies(backends)
        self._replies.scalars_through = start.scalars_through
        self._owed: dict[int, Save] = {}
        self._closing: Close | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._deaths = 0
        self._heard = time.monotonic()
        self._queue: SimpleQueue[Notice | Close | _Asked | _Said | _Ended | _Overdue] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="loss_logging-reporter", daemon=True)
        self._thread.start()

    def notice(self, step: int) -> None:
        self._queue.put(Notice(step))

    def save(self, command: Save, future: Future[Path | None]) -> None:
        self._queue.put(_Asked(command, future))

    def close(self, step: int, timeout: float) -> list[str]:
        self._queue.put(Close(step, timeout))
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._queue.put(_Overdue(timeout))
            if (process := self._process) is not None:
                process.kill()  # a write that this process does not take holds up the thread
            self._thread.join(_GRACE_SECONDS)
            ended = f"the reporter process did not finish within {timeout:.3g} s and was ended"
            return [ended, *self._replies.no_report(self._start)]
        if not self._replies.closed:
            ended = "the reporter process died while it was closing; loggers may lack the last reports and scalars"
            return [ended, *self._replies.no_report(self._start)]
        return [*self._replies.undelivered, *self._replies.no_report(self._start)]

    # --- the thread that owns the process -------------------------------------------------------------------------

    def _run(self) -> None:
        self._begin()  # at once: an interpreter that is shutting down, where close() may find us, starts no process
        while self._closing is None or self._process is not None:
            if self._queue.empty():  # else an answer may be among what waits
                self._end_if_silent()
            try:
                message = self._queue.get(timeout=ALIVE_SECONDS)
            except Empty:
                continue
            if isinstance(message, _Said):
                self._hear(message)
            elif isinstance(message, _Ended):
                if message.process is self._process:
                    self._process = None
                    if not self._finished():
                        self._restart()
            elif isinstance(message, _Overdue):
                self._give_up(message)
            else:
                self._pass_on(message)

    def _hear(self, message: _Said) -> None:
        self._heard = message.time
        if isinstance(message.reply, Alive):
            return
        self._deaths = 0
        if isinstance(message.reply, (Saved, Failed)):
            self._owed.pop(message.reply.serial, None)
        self._replies(message.reply)

    def _pass_on(self, message: Notice | Close | _Asked) -> None:
        command: Command
        if isinstance(message, _Asked):
            command = message.command
            self._owed[command.serial] = command
            self._replies.expect(command.serial, message.future)
        else:
            command = message
            if isinstance(command, Close):
                self._closing = command
        if self._process is not None:
            self._send(command)
        else:
            self._begin()

    def _give_up(self, message: _Overdue) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None
        self._fail_owed(f"the reporter did not finish within {message.timeout:.3g} s")

    def _end_if_silent(self) -> None:
        """A process that says nothing for so long is stopped or stuck; its end has it started again."""
        if self._process is not None and time.monotonic() - self._heard > _SILENT_SECONDS:
            warn_once("reporter silent", "the reporter process does not answer; it is ended and started again.")
            self._process.kill()

    def _finished(self) -> bool:
        return self._closing is not None and not self._owed

    def _restart(self) -> None:
        self._deaths += 1
        if self._deaths >= _MAX_DEATHS:
            self._fail_first(f"the reporter process died {self._deaths} times")  # what it died of, as like as not
            self._deaths = 0
        if self._owed:
            warn_once("reporter died", "the reporter process died; it is started again. Training goes on.")
            self._begin()

    def _begin(self) -> None:
        """Start a process and tell it where the run stands and what is owed."""
        start = msgspec.structs.replace(self._start, scalars_through=self._replies.scalars_through)
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        try:
            self._heard = time.monotonic()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "loss_logging.training.reporter"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_SMALL | os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
                start_new_session=True,  # Ctrl-C in the terminal reaches the trainer alone
            )
        except (OSError, RuntimeError) as error:  # RuntimeError: the interpreter is shutting down
            self._fail_owed(f"the reporter process cannot be started: {error}")
            return
        threading.Thread(target=self._read, args=(self._process,), name="loss_logging-replies", daemon=True).start()
        self._send(start, *self._owed.values(), *([self._closing] if self._closing else []))

    def _fail_owed(self, reason: str) -> None:
        while self._owed:
            self._fail_first(reason)

    def _fail_first(self, reason: str) -> None:
        if self._owed:
            save = self._owed.pop(next(iter(self._owed)))
            self._replies.fail(save.step, save.serial, reason)

    def _send(self, *messages: Start | Command) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"".join(msgspec.json.encode(message) + b"\n" for message in messages))
            self._process.stdin.flush()
        except (OSError, ValueError) as error:  # it died; ValueError: the reader saw its end first and closed this
            LOGGER.debug("the reporter process does not listen: %s", error)

    # --- the thread that reads --------------------------------------------------------------------------------------

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        decode: Callable[[bytes], Reply] = msgspec.json.Decoder(Reply).decode
        for line in process.stdout:
            if not line.endswith(b"\n"):  # it died in the middle of a word
                break
            reply = decode(line)
            self._queue.put(_Said(reply, time.monotonic()))
            if isinstance(reply, Closed):
                break
        process.stdout.close()
        try:
            process.stdin.close()
        except OSError:  # what was written and not read when it died
            LOGGER.debug("the reporter process left commands unread")
        process.wait()
        self._queue.put(_Ended(process))
