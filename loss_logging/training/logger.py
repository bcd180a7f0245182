"""LossLogger: the one object that a trainer holds."""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from operator import index
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.records.columns import SCHEMA, table_from_records
from loss_logging.records.log import FOREVER, RecordLog
from loss_logging.records.no_trace import no_trace
from loss_logging.records.record import RecordLike
from loss_logging.records.sampling import Sampler
from loss_logging.reports.artifact import read_without_items
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.support.chance import uniform_of
from loss_logging.support.extras import require
from loss_logging.support.warn import LOGGER
from loss_logging.trackers.backends import select_backends
from loss_logging.trackers.delivery import Dispatcher
from loss_logging.trackers.pictures import load_image_function
from loss_logging.training.late_log import LateLog
from loss_logging.training.messages import Save, Start
from loss_logging.training.ranks.meeting import Rank
from loss_logging.training.ranks.rank_log import Receiver, RemoteLog
from loss_logging.training.recorder import LossRecorder, Unwritten
from loss_logging.training.reporter_client import InlineReporter, ReporterClient, ReporterError, ReporterProcess
from loss_logging.training.run_folder import RunFolder
from loss_logging.training.sigterm import on_sigterm

if TYPE_CHECKING:
    import torch

__all__ = ["LossLogger"]


class LossLogger:
    """Takes the per-sample losses of a training run, and reports on them.

    Nothing that happens behind `log_batch` reaches the training loop: a tracker that hangs, a full disk and a reporter
    that dies are warned about once.

    Args:
        config: a TrainConfig or a mapping of its fields; or give the fields as keyword arguments.

    Raises:
        ConfigError: the configuration is impossible, a logger is unknown, or ``save_root`` cannot be written.
        MissingExtraError: a logger needs a package that is not installed.

    Example:
        >>> import tempfile
        >>> from loss_logging import read_report
        >>> with LossLogger(job_name="cats", save_root=tempfile.mkdtemp(), loggers=[], reporter="inline") as losses:
        ...     losses.log_batch(1, [0.25, 0.75], paths=["1.png", "2.png"], datasets="cats", captions=["cat", "tabby"])
        ...     path = losses.save_step(1).result()
        >>> path.name, read_report(path).global_.mean
        ('cats_000000001.json', 0.5)
    """

    def __init__(self, config: TrainConfig | Mapping[str, Any] | None = None, **options: Any) -> None:
        if config is not None and options:
            raise ConfigError(f"give a config or keyword arguments, not both (got config and {', '.join(options)})")
        given = config if isinstance(config, TrainConfig) else TrainConfig.from_dict(config or options)
        # Absolute: the trainer may change its directory, and a reporter that is started again must find the folder.
        root = given.local_root.absolute()
        self.config = msgspec.structs.replace(given, **{"spool": root.parent} if given.url else {"save_root": root})
        self._rank = Rank.current()
        self._pid = os.getpid()
        self._recorder: LossRecorder | None = None
        self._reporter: ReporterClient | None = None
        self._backends: Dispatcher | None = None
        self._receiver: Receiver | None = None
        self._remote: RemoteLog | None = None
        self._folder: RunFolder | None = None
        self._last_save: tuple[int, int, Future[Path | None]] | None = None
        self._serials = itertools.count(1)
        self._noted: list[str] = []
        self._closed = False
        self._undo_sigterm: Callable[[], None] | None = None
        if self.config.enabled:
            if self.config.html:
                require("html", "jinja2", "PIL")
            if self.config.load_image is not None:
                load_image_function(self.config.load_image)  # which raises here, and not in the middle of training
            self._selection = select_backends(self.config.loggers)
            self._folder = RunFolder(self.config, self._rank)

    @classmethod
    def for_evaluation(cls, config: TrainConfig) -> LossLogger:
        """One whose records replace those of an earlier evaluation under the same name, whose reports stay.

        Raises:
            LossLoggingError: the folder holds a training run of that name.
        """
        losses = cls(config)
        if losses._folder is not None:
            losses._folder.start_evaluation()
        return losses

    def __enter__(self) -> LossLogger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def resume(self, step: int) -> None:
        """Go on after ``step``: records and reports of later steps are removed. ``resume(0)`` starts over.

        Call it before the first batch, on every rank alike. Without it, a run in a used folder moves what it finds
        there into ``loss_logging/archive`` and starts anew.

        Raises:
            ValueError: ``step`` is negative.
            LossLoggingError: a batch was logged already.
        """
        if step < 0:
            raise ValueError(f"step is {step}; expected the step to go on after, 0 or more")
        if self._recorder is not None:
            raise LossLoggingError("resume() after a batch was logged; call it before the first log_batch()")
        if self._folder is not None:
            self._folder.resume(step)

    def log_batch(
        self,
        step: int,
        per_example: Any,
        *,
        paths: Sequence[object],
        datasets: Sequence[object] | str,
        captions: Sequence[object],
        timesteps: Any = None,
        losses_empty: Any = None,
        components: Mapping[str, Any] | None = None,
        is_reg: Any = None,
        caption_dropped: Any = None,
    ) -> None:
        """Log the losses of one batch of B examples. Copies, and never waits for the device that they are on.

        Args:
            step: the training step, 0 or more; several batches may share one (gradient accumulation).
            per_example: the unweighted losses, (B,): a tensor on any device, an array or a list.
            paths: B names that identify the items within their dataset.
            datasets: B names, or one for the whole batch; None and "" are counted as "unknown".
            captions: B captions as the model saw them; None is the empty one.
            timesteps: (B,), on any one scale.
            losses_empty: (B,) losses with the empty caption at the same noise and timestep.
            components: named (B,) weights and terms.
            is_reg: (B,) True for regularisation images.
            caption_dropped: (B,) True where caption dropout replaced the caption.

        Raises:
            ValueError: a length or shape does not fit (B,), or ``step`` is negative; names the argument.
            TypeError: ``paths`` or ``captions`` is one text, or ``step`` no whole number.
        """
        recorder = self._recorder or self._open()
        if recorder is not None:
            recorder.append(
                step,
                per_example,
                paths,
                datasets,
                captions,
                timesteps,
                losses_empty,
                components,
                is_reg,
                caption_dropped,
            )

    def log_records(self, step: int, records: Iterable[RecordLike] | pa.Table) -> None:
        """Log records as SampleRecords or mappings with at least path, dataset, caption, loss; or a table of columns.

        Args:
            step: the training step, 0 or more; it replaces the records' own.
            records: as many as there are; a table has the columns of ``loss_logging.records.columns.SCHEMA``.

        Raises:
            ValueError: a record lacks a key or has a figure that is no number, or ``step`` is negative.
            TypeError: a record is neither a SampleRecord nor a mapping.
            pyarrow.ArrowInvalid: the table has other columns.
        """
        recorder = self._recorder or self._open()
        if recorder is not None:
            table = records.cast(SCHEMA) if isinstance(records, pa.Table) else table_from_records(records)
            recorder.append_table(step, table)

    def is_paired_step(self, step: int) -> bool:
        """Whether to compute this step's losses with the empty caption too, for caption_mismatch.

        A share ``paired_fraction`` of the steps, at random, so that no item is left out for coming at a regular pace.
        The answer depends on the step and ``seed`` alone: it is the same on every rank and after a resume.

        Example:
            >>> import tempfile
            >>> losses = LossLogger(job_name="cats", save_root=tempfile.mkdtemp(), loggers=[], paired_fraction=0.25)
            >>> [step for step in range(1, 21) if losses.is_paired_step(step)]
            [2, 4, 14]
        """
        return (
            self.config.log_per_example and uniform_of("paired", self.config.seed, step) < self.config.paired_fraction
        )

    @contextmanager
    def paired_forward(self, step: int, *modules: torch.nn.Module) -> Iterator[bool]:
        """Around the forward with the empty caption: training goes on bit for bit as if it had not been.

        It gives ``is_paired_step(step)``. Inside, no gradient is recorded; afterwards the random states of Python,
        NumPy and torch (the CPU, CUDA, MPS) are restored, and the buffers of ``modules``, which batch norm changes.
        Generators of your own are yours to restore. Put it right before the step's own forward, with noise and
        timesteps drawn already: both forwards then begin at the same random state, and dropout drops the same in both.

        Example:
            >>> import tempfile, torch
            >>> model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout())
            >>> noisy, caption, empty = torch.randn(3, 2, 4)
            >>> losses = LossLogger(job_name="cats", save_root=tempfile.mkdtemp(), loggers=[], paired_fraction=1)
            >>> with losses.paired_forward(1, model) as wanted:
            ...     losses_empty = model(noisy + empty).square().mean(1) if wanted else None
            >>> loss = model(noisy + caption).square().mean(1)
            >>> losses.log_batch(
            ...     1, loss, paths=["1.png", "2.png"], datasets="d", captions=["cat", "dog"], losses_empty=losses_empty
            ... )
            >>> losses.close()
            []
        """
        wanted = self.is_paired_step(step)
        if not wanted:
            yield False
            return
        with no_trace(*modules):
            yield True

    def add_warning(self, sentence: str) -> None:
        """Have every later report carry ``sentence`` among its ``warnings``: what a reader must know to trust it."""
        self._noted.append(sentence)

    def save_step(self, step: int) -> Future[Path | None]:
        """Have everything up to ``step`` reported: the JSON first, then the loggers. Returns at once.

        Returns:
            A Future of the JSON's path (None when nothing is logged, and on ranks other than 0); it raises a
            ReporterError where there is none. With ``reporter="inline"`` it is done already. The same step asked for
            again, with nothing logged in between, gives the same Future.

        Raises:
            ValueError: ``step`` is negative.
            TypeError: ``step`` is no whole number.
        """
        if (step := index(step)) < 0:
            raise ValueError(f"step is {step}; expected 0 or more")
        recorder = self._recorder or self._open()
        if recorder is None:
            nothing: Future[Path | None] = Future()
            nothing.set_result(None)
            return nothing
        if self._last_save is not None and self._last_save[:2] == (step, recorder.appended):
            return self._last_save[2]
        future: Future[Path | None] = Future()
        self._last_save = (step, recorder.appended, future)
        inline = self.config.reporter == "inline"
        recorder.flush(lambda unwritten: self._report(step, unwritten, future), patient=not inline)
        if inline:
            future.exception()  # waits, and raises nothing
        return future

    def _report(self, step: int, unwritten: Unwritten, future: Future[Path | None]) -> None:
        """In the recorder's thread, when everything up to ``step`` is on disk."""
        if self._reporter is not None:
            warnings = [*self._noted, *self._warnings(unwritten)]
            self._reporter.save(Save(step, warnings, next(self._serials)), future)
        elif self._remote is not None:
            if not unwritten.held:
                self._remote.mark(step)
            if future.set_running_or_notify_cancel():
                future.set_result(None)
        elif future.set_running_or_notify_cancel():
            future.set_exception(ReporterError(f"no report for step {step}: the run's folder cannot be opened yet"))

    def latest(self) -> LossReport | None:
        """The report of the newest save step that is on disk, without the figures of its items, which its `to_pandas`
        reads; None before the first one. A notebook shows it.

        Raises:
            LossLoggingError: the file is damaged.
        """
        paths = self.config.report_paths()
        return read_without_items(paths[-1]) if paths else None

    def close(self) -> list[str]:
        """Write what is left, close what was opened, within ``close_timeout_seconds``; say what was not delivered.

        Returns:
            One sentence for each thing that was not delivered; they are logged as warnings too.
        """
        atexit.unregister(self.close)
        if self._closed or os.getpid() != self._pid:  # a forked child shares the object, and not the threads
            return []
        self._closed = True
        recorder, self._recorder = self._recorder, None  # what is logged from here on is refused, not lost
        undelivered = self._finish(recorder) if recorder is not None else []
        if self._folder is not None:
            self._folder.release()
        if self._undo_sigterm is not None:
            self._undo_sigterm()
        for sentence in undelivered:
            LOGGER.warning("%s", sentence)
        return undelivered

    def _finish(self, recorder: LossRecorder) -> list[str]:
        deadline = time.monotonic() + self.config.close_timeout_seconds
        unwritten = recorder.close(self.config.close_timeout_seconds)
        undelivered = self._warnings(unwritten)
        if self._remote is not None and not unwritten.held:
            self._remote.mark(FOREVER)
        if self._reporter is not None:
            undelivered += self._reporter.close(recorder.last_step, deadline - time.monotonic())
        if self._backends is not None:
            undelivered += map(str, self._backends.close(deadline - time.monotonic()))
        if self._receiver is not None:
            self._receiver.close(deadline - time.monotonic())
        return undelivered

    # --- behind the first batch -------------------------------------------------------------------------------------

    def _open(self) -> LossRecorder | None:
        """Start the thread and the reporter; None when nothing is to be logged."""
        if self._folder is None:
            return None
        if self._closed:
            raise LossLoggingError("this LossLogger is closed; make a new one")
        log: RecordLog | RemoteLog | LateLog = self._folder.log
        try:
            self._open_run(self._folder)
        except OSError:  # the disk was fine when the logger was made; what it says now is warned about at each write
            log = LateLog(self._folder.log, functools.partial(self._open_run, self._folder))
        if self._rank.rank != 0:
            log = self._remote = RemoteLog(self._folder.log, self._folder.meeting)
        sampler = Sampler(self.config.sample_fraction, self.config.max_records_per_step, self.config.seed)
        self._recorder = LossRecorder(
            log,
            sampler if self.config.log_per_example else lambda batch: _anonymous(sampler(batch)),
            self.config.flush_seconds,
            self._notice,
            drop_overload=self.config.overload == "drop",
        )
        atexit.register(self.close)
        self._undo_sigterm = on_sigterm(self.close)
        return self._recorder

    def _open_run(self, folder: RunFolder) -> None:
        run = folder.open()
        if self._rank.rank == 0:
            self._start_reporter(folder, run)

    def _notice(self, step: int) -> None:
        """In the recorder's thread, after each shard. Ranks other than 0 have no reporter to tell."""
        if self._reporter is not None:
            self._reporter.notice(step)

    def _start_reporter(self, folder: RunFolder, run: str) -> None:
        selection, store, world_size = self._selection, folder.meeting.store, self._rank.world_size
        if store is not None:
            self._receiver = Receiver(folder.log, run, world_size, store)
        self._backends = Dispatcher(selection.trainer, self.config)
        start = Start(
            config=self.config.to_dict(),
            backends=selection.reporter,
            world_size=world_size,
            run=run,
            resumed_from=folder.resumed_from,
            scalars_through=folder.scalars_through(),
            forward=bool(selection.trainer),
        )
        kind = InlineReporter if self.config.reporter == "inline" else ReporterProcess
        self._reporter = kind(start, self._backends)

    def _warnings(self, unwritten: Unwritten) -> list[str]:
        sentences = []
        if unwritten.held:
            sentences.append(f"{unwritten.held} records are not included: the disk does not take them")
        if unwritten.dropped:
            sentences.append(
                f"{unwritten.dropped} records are lost: the disk refused them for too long, or they could not be read"
            )
        if unwritten.overload:
            sentences.append(f"{unwritten.overload} records are dropped: they came faster than they can be written")
        return sentences


def _anonymous(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same records without what identifies an item."""
    for name in ("path", "caption"):
        place = batch.schema.get_field_index(name)
        batch = batch.set_column(place, batch.schema.field(place), pa.array([""] * batch.num_rows))
    return batch
