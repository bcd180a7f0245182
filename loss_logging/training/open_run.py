"""A run from its first batch on: the recorder's thread, and on rank 0 the reporter and the trackers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pyarrow as pa

from loss_logging.records.log import FOREVER, ShardSink
from loss_logging.records.sampling import Sampler
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.exclusions import Exclusions
from loss_logging.support.warn import begin_warnings
from loss_logging.trackers.backends import ChosenBackends
from loss_logging.trackers.delivery import Dispatcher
from loss_logging.training.late_log import LateLog
from loss_logging.training.messages import Save, Start
from loss_logging.training.ranks.meeting import Rank
from loss_logging.training.ranks.rank_log import RankLog, RankReceiver
from loss_logging.training.recorder import LossRecorder, Unwritten
from loss_logging.training.reporter_client import InlineReporter, ReporterClient, ReporterError, ReporterProcess
from loss_logging.training.rivals import KnownRivals
from loss_logging.training.run_folder import RunFolder

__all__ = ["OpenRun"]


class OpenRun:
    """Opened by :meth:`start`; an interrupted start may be repeated, and closed.

    Args:
        config: of the run.
        rank: of this process.
        folder: of the run.
        selection: the loggers.
        notes: gives what every report must say.
        rivals: looked for again after each shard.
        exclusions: count what has been left out of the training.
    """

    def __init__(
        self,
        config: TrainConfig,
        rank: Rank,
        folder: RunFolder,
        selection: ChosenBackends,
        notes: Callable[[], list[str]],
        rivals: KnownRivals,
        exclusions: Exclusions,
    ) -> None:
        self._config = config
        self._rank = rank
        self._folder = folder
        self._selection = selection
        self._notes = notes
        self._rivals = rivals
        self._exclusions = exclusions
        self._recorder: LossRecorder | None = None
        self._backends: Dispatcher | None = None
        self._receiver: RankReceiver | None = None
        self._remote: RankLog | None = None
        self._serials = itertools.count(1)
        self.reporter: ReporterClient | None = None

    def start(self) -> LossRecorder:
        """Take the folder, and start the threads and the reporter.

        Raises:
            LossLoggingError: another process holds the folder, or an earlier run is there that is to be left alone.
        """
        begin_warnings()
        log: ShardSink = self._folder.log
        try:
            self._open()
        except OSError:  # the disk was fine when the logger was made; what it says now is warned about at each write
            log = LateLog(self._folder.log, self._open)
        if self._rank.rank != 0:
            log = self._remote = RankLog(self._folder.log, self._folder.meeting)
        config = self._config
        sampler = Sampler(config.sample_fraction, config.max_records_per_step, config.seed)
        self._recorder = LossRecorder(
            log,
            sampler if config.log_per_example else lambda batch: _anonymous(sampler(batch)),
            config.timeouts.flush,
            self._notice,
        )
        return self._recorder

    def save(self, recorder: LossRecorder, step: int) -> Future[Path | None]:
        """Have everything up to ``step`` written, and then reported."""
        future: Future[Path | None] = Future()
        inline = self._config.reporter == "inline"
        # Another rank has no report to wait for; what it cannot write yet, it marks when it is written.
        patient = not inline and self._rank.rank == 0
        recorder.flush(lambda unwritten: self._report(step, unwritten, future), patient=patient)
        if inline:
            future.exception()  # waits, and raises nothing
        return future

    def close(self, timeout: float) -> list[str]:
        """Write what is left and close what was opened within ``timeout`` seconds; what was not delivered."""
        deadline = time.monotonic() + timeout
        undelivered, last_step = [], 0
        if self._recorder is not None:
            unwritten = self._recorder.close(timeout)
            undelivered, last_step = unwritten.sentences(), self._recorder.last_step
            if self._remote is not None and not unwritten.held:
                self._remote.mark(FOREVER, self._notes())
        if self.reporter is not None:
            undelivered += self.reporter.close(last_step, deadline - time.monotonic())
        if self._backends is not None:
            undelivered += map(str, self._backends.close(deadline - time.monotonic()))
        if self._receiver is not None:
            self._receiver.close(deadline - time.monotonic())
        return undelivered

    def _open(self) -> None:
        if self.reporter is not None:  # a start that was interrupted has come so far
            return
        run = self._folder.open(self._exclusions.counts)
        if self._rank.rank == 0:
            self._start_reporter(run)

    def _start_reporter(self, run: str) -> None:
        selection, store, world_size = self._selection, self._folder.meeting.store, self._rank.world_size
        if store is not None:
            self._receiver = RankReceiver(self._folder.log, run, world_size, store)
        self._backends = Dispatcher(selection.trainer, self._config)
        start = Start(
            config=self._config.to_dict(),
            backends=selection.reporter,
            world_size=world_size,
            run=run,
            resumed_from=self._folder.resumed_from,
            scalars_through=self._folder.scalars_through(),
            forward=bool(selection.trainer),
        )
        kind = InlineReporter if self._config.reporter == "inline" else ReporterProcess
        self.reporter = kind(start, self._backends)

    # --- in the recorder's thread -----------------------------------------------------------------------------------

    def _notice(self, step: int) -> None:
        """After each shard. Ranks other than 0 have no reporter, and tell rank 0."""
        self._rivals.refresh()
        if self.reporter is not None:
            self.reporter.notice(step)
        elif self._remote is not None:
            self._remote.tell(self._notes())

    def _report(self, step: int, unwritten: Unwritten, future: Future[Path | None]) -> None:
        """When everything up to ``step`` is on disk, or will not be."""
        if self.reporter is not None:
            warnings = [*self._notes(), *unwritten.sentences()]
            self.reporter.save(
                Save(step, warnings, next(self._serials), self._exclusions.counts, self._rivals.asked), future
            )
        elif self._remote is not None:
            self._remote.mark(step, self._notes(), later=unwritten.held > 0)
            if future.set_running_or_notify_cancel():
                future.set_result(None)
        elif future.set_running_or_notify_cancel():
            future.set_exception(ReporterError(f"no report for step {step}: the run's folder cannot be opened yet"))


def _anonymous(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same records without what identifies an item."""
    for name in ("path", "caption"):
        place = batch.schema.get_field_index(name)
        batch = batch.set_column(place, batch.schema.field(place), pa.array([""] * batch.num_rows))
    return batch
