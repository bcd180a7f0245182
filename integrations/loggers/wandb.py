"""The W&B backend."""

from __future__ import annotations

import io
import os
import re
import secrets
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, get_args
from urllib.parse import quote

import msgspec
import numpy as np

from loss_logging.backends import Requirements
from loss_logging.files import whole_file
from loss_logging.integrations.loggers.cells import clean, shorten
from loss_logging.ledger import ledger_dir
from loss_logging.report import Histogram, LossReport, Picture, Table
from loss_logging.warn import LOGGER, warn_once

if TYPE_CHECKING:
    from loss_logging.config import TrainConfig

__all__ = ["WandbBackend"]

Mode = Literal["online", "offline", "disabled"]

MAX_BINS = 512
"""W&B refuses histograms with more."""

_FLUSH_SECONDS = 0.1
"""How often W&B's process writes what it was given to the run's file; rows that are only in its memory die with it."""
_FLUSH_SETTING = "x_transaction_log_flush_interval"


class WandbBackend:
    """Writes to a run of the trainer, or to a run of its own when given a ``project``.

    The tables of the rankings have a column with small pictures, where the report has some. The JSON report becomes an
    artifact of type ``loss_report`` (not copied: keep the file until W&B has it).

    In the trainer's run, our values join the trainer's own rows, so its rows, steps and x axis stay as they are; our
    charts have ``{prefix}/step`` as x axis. One row of ours fits into each row of the trainer, so ours wait for it to
    log. Where it logs more rarely than we do, the oldest ones go into the table ``{prefix}/uncharted`` at the end.

    Args:
        run: the trainer's run; None means the active one (``wandb.run``) at the first write.
        project: W&B project of a run of our own; the options below belong to it.
        entity: W&B user or team.
        run_name: display name of the run.
        group: name of a group of runs.
        tags: tags of the run.
        mode: "online", "offline" or "disabled"; None leaves it to W&B (``WANDB_MODE``).
        id: identifier of the run; a run that has it already is continued. None chooses one, once for a training run.
        dir: folder for W&B's files.
        run_file: where the identifier is kept, so that another process continues the run; None keeps it nowhere.
        prefix: first part of every name in the tracker.
        max_table_rows: most rows of a table.

    Raises:
        ValueError: options that exclude or need one another; names them.
    """

    name = "wandb"

    def __init__(
        self,
        *,
        run: Any = None,
        project: str | None = None,
        entity: str | None = None,
        run_name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        mode: Mode | None = None,
        id: str | None = None,  # noqa: A002 - W&B's name for it
        dir: str | Path | None = None,  # noqa: A002
        run_file: Path | None = None,
        prefix: str = "loss_logging",
        max_table_rows: int = 500,
    ) -> None:
        self.requirements(run=run, project=project, mode=mode)
        self._run = run
        self._init: dict[str, Any] = {"project": project, "entity": entity, "name": run_name, "group": group}
        self._init |= {"tags": list(tags), "mode": mode}
        self._numbers = _RowNumbers(run_file, id)
        self._dir = None if dir is None else Path(dir)
        self._prefix = prefix
        self._max_table_rows = max_table_rows
        self._rows: _Rows | None = None
        self._calls = 0

    @classmethod
    def from_config(
        cls,
        config: TrainConfig,
        *,
        run: Any = None,
        project: str | None = None,
        entity: str | None = None,
        run_name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        mode: Mode | None = None,
        id: str | None = None,  # noqa: A002
        dir: str | Path | None = None,  # noqa: A002
    ) -> WandbBackend:
        """``run_name`` defaults to the job's name, ``dir`` to ``{save_root}/loss_logging``."""
        return cls(
            run=run,
            project=project,
            entity=entity,
            run_name=run_name or config.job_name,
            group=group,
            tags=tags,
            mode=mode,
            id=id,
            dir=dir or Path(config.save_root) / "loss_logging",
            run_file=ledger_dir(config) / f"wandb-{quote(project or '', safe=' ')[:200]}.json",
            prefix=config.prefix,
            max_table_rows=config.max_table_rows,
        )

    @classmethod
    def requirements(
        cls, *, run: Any = None, project: str | None = None, mode: str | None = None, **of_own_run: Any
    ) -> Requirements:
        """The wandb package, and the trainer's process for the trainer's run."""
        if mode is not None and mode not in get_args(Mode):
            raise ValueError(f"mode: got {mode!r}; allowed: {', '.join(get_args(Mode))}")
        if run is not None and project is not None:
            raise ValueError("give either run (the trainer's) or project (for a run of our own)")
        if project is None and (mode is not None or of_own_run):
            options = sorted(of_own_run) + ["mode"] * (mode is not None)
            raise ValueError(f"{', '.join(options)}: only for a run of our own, which needs the option project")
        return Requirements({"wandb": "loss_logging[wandb]"}, trainer_process=project is None)

    def write(self, report: LossReport) -> None:
        """Log the JSON as an artifact, and one row with everything else."""
        import wandb

        rows = self._open()
        # A tracker that was slow may find the file gone, if the configuration keeps few reports: the rest still counts.
        if report.json_path is not None and Path(report.json_path).exists():
            name = re.sub(r"[^a-zA-Z0-9_.-]", "_", report.job.name)[:100] + "-loss-report"
            artifact = wandb.Artifact(name, type="loss_report", metadata={"step": report.job.step})
            artifact.add_file(report.json_path, policy="immutable")
            rows.run.log_artifact(artifact)  # the same file again is the same artifact, so this call may be repeated
        self._add(report.job.step, report.scalars, _media(report, self._max_table_rows))

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Log one row."""
        self._open()
        self._add(step, scalars, {})

    def forget_after(self, step: int) -> bool:  # noqa: ARG002
        """A row that W&B has stays: in a run of our own, what was written after ``step`` is not written again."""
        return self._init["project"] is None

    def unsettled(self) -> list[int]:
        """The calls, by number, whose rows would be lost if W&B's process or the trainer's died now.

        Raises:
            Exception: W&B's process is gone.
        """
        return [] if self._rows is None else self._rows.unsettled()

    def idle(self) -> None:
        """Log a waiting row if the trainer has begun a new one."""
        if self._rows is not None:
            self._rows.advance()

    def close(self) -> None:
        """Log what waits; finish the run if it is our own."""
        if self._rows is not None:
            self._rows.close()

    def _add(self, step: int, scalars: Mapping[str, float], media: dict[str, Any]) -> None:
        self._open().add(_Row(self._calls, step, _cleaned(scalars), media))
        self._calls += 1

    def _open(self) -> _Rows:
        if self._rows is None:
            own = self._init["project"] is not None
            run = self._start_run() if own else self._trainers_run()
            run.define_metric(f"{self._prefix}/step", hidden=True)
            run.define_metric(f"{self._prefix}/*", step_metric=f"{self._prefix}/step")
            self._rows = _OwnRows(run, self._prefix, self._numbers) if own else _TrainersRows(run, self._prefix)
        return self._rows

    def _trainers_run(self) -> Any:
        import wandb

        run = wandb.run if self._run is None else self._run
        if run is None:
            raise RuntimeError(
                "there is no active W&B run: call wandb.init() in the training script, pass the option run, "
                "or pass the option project to get a run of its own"
            )
        return run

    def _start_run(self) -> Any:
        import wandb

        # A service of this process's own: one that a parent has started, the trainer for instance, ends with it.
        if str(os.getpid()) not in os.environ.get(wandb.env.SERVICE, "").split("-"):
            os.environ.pop(wandb.env.SERVICE, None)
        if self._dir is not None:
            self._dir.mkdir(parents=True, exist_ok=True)
        # create_new: a run that the trainer has open in this process is not ours to end. No console: what this process
        # prints is not the run's.
        settings = wandb.Settings(console="off", silent=True)
        if _FLUSH_SETTING in type(settings).model_fields:
            setattr(settings, _FLUSH_SETTING, _FLUSH_SECONDS)
        run = wandb.init(
            **self._init, id=self._numbers.run_id, resume="allow", dir=self._dir, reinit="create_new", settings=settings
        )
        LOGGER.info("W&B run: %s", run.dir if run.offline else run.url)
        return run


class _Row(NamedTuple):
    call: int  # counted from 0
    step: int
    scalars: dict[str, float]
    media: dict[str, Any]  # W&B histograms and tables


class _Rows(Protocol):
    """Puts rows into a run's history."""

    run: Any

    def add(self, row: _Row) -> None: ...
    def advance(self) -> None: ...
    def unsettled(self) -> list[int]: ...
    def close(self) -> None: ...


class _Kept(msgspec.Struct):
    """The run of our own: its identifier, and a number above that of any row that it has."""

    id: str
    next_row: int = 0


class _RowNumbers:
    """Numbers the rows of a run of our own from process to process; ``path`` keeps what the next one needs to know.

    Offline, W&B would begin each process's rows at 0, and they would collide when all are synced into the one run.
    """

    BLOCK = 1000  # numbers are set aside in blocks, so that the file is not written for each row

    def __init__(self, path: Path | None, run_id: str | None) -> None:
        self._path = path
        self._run_id = run_id
        self._kept: _Kept | None = None
        self._next = 0

    @property
    def run_id(self) -> str:
        """The identifier of the run, chosen when there is none."""
        if self._kept is None:
            self._kept = self._read() or _Kept(self._run_id or secrets.token_hex(8))
            self._next = self._kept.next_row
            self._reserve()
        return self._kept.id

    def begin(self, at_least: int) -> None:
        """W&B knows of rows up to there."""
        self._next = max(self._next, at_least)

    def take(self) -> int:
        """The number of the next row."""
        assert self._kept is not None
        if self._next >= self._kept.next_row:
            self._reserve()
        self._next += 1
        return self._next - 1

    def _reserve(self) -> None:
        assert self._kept is not None
        self._kept.next_row = self._next + self.BLOCK
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._path) as file:
                file.write(msgspec.json.encode(self._kept))
        except OSError as error:
            warn_once(
                f"run file {self._path}",
                f"{self._path} cannot be written: {error}. After a restart a new W&B run is begun. Training goes on.",
            )

    def _read(self) -> _Kept | None:
        try:
            kept = None if self._path is None else msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            warn_once(f"run file {self._path}", f"{self._path} cannot be read: {error}. A new W&B run is begun.")
            return None
        return kept if kept is not None and self._run_id in (None, kept.id) else None


class _OnDisk:
    """Which of the rows that W&B's process took are in the run's file, where its death does not reach them.

    It is asked for an answer now and then. What it had taken before one answer is in the file at the next, because it
    writes the file in between.
    """

    def __init__(self, run: Any) -> None:
        self._run = run
        self._seconds = 2.5 * float(getattr(run.settings, _FLUSH_SETTING, 0) or 0)
        self._asked = time.monotonic()
        self._new: list[int] = []
        self._taken: list[int] = []

    @property
    def is_due(self) -> bool:
        """Whether it is time to ask again."""
        return self._seconds > 0 and time.monotonic() - self._asked >= self._seconds

    def add(self, call: int) -> None:
        """The row of this call was handed to W&B's process."""
        self._new.append(call)

    def missing(self) -> list[int]:
        """The calls whose rows may not be in the file yet. Raises when the process is gone."""
        if self.is_due:
            self._asked = time.monotonic()
            if self._new or self._taken:
                self._run.step  # noqa: B018 waits for the answer
                self._taken, self._new = self._new, []
        return [*self._taken, *self._new]


class _OwnRows:
    """A run that is ours alone: every row is one of the run's."""

    def __init__(self, run: Any, prefix: str, numbers: _RowNumbers) -> None:
        self.run = run
        self._prefix = prefix
        self._numbers = numbers
        self._numbers.begin(run.step)
        self._on_disk = _OnDisk(run)

    def add(self, row: _Row) -> None:
        values = {**row.scalars, **row.media, f"{self._prefix}/step": row.step}
        self.run.log(values, step=self._numbers.take(), commit=True)
        self._on_disk.add(row.call)

    def advance(self) -> None:
        """Nothing waits."""

    def unsettled(self) -> list[int]:
        return self._on_disk.missing()

    def close(self) -> None:
        self.run.finish()


class _TrainersRows:
    """The trainer's run, whose rows begin and end with the trainer's calls alone.

    ``commit=False`` joins the row that is open. A second one before the trainer has moved on would overwrite the first,
    a commit would end the trainer's row, and a step of ours would move its step, after which smaller ones are dropped.
    """

    MAX_WAITING = 32  # how far the charts may lag behind; bursts are shorter
    MAX_UNCHARTED = 10_000  # a longer table is cut by W&B

    def __init__(self, run: Any, prefix: str) -> None:
        self.run = run
        self._prefix = prefix
        self._waiting: deque[_Row] = deque()
        self._uncharted: list[_Row] = []
        self._open: _Row | None = None  # in the trainer's open row
        self._open_step: int | None = None  # the step of that row
        self._on_disk = _OnDisk(run)

    def add(self, row: _Row) -> None:
        self.advance()
        if self._waiting or not self._joined(row):
            self._waiting.append(row)
        if len(self._waiting) > self.MAX_WAITING:
            self._give_up_oldest()

    def advance(self) -> None:
        if self._waiting and self._joined(self._waiting[0]):
            self._waiting.popleft()

    def unsettled(self) -> list[int]:
        waiting = [row.call for row in (*self._waiting, *self._uncharted)]
        try:
            if self._open is not None and self._on_disk.is_due:
                self._is_taken()
            return [*waiting, *([self._open.call] if self._open is not None else []), *self._on_disk.missing()]
        except self._finished:  # with everything that was in it
            return waiting

    def close(self) -> None:
        """Log the scalars that found no row as a table, and the histograms and tables of the last report."""
        media: dict[str, Any] = {}
        try:
            self.advance()
            for row in self._waiting:
                media |= row.media
            self._log_uncharted([*self._uncharted, *self._waiting], media)
        except Exception as error:
            raise RuntimeError(
                f"{len(self._waiting) + len(self._uncharted)} rows were still waiting for the trainer to log "
                f"({type(error).__name__}: {error}); close the LossLogger before finishing the run"
            ) from error
        self._check_alive()

    @property
    def _finished(self) -> type[Exception]:
        """What W&B raises when a finished run is written to."""
        from wandb.errors import UsageError

        return UsageError

    def _check_alive(self) -> None:
        try:
            self._is_taken()
        except self._finished:
            LOGGER.debug("the trainer has finished its run, with our rows in it")

    def _is_taken(self) -> bool:
        """Whether the trainer's open row holds one of ours."""
        self.run.log({}, commit=False)  # raises at once if the run is finished; asking for its step blocks for 30 s
        if self.run.step == self._open_step:
            return True
        if self._open is not None:
            self._on_disk.add(self._open.call)
            self._open = None
        return False

    def _joined(self, row: _Row) -> bool:
        """Log ``row`` unless the trainer's open row holds one of ours already."""
        if self._is_taken():
            return False
        self.run.log({**row.scalars, **row.media, f"{self._prefix}/step": row.step}, commit=False)
        self._open, self._open_step = row, self.run.step
        return True

    def _give_up_oldest(self) -> None:
        oldest, following = self._waiting.popleft(), self._waiting.popleft()
        # Histograms and tables describe the whole run so far: a later row's replace an earlier one's.
        self._waiting.appendleft(following._replace(media={**oldest.media, **following.media}))
        self._uncharted.append(oldest._replace(media={}))
        if len(self._uncharted) == self.MAX_UNCHARTED:
            self._log_uncharted(self._uncharted, {})
            self._uncharted = []

    def _log_uncharted(self, rows: Sequence[_Row], media: dict[str, Any]) -> None:
        if any(row.scalars for row in rows):
            media = {**media, f"{self._prefix}/uncharted": _scalar_table(rows)}
        if media:
            self.run.log(media, commit=False)


def _cleaned(scalars: Mapping[str, float]) -> dict[str, float]:
    return {clean(name): value for name, value in scalars.items()}


def _media(report: LossReport, max_rows: int) -> dict[str, Any]:
    """Histograms, curves (drawn as histograms) and tables as W&B objects."""
    histograms = {name: coarsen(histogram, MAX_BINS) for name, histogram in report.histograms.items()}
    return {
        **{clean(name): _bars(histogram.counts, histogram.edges) for name, histogram in histograms.items()},
        **{clean(name): _bars([m or 0.0 for m in curve.means], curve.edges) for name, curve in report.curves.items()},
        **{
            clean(name): _table(table, max_rows, report.galleries.get(name, []))
            for name, table in report.tables.items()
        },
    }


def _bars(heights: Sequence[float], edges: Sequence[float]) -> Any:
    import wandb

    return wandb.Histogram(np_histogram=(np.array(heights), np.array(edges)))


def _table(table: Table, max_rows: int, gallery: Sequence[Picture | None] = ()) -> Any:
    import wandb

    rows: list[Iterable[Any]] = [[_cell(value) for value in row] for row in table.rows[:max_rows]]
    columns = [*table.columns]
    if any(picture is not None and picture.image for picture in gallery):
        columns.append("picture")
        rows = [[*row, _image(picture)] for row, picture in zip(rows, gallery, strict=False)]
    return wandb.Table(columns=[*columns], data=rows)


def _image(picture: Picture | None) -> Any:
    if picture is None or picture.image is None:
        return None
    import wandb
    from PIL import Image

    with Image.open(io.BytesIO(picture.image)) as image:
        return wandb.Image(image.convert("RGB"), file_type="jpg")


def _cell(value: Any) -> Any:
    return shorten(value) if isinstance(value, str) else value


def _scalar_table(rows: Sequence[_Row]) -> Any:
    import wandb

    names = sorted({name for row in rows for name in row.scalars})
    data: list[Iterable[Any]] = [[row.step, *(row.scalars.get(name) for name in names)] for row in rows]
    return wandb.Table(columns=["step", *names], data=data)


def coarsen(histogram: Histogram, max_bins: int) -> Histogram:
    """The same counts in at most ``max_bins`` bins, by joining neighbours.

    >>> coarsen(Histogram([0, 1, 2, 3], [5, 6, 7]), max_bins=2)
    Histogram(edges=[0, 2, 3], counts=[11, 7])
    """
    width = -(-len(histogram.counts) // max_bins)
    if width <= 1:
        return histogram
    starts = range(0, len(histogram.counts), width)
    edges = [histogram.edges[start] for start in starts] + histogram.edges[-1:]
    return Histogram(edges, [sum(histogram.counts[start : start + width]) for start in starts])
