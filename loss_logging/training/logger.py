"""LossLogger: the one object that a trainer holds."""

from __future__ import annotations

import atexit
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

import msgspec
import pyarrow as pa

from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.records.columns import table_from_records, whole_step
from loss_logging.records.in_flight import refuse_odd_tensors
from loss_logging.records.no_trace import no_trace
from loss_logging.records.record import RecordLike
from loss_logging.records.tables import table_of_records
from loss_logging.reports.artifact import read_without_items
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.exclusions import Exclusions
from loss_logging.support.chance import uniform_of
from loss_logging.support.extras import require
from loss_logging.support.forks import leave_to_parent
from loss_logging.support.images import load_image_function
from loss_logging.support.warn import LOGGER, warn_once
from loss_logging.trackers.backends import select_backends
from loss_logging.training.open_run import OpenRun
from loss_logging.training.ranks.meeting import Rank
from loss_logging.training.recorder import LossRecorder
from loss_logging.training.rivals import KnownRivals
from loss_logging.training.run_folder import RunFolder
from loss_logging.training.sigterm import on_sigterm

if TYPE_CHECKING:
    import torch

__all__ = ["Compared", "LossLogger"]

Compared: TypeAlias = Literal["empty", "rival"]
"""What captions are compared with on a paired step."""
_RIVAL_SHARE = 0.5
"""Of the paired steps. Beside the empty caption a rival finds most (docs/reading_scores.md); alone it is no verdict."""


class LossLogger:
    """Takes the per-sample losses of a training run, and reports on them.

    Nothing that happens behind `log_batch` reaches the training loop: a tracker that hangs, a full disk and a reporter
    that dies are warned about once.

    Args:
        config: a TrainConfig or a mapping of its fields; or give the fields as keyword arguments.

    Attributes:
        exclusions: which items are to be left out of the training, see :class:`~loss_logging.Exclusions`; before the
            training, ``exclusions.subset(dataset, paths)`` is the dataset without them. Reports say how many were.

    Raises:
        ConfigError: the configuration is impossible, a logger is unknown, ``save_root`` cannot be written, or there is
            no list ``exclude``.
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
        self.exclusions = Exclusions(self.config)
        self._rank = Rank.current()
        self._rivals = KnownRivals(self.config)
        self._pid = os.getpid()
        self._recorder: LossRecorder | None = None
        self._run: OpenRun | None = None
        self._folder: RunFolder | None = None
        self._last_save: tuple[int, int, Future[Path | None]] | None = None
        self._noted: list[str] = []
        self._unlogged: Counter[str] = Counter()
        self._opening = threading.RLock()  # a signal's handler may close in the middle of it
        self._closed: str | None = None
        self._undo_sigterm: Callable[[], None] | None = None
        if self.config.enabled:
            if self.config.html:
                require("view", "jinja2", "PIL")
            if self.config.pictures.load is not None:
                load_image_function(self.config.pictures.load)  # which raises here, and not in the middle of training
            self._selection = select_backends(self.config.loggers)
            self._folder = RunFolder(self.config, self._rank, self._give_way)
            leave_to_parent(self, LossLogger._forget)

    @classmethod
    def for_evaluation(cls, config: TrainConfig) -> LossLogger:
        """One whose records replace those of an earlier evaluation under the same name, whose reports stay.

        Raises:
            LossLoggingError: the folder holds a training run of that name.
        """
        losses = cls(config)
        losses._rivals.asked = False  # nothing is trained that could be compared with what would be found
        if losses._folder is not None:
            losses._folder.start_evaluation()
        return losses

    def __enter__(self) -> LossLogger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a LossLogger cannot be pickled or copied: its threads and files are this process's. Send its config, and "
            "make LossLogger(config) in the process that trains; keep it out of modules that are copied, and of what "
            "the workers of a DataLoader get"
        )

    def resume(self, step: int) -> None:
        """Go on after ``step``: records and reports of later steps are removed. ``resume(0)`` starts over.

        Call it before the first batch, on every rank alike. Without it, a run in a used folder moves what it finds
        there into ``loss_logging/archive`` and starts anew.

        Raises:
            ValueError: ``step`` is negative.
            TypeError: ``step`` is no whole number.
            LossLoggingError: a batch was logged already.
        """
        step = whole_step(step)
        if self._recorder is not None:
            raise LossLoggingError("resume() after a batch was logged; call it before the first log_batch()")
        if self._folder is not None and self._is_ours():
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
        losses_rival: Any = None,
        rivals: Sequence[object] | None = None,
    ) -> None:
        """Log the losses of one batch of B examples. Copies, and never waits for the device that they are on.

        Several threads may call it. A process that was forked from the one that made the logger logs nothing, and says
        so once.

        Args:
            step: the training step, 0 or more; several batches may share one (gradient accumulation).
            per_example: the unweighted losses, (B,): a tensor on any device, an array or a list.
            paths: B names that identify the items within their dataset: texts or numbers, also in a tensor, an array or
                a column of a frame.
            datasets: B names, or one for the whole batch; None and "" are counted as "unknown".
            captions: B captions as the model saw them; None is the empty one.
            timesteps: (B,), on any one scale.
            losses_empty: (B,) losses with the empty caption at the same noise and timestep.
            components: named (B,) weights and terms.
            is_reg: (B,) True for regularisation images; None is False.
            caption_dropped: (B,) True where caption dropout replaced the caption; None is False.
            losses_rival: (B,) losses with the captions ``rivals`` at the same noise and timestep.
            rivals: B other captions, as `rivals_of` gives them; where one is "", its loss is that of the empty caption.

        Raises:
            ValueError: a length or shape does not fit (B,), a tensor is sparse, nested or quantized, or ``step`` is
                negative; names the argument.
            TypeError: ``paths`` or ``captions`` is one text, or ``step`` no whole number.
            LossLoggingError: the logger is closed, or another process writes the run.
        """
        recorder = self._recorder or self._open()
        if recorder is not None:
            try:
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
                    losses_rival,
                    rivals,
                )
            except RuntimeError:  # torch's own says neither which argument nor what to do
                refuse_odd_tensors(
                    {
                        "per_example": per_example,
                        "paths": paths,
                        "datasets": datasets,
                        "captions": captions,
                        "timesteps": timesteps,
                        "losses_empty": losses_empty,
                        "is_reg": is_reg,
                        "caption_dropped": caption_dropped,
                        "losses_rival": losses_rival,
                    }
                    | {f"components[{name!r}]": figures for name, figures in (components or {}).items()}
                )
                raise

    def log_records(self, step: int, records: Iterable[RecordLike] | pa.Table) -> None:
        """Log records as SampleRecords or mappings with at least path, dataset, caption, loss; or a table of columns.

        Args:
            step: the training step, 0 or more; it replaces the records' own.
            records: as many as there are, or a frame of pandas or Polars; a table of Arrow has the columns path,
                dataset, caption and loss, and any others of ``loss_logging.records.columns.SCHEMA``.

        Raises:
            ValueError: a record or the table lacks a key or has a figure that is no number, or ``step`` is negative.
            TypeError: a record is neither a SampleRecord nor a mapping.
        """
        recorder = self._recorder or self._open()
        if recorder is not None:
            table = table_of_records(records) if isinstance(records, pa.Table) else table_from_records(records)
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
    def paired_forward(self, step: int, *modules: torch.nn.Module) -> Iterator[Compared | None]:
        """Around the forward with another caption: training goes on bit for bit as if it had not been.

        It gives what to compare the step's captions with: "empty", the empty caption, or "rival", those of `rivals_of`;
        by turns at random. It gives None on steps that are not to be paired: see `is_paired_step`. A trainer may
        compare with the empty caption whatever it gives. Inside, no gradient is
        recorded; afterwards the random states of Python, NumPy and torch (the CPU, CUDA, MPS) are restored, and of
        ``modules`` and those in them the buffers, which batch norm changes, and what their attributes refer to.
        Generators of your own are yours to restore, and what is inside of lists and mappings. Put it right before the
        step's own forward, with noise and timesteps drawn already: both forwards then begin at the same random state,
        and dropout drops the same in both.

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
        if not self.is_paired_step(step):
            yield None
            return
        turn = self._rivals.wanted and uniform_of("rival", self.config.seed, step) < _RIVAL_SHARE
        with no_trace(*modules):
            yield "rival" if turn else "empty"

    def rival_of(self, path: object, dataset: object = "") -> str:
        """The caption of the item's rival: the other caption of the set that its picture fits best.

        Rivals are found beside training, from the pictures and captions that were logged, or come from the file that
        the key ``rivals`` of the configuration names. While none is known it is "", the empty caption.

        Example:
            >>> import tempfile
            >>> from loss_logging.evidence.rivals import Rivals
            >>> file = f"{tempfile.mkdtemp()}/rivals.parquet"
            >>> Rivals({("cats", "1.png"): ("a dog",)}).save(file)
            >>> losses = LossLogger(job_name="cats", save_root=tempfile.mkdtemp(), loggers=[], rivals=file)
            >>> losses.rival_of("1.png"), losses.rivals_of(["2.png", "1.png"])
            ('a dog', ['', 'a dog'])
        """
        return self._rivals.of(path, dataset)

    def rivals_of(self, paths: Sequence[object], datasets: Sequence[object] | str = "") -> list[str]:
        """`rival_of` for a batch: B captions, "" where no rival is known."""
        names = [datasets] * len(paths) if isinstance(datasets, str) else datasets
        return [self._rivals.of(path, dataset) for path, dataset in zip(paths, names, strict=True)]

    def add_warning(self, sentence: str) -> None:
        """Have every later report carry ``sentence`` among its ``warnings``: what a reader must know to trust it."""
        self._noted.append(sentence)

    def count_unlogged(self, examples: int, reason: str) -> None:
        """Have every later report say how many examples were trained on and not logged, and why.

        Args:
            examples: how many more; they are added up for each reason.
            reason: why, as the end of a sentence.

        Example:
            >>> import tempfile
            >>> from loss_logging import read_report
            >>> with LossLogger(job_name="x", save_root=tempfile.mkdtemp(), loggers=[], reporter="inline") as losses:
            ...     losses.count_unlogged(8, "the batch has no names")
            ...     losses.count_unlogged(4, "the batch has no names")
            ...     read_report(losses.save_step(1).result()).warnings
            ['12 examples are not logged: the batch has no names']
        """
        if examples > 0:
            self._unlogged[reason] += int(examples)

    def save_step(self, step: int) -> Future[Path | None]:
        """Have everything up to ``step`` reported: the JSON first, then the loggers. Returns at once.

        Returns:
            A Future of the JSON's path (None when nothing is logged, in a forked child, and on ranks other than 0,
            where the reports of rank 0 have what arrives); it raises a
            ReporterError where there is none. With ``reporter="inline"`` it is done already. The same step asked for
            again, with nothing logged in between, gives the same Future.

        Raises:
            ValueError: ``step`` is negative.
            TypeError: ``step`` is no whole number.
        """
        step = whole_step(step)
        # One that logged nothing takes no run over from one that does.
        recorder = None if self._is_idle() else self._recorder or self._open()
        if recorder is None:
            nothing: Future[Path | None] = Future()
            nothing.set_result(None)
            return nothing
        if self._last_save is not None and self._last_save[:2] == (step, recorder.appended):
            return self._last_save[2]
        assert self._run is not None
        future = self._run.save(recorder, step)
        self._last_save = (step, recorder.appended, future)
        return future

    def latest(self) -> LossReport | None:
        """The report of the newest save step that is on disk, without the figures of its items, which its `to_pandas`
        reads; None before the first one. A notebook shows it.

        Raises:
            LossLoggingError: the file is damaged.
        """
        paths = self.config.report_paths()
        return read_without_items(paths[-1]) if paths else None

    def close(self) -> list[str]:
        """Write what is left, close what was opened, within ``timeouts.close`` seconds; say what was not delivered.

        Returns:
            One sentence for each thing that was not delivered; they are logged as warnings too.
        """
        atexit.unregister(self.close)
        if not self._is_ours():  # a forked child shares the object, and not the threads
            return []
        with self._opening:
            if self._closed is not None:
                return []
            self._closed = "make a new one"
            self._recorder = None  # what is logged from here on is refused, not lost
        try:
            undelivered = [] if self._run is None else self._run.close(self.config.timeouts.close)
        finally:  # also when somebody interrupts it: the run is free again
            if self._folder is not None:
                self._folder.release()
            if self._undo_sigterm is not None:
                self._undo_sigterm()
        for sentence in undelivered:
            LOGGER.warning("%s", sentence)
        if self._run is not None:
            self._announce_exclusions(ended=True)
        return undelivered

    # --- behind it --------------------------------------------------------------------------------------------------

    def _open(self) -> LossRecorder | None:
        """Start what is behind the first batch, once; None when nothing is to be logged."""
        if self._folder is None:
            return None
        if not self._is_ours():
            warn_once(
                "forked",
                f"this process was forked from the one that made the LossLogger of {self.config.job_name!r}: it logs "
                "nothing. Make a LossLogger in it, with another job_name or as a rank of its own (RANK, WORLD_SIZE).",
            )
            return None
        with self._opening:
            if self._closed is not None:
                raise LossLoggingError(f"this LossLogger is closed; {self._closed}")
            if self._run is None:
                self._run = OpenRun(
                    self.config,
                    self._rank,
                    self._folder,
                    self._selection,
                    self._notes,
                    self._rivals,
                    self.exclusions,
                )
                self._announce_exclusions()
            if self._recorder is None:
                recorder = self._run.start()
                atexit.register(self.close)
                self._undo_sigterm = on_sigterm(self.close)
                self._recorder = recorder
            return self._recorder

    def _announce_exclusions(self, *, ended: bool = False) -> None:
        if self._rank.rank != 0:
            return
        if self.exclusions.is_unheard and not ended:
            sentence = (
                f"exclude: nothing is left out, since this training does not ask what {self.config.exclude} names: "
                "make its dataset with LossLogger.exclusions.subset, or a folder without them with loss-logging apply"
            )
            self.add_warning(sentence)
            LOGGER.warning("%s", sentence)
        self.exclusions.announce(ended=ended)

    def _is_idle(self) -> bool:
        return self._recorder is None and self._folder is not None and self._folder.is_held_beside

    def _notes(self) -> list[str]:
        """What every report from here on must say."""
        unlogged = self._unlogged.copy()  # the trainer counts on
        return [*self._noted, *(f"{n} examples are not logged: {reason}" for reason, n in unlogged.items())]

    def _give_way(self) -> None:
        """Another logger of this process wants the folder: a cell of a notebook that was run again, as like as not."""
        if not self._is_ours():
            return
        LOGGER.warning(
            "a new LossLogger of this process writes the run %r in %s; the one that wrote it so far is closed",
            self.config.job_name,
            self.config.out_dir,
        )
        self.close()
        self._closed = "another one of this process writes its run; use that one, or give them different job_names"

    # --- in a forked child ------------------------------------------------------------------------------------------

    def _is_ours(self) -> bool:
        return os.getpid() == self._pid

    def _forget(self) -> None:
        """Right after a fork, in the child: neither the recorder's thread nor what holds the lock is there."""
        self._recorder = None
        self._opening = threading.RLock()
