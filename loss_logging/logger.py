"""LossLogger: the one object that a trainer holds."""

from __future__ import annotations

import atexit
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from loss_logging.artifacts import items_path
from loss_logging.backends import select_backends
from loss_logging.columns import table_from_records
from loss_logging.config import TrainConfig
from loss_logging.delivery import Dispatcher
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.files import remove_leftovers
from loss_logging.lock import RunLock
from loss_logging.messages import Save, Start
from loss_logging.ranks import Rank
from loss_logging.record_log import RecordLog
from loss_logging.recorder import LossRecorder, Unwritten
from loss_logging.records import RecordLike
from loss_logging.reporter_client import InlineReporter, ReporterClient, ReporterProcess
from loss_logging.sampling import Sampler
from loss_logging.sigterm import on_sigterm
from loss_logging.warn import LOGGER

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
        self.config = config if isinstance(config, TrainConfig) else TrainConfig.from_dict(config or options)
        self._rank = Rank.current()
        self._pid = os.getpid()
        self._recorder: LossRecorder | None = None
        self._reporter: ReporterClient | None = None
        self._backends: Dispatcher | None = None
        self._resumed_from: int | None = None
        self._last_save: tuple[int, int, Future[Path | None]] | None = None
        self._closed = False
        self._undo_sigterm: Callable[[], None] | None = None
        if self.config.enabled:
            self._selection = select_backends(self.config.loggers)
            _make_folder(self.config)
            self._log = RecordLog(self.config.records_dir, *self._rank)
            self._lock = RunLock(self.config.records_dir, self._rank.rank)

    def __enter__(self) -> LossLogger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def resume(self, step: int) -> None:
        """Go on after ``step``: records and reports of later steps are removed. ``resume(0)`` starts over.

        Call it before the first batch. Without it, a run in a used folder moves what it finds there into
        ``loss_logging/archive`` and starts anew.

        Raises:
            ValueError: ``step`` is negative.
            LossLoggingError: a batch was logged already.
        """
        if step < 0:
            raise ValueError(f"step is {step}; expected the step to go on after, 0 or more")
        if self._recorder is not None:
            raise LossLoggingError("resume() after a batch was logged; call it before the first log_batch()")
        if not self.config.enabled:
            return
        self._lock.acquire()
        self._resumed_from = step
        self._log.truncate(step if step > 0 else -1)
        if self._rank.rank == 0:
            for path in self.config.report_paths():
                if path.name > self.config.report_path(step).name or step == 0:
                    path.unlink(missing_ok=True)
                    items_path(path).unlink(missing_ok=True)

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

    def log_records(self, step: int, records: Iterable[RecordLike]) -> None:
        """Log records one by one, as SampleRecords or mappings with at least path, dataset, caption, loss.

        Args:
            step: the training step, 0 or more; it replaces the records' own.
            records: as many as there are.

        Raises:
            ValueError: a record lacks a key or has a figure that is no number, or ``step`` is negative.
            TypeError: a record is neither a SampleRecord nor a mapping.
        """
        recorder = self._recorder or self._open()
        if recorder is not None:
            recorder.append_table(step, table_from_records(records))

    def save_step(self, step: int) -> Future[Path | None]:
        """Have everything up to ``step`` reported: the JSON first, then the loggers. Returns at once.

        Returns:
            A Future of the JSON's path (None when nothing is logged); it raises a ReporterError where there is none.
            With ``reporter="inline"`` it is done already. The same step asked for again, with nothing logged in
            between, gives the same Future.
        """
        if not isinstance(step, int) or step < 0:
            raise ValueError(f"step is {step!r}; expected a whole number, 0 or more")
        recorder = self._recorder or self._open()
        future: Future[Path | None] = Future()
        if recorder is None or self._reporter is None:
            future.set_result(None)
            return future
        if self._last_save is not None and self._last_save[:2] == (step, recorder.appended):
            return self._last_save[2]
        self._last_save = (step, recorder.appended, future)
        reporter = self._reporter
        recorder.flush(lambda unwritten: reporter.save(Save(step, self._warnings(unwritten)), future))
        if self.config.reporter == "inline":
            future.exception()  # waits, and raises nothing
        return future

    def close(self) -> list[str]:
        """Write what is left, close what was opened, within ``close_timeout_seconds``; say what was not delivered.

        Returns:
            One sentence for each thing that was not delivered; they are logged as warnings too.
        """
        atexit.unregister(self.close)
        if self._closed or os.getpid() != self._pid:  # a forked child shares the object, and not the threads
            return []
        self._closed = True
        undelivered = self._finish(self._recorder) if self._recorder is not None else []
        if self.config.enabled:
            self._lock.release()
        if self._undo_sigterm is not None:
            self._undo_sigterm()
        for sentence in undelivered:
            LOGGER.warning("%s", sentence)
        return undelivered

    def _finish(self, recorder: LossRecorder) -> list[str]:
        deadline = time.monotonic() + self.config.close_timeout_seconds
        unwritten = recorder.close(self.config.close_timeout_seconds)
        undelivered = self._warnings(unwritten)
        if self._reporter is not None:
            undelivered += self._reporter.close(recorder.last_step, deadline - time.monotonic())
        if self._backends is not None:
            undelivered += map(str, self._backends.close(deadline - time.monotonic()))
        return undelivered

    # --- behind the first batch -------------------------------------------------------------------------------------

    def _open(self) -> LossRecorder | None:
        """Start the thread and the reporter; None when nothing is to be logged."""
        if not self.config.enabled:
            return None
        if self._closed:
            raise LossLoggingError("this LossLogger is closed; make a new one")
        self._lock.acquire()
        if self._resumed_from is None:
            self._leave_behind()
        self._remove_leftovers()
        if self._rank.rank == 0:
            self._backends = Dispatcher(self._selection.trainer, self.config)
            start = Start(
                config=self.config.to_dict(),
                backends=self._selection.reporter,
                world_size=self._rank.world_size,
                resumed_from=self._resumed_from,
                scalars_through=self._resumed_from or -1,
                forward=bool(self._selection.trainer),
            )
            kind = InlineReporter if self.config.reporter == "inline" else ReporterProcess
            self._reporter = kind(start, self._backends)
        sampler = Sampler(self.config.sample_fraction, self.config.max_records_per_step, self.config.seed)
        self._recorder = LossRecorder(
            self._log,
            sampler if self.config.log_per_example else lambda batch: _anonymous(sampler(batch)),
            self.config.flush_seconds,
            self._reporter.notice if self._reporter is not None else _ignore,
            drop_overload=self.config.overload == "drop",
        )
        atexit.register(self.close)
        self._undo_sigterm = on_sigterm(self.close)
        return self._recorder

    def _leave_behind(self) -> None:
        """Move an earlier run of the same name out of the way, or refuse to.

        Raises:
            LossLoggingError: there is one, and the configuration says to refuse.
        """
        reports = self.config.report_paths() if self._rank.rank == 0 else []
        used = [*self._log.owned(), *reports, *(path for path in map(items_path, reports) if path.exists())]
        if not used:
            return
        if self.config.existing == "refuse":
            self._lock.release()
            raise LossLoggingError(
                f"{self.config.out_dir} holds an earlier run named {self.config.job_name!r}: call resume(step) before "
                'the first batch to go on with it, resume(0) to replace it, or set existing="archive" to move it away'
            )
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
        archive = self.config.out_dir / "archive" / f"{self.config.job_name}-{now}"
        archive.mkdir(parents=True, exist_ok=True)
        for path in used:
            shutil.move(path, archive / path.name)
        LOGGER.warning(
            "%s holds an earlier run named %r; its records and reports were moved to %s. "
            "To go on with a run instead, call resume(step) before the first batch.",
            self.config.out_dir,
            self.config.job_name,
            archive,
        )

    def _remove_leftovers(self) -> None:
        remove_leftovers(self.config.records_dir, f"rank{self._rank.rank:05d}-")
        if self._rank.rank == 0:
            remove_leftovers(self.config.out_dir, f"{self.config.job_name}_")

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
        if self._rank.world_size > 1:
            sentences.append(
                f"records of the {self._rank.world_size - 1} other ranks are included as far as they were on disk"
            )
        return sentences


def _ignore(_step: int) -> None:
    """Ranks other than 0 have no reporter to tell."""


def _make_folder(config: TrainConfig) -> None:
    folder, root = config.records_dir, Path(config.save_root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
        inside = folder.resolve().is_relative_to(root.resolve())
    except OSError as error:
        raise ConfigError(
            f"save_root: cannot write to {folder}: {error.strerror}; give a folder that this process may write to"
        ) from error
    if not inside:
        raise ConfigError(
            f"save_root: {folder} leads out of {root}, to {folder.resolve()}; remove the link, or give that folder"
        )


def _anonymous(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same records without what identifies an item."""
    for name in ("path", "caption"):
        place = batch.schema.get_field_index(name)
        batch = batch.set_column(place, batch.schema.field(place), pa.array([""] * batch.num_rows))
    return batch
