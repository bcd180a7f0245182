"""Reporter: log -> statistics -> report -> JSON -> backends.

It runs in a process of its own, ``python -m loss_logging.training.reporter``, so that none of its work holds the
trainer's interpreter; or inline in the caller. Either way the record log on disk is all that it reads.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import msgspec

from loss_logging.records.log import RecordLog
from loss_logging.reports.names import items_path
from loss_logging.reports.report import LossReport, loss_scalar_name
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.facts import RunFacts
from loss_logging.runs.paths import opened_run
from loss_logging.runs.store.upload import Uploader
from loss_logging.support.pandas_free import leave_pandas_out
from loss_logging.support.warn import LOGGER, warn_once
from loss_logging.trackers.delivery import Dispatcher
from loss_logging.trackers.pictures import PictureMaker
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
from loss_logging.training.ranks.awaited import AwaitedRanks
from loss_logging.training.report_maker import ReportMaker
from loss_logging.training.rivals import RivalFinder

if TYPE_CHECKING:
    from loss_logging.pages.build import PageBuilder

__all__ = ["Reporter", "main"]

_COMPACT_FILES = 64
_UPLOAD_SHARE = 0.9
"""Of the time to close: the trainer waits no longer than that for the answer."""
_NICENESS = 10
_EARLY_CHECKS = 16
"""How often captions are checked between two save steps: each time reads the log, and records come more often."""
_ORPHAN_SECONDS = 60.0
"""How long the backends may take when the trainer died and nobody waits."""


class Reporter:
    """Answers `Command` with `Reply`, and hands reports and scalars to its own backends.

    Args:
        start: the run's configuration and where it stands.
        reply: called with each reply, in order.
    """

    def __init__(self, start: Start, reply: Callable[[Reply], None]) -> None:
        self._start = start
        self._config = TrainConfig.from_dict(start.config | {"loggers": []})
        self._reply = reply
        self._begun = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._scalars_through = start.scalars_through
        self._log = RecordLog(self._config.records_dir)
        self._ranks = AwaitedRanks(self._log, start.run, start.world_size, self._config.timeouts.ranks)
        facts = RunFacts(start.config, start.world_size, start.resumed_from)
        self._maker = ReportMaker(self._config, self._log, facts)
        self._backends = Dispatcher(start.backends, self._config)
        self._page = _page_builder(self._config)
        self._pictures = PictureMaker(self._config)
        self._rivals = RivalFinder(self._config, self._maker.statistics.rival_items)
        self._mirror = Uploader(self._config, start.run) if self._config.url is not None else None
        self._refused: dict[int, Save] = {}
        self._caught_up = self._catch_up()

    def handle(self, command: Command) -> None:
        """Do what the command says; whatever goes wrong becomes a `Failed` reply or a warning, never an exception."""
        for refused in list(self._refused.values()):  # the disk may have room again
            self._attempt(refused)
        self._attempt(command)

    def _attempt(self, command: Command) -> None:
        try:
            if self._is_superseded() and not isinstance(command, Close):
                self._give_up(command)
            elif isinstance(command, Notice):
                self._notice(self._ranks.complete(command.step))
            elif isinstance(command, Save):
                self._save(command)
            else:
                self._close(command)
        except duckdb.Error as error:
            if self._log.leave_out_damaged():  # then it was this, and the next attempt does without
                self._attempt(command)
            else:
                self._failed(command, error)
        except Exception as error:  # noqa: BLE001 the boundary between reporting and training: nothing passes it
            self._failed(command, error)

    def _failed(self, command: Command, error: Exception) -> None:
        LOGGER.debug("%s failed", command, exc_info=error)
        reason = f"{type(error).__name__}: {error}"
        if isinstance(command, Save) and isinstance(error, (OSError, duckdb.IOException)):
            self._refused[command.serial] = command
            warn_once("refused", f"the report of step {command.step} cannot be written ({reason}); it is tried again")
        elif isinstance(command, Save):
            self._reply(Failed(command.step, reason, command.serial))
        else:
            warn_once(f"reporter {type(error).__name__}", f"the reporter could not do {command}: {reason}")

    def _is_superseded(self) -> bool:
        """Whether another trainer has the folder now: this one's was killed, and what it asked for is not wanted."""
        return opened_run(self._config.paths) != self._start.run

    def _give_up(self, command: Notice | Save) -> None:
        if isinstance(command, Save):
            self._refused.pop(command.serial, None)
            self._reply(Failed(command.step, "another run has begun in its folder", command.serial))

    def _catch_up(self) -> set[int]:
        """Offer the backends what a reporter that died had not delivered; the steps of the reports among it."""
        try:
            return self._backends.catch_up(self._scalars_through)
        except Exception as error:  # noqa: BLE001 loss-logging push finds it too
            warn_once("catch up", f"what was not delivered before cannot be now: {type(error).__name__}: {error}")
            return set()

    def _notice(self, complete: int) -> None:
        every = self._config.log_every
        self._report_scalars(complete // every * every)
        if self._config.log_per_example:
            part = max(1, self._config.save_every // _EARLY_CHECKS)
            self._maker.captions.check_early(complete // part * part)
        if len(self._log.files()) > _COMPACT_FILES:
            self._log.compact()

    def _save(self, command: Save) -> None:
        missing = self._ranks.wait(command.step)
        windows = self._windows(command.step)
        # The means of the window that ends here go with the report; trackers would show two points for one step else.
        recent = windows.pop()[1] if windows and windows[-1][0] == command.step else {}
        self._send_scalars(windows, windows[-1][0] if windows else self._scalars_through)
        warnings = [*command.warnings, *missing, *self._ranks.notes()]
        report = self._maker.report(command.step, recent, warnings, command.excluded)
        if self._start.resumed_from is None:  # else the log is also of trainings before a decision
            sentences = [*report.warnings, *self._maker.trained_although_excluded(self._begun)]
            report = msgspec.structs.replace(report, warnings=sentences)
        if self._is_superseded():  # in the meantime
            self._give_up(command)
            return
        path = self._maker.write(report)
        self._send_scalars([], command.step)
        self._refused.pop(command.serial, None)
        if self._start.backends or self._start.forward:
            report = self._pictures.added_to(report)
        # First: a backend that ends the process must not have the report made again.
        self._reply(Saved(command.step, str(path), report if self._start.forward else None, command.serial))
        if command.step not in self._caught_up:
            self._backends.write(report)
        self._caught_up.discard(command.step)
        self._prune()
        self._refresh_page(report)
        if command.rivals:
            self._rivals.look()
        if self._mirror is not None:
            self._mirror.wake()

    def _refresh_page(self, report: LossReport) -> None:
        if self._page is None:
            return
        try:
            self._page.refresh(report, self._maker.items(), self._log, self._maker.statistics.queries)
        except Exception as error:  # noqa: BLE001 the report is written, and the page is made again at the next one
            warn_once(
                "page", f"the report page of step {report.job.step} was not written: {type(error).__name__}: {error}"
            )

    def _report_scalars(self, through: int) -> None:
        if through > self._scalars_through:
            self._send_scalars(self._windows(through), through)

    def _windows(self, through: int) -> list[tuple[int, dict[str, float]]]:
        """Mean loss per dataset of each window of steps since the last one reported, as (last step, means)."""
        if not self._config.log_per_dataset:
            return []
        return self._maker.statistics.recent(self._scalars_through, through, self._config.log_every)

    def _send_scalars(self, windows: list[tuple[int, dict[str, float]]], through: int) -> None:
        rows = [
            (step, {loss_scalar_name(self._config.prefix, dataset): mean for dataset, mean in means.items()})
            for step, means in windows
        ]
        for row in rows:
            self._backends.write_scalars(*row)
        self._scalars_through = max(through, self._scalars_through)
        self._reply(Scalars(self._scalars_through, rows if self._start.forward else []))

    def _close(self, command: Close) -> None:
        deadline = time.monotonic() + command.timeout * _UPLOAD_SHARE
        if not self._is_superseded():
            self._report_scalars(command.step)
        for save in self._refused.values():
            self._reply(Failed(save.step, "its file could not be written to the end", save.serial))
        self._rivals.close()
        undelivered = list(map(str, self._backends.close(command.timeout)))
        if self._mirror is not None:
            undelivered += self._mirror.close(deadline - time.monotonic())
        self._maker.close()
        self._reply(Closed(undelivered))

    def _prune(self) -> None:
        if self._config.keep_reports is not None:
            for path in self._config.report_paths()[: -self._config.keep_reports]:
                path.unlink(missing_ok=True)
                items_path(path).unlink(missing_ok=True)


def _page_builder(config: TrainConfig) -> PageBuilder | None:
    if not config.html:
        return None
    from loss_logging.pages.build import PageBuilder  # needs the extra view

    return PageBuilder(config)


def main() -> None:
    """Run a Reporter on the commands that arrive on standard input, until `Close` or until the trainer is gone."""
    # Replies get standard output for themselves: a tracker's SDK that prints must not break the protocol.
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    _be_nice()
    leave_pandas_out()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's to handle; it closes us in order

    writing = threading.Lock()

    def reply(message: Reply) -> None:
        try:
            with writing:
                replies.write(msgspec.json.encode(message) + b"\n")
        except BrokenPipeError:  # the trainer is gone; what it asked for is still worth finishing
            LOGGER.debug("no one reads %s", type(message).__name__)

    threading.Thread(target=_beat, args=(reply,), daemon=True).start()
    start = msgspec.json.decode(sys.stdin.buffer.readline(), type=Start)
    reporter = Reporter(start, reply)
    decoder = msgspec.json.Decoder(Command)
    last: Command = Notice(start.scalars_through)
    for line in sys.stdin.buffer:
        last = decoder.decode(line)
        reporter.handle(last)
    if not isinstance(last, Close):
        reporter.handle(Close(last.step, _ORPHAN_SECONDS))


def _be_nice() -> None:
    """Leave the processor to training."""
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    autogroup = Path("/proc/self/autogroup")
    if autogroup.exists():  # Linux: a session has a group of its own, and niceness counts only within one
        try:
            autogroup.write_text(str(_NICENESS), "ascii")
        except OSError as error:
            LOGGER.debug("the scheduler's group stays as nice as it is: %s", error)


def _beat(reply: Callable[[Reply], None]) -> None:
    """Tell the trainer that this process still runs, however long a query takes."""
    while True:
        reply(Alive())
        time.sleep(ALIVE_SECONDS)


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # everything is closed; what a tracker that was given up on still has registered may block for ever
