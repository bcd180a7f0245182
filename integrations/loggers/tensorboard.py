"""The TensorBoard backend."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from loss_logging.integrations.loggers.cells import clean, clean_name, fit_name, markdown_text
from loss_logging.reports.report import LossReport, Picture, Table
from loss_logging.support.warn import warn_once
from loss_logging.trackers.backends import Requirements

if TYPE_CHECKING:
    from loss_logging.integrations.loggers.tensorboard_events import EventWriter
    from loss_logging.runs.config import TrainConfig

__all__ = ["SummaryWriter", "TensorBoardBackend"]

_LARGEST = float(np.finfo(np.float32).max)
"""TensorBoard's scalars are float32; what is larger would be drawn at infinity."""


class SummaryWriter(Protocol):
    """The methods of a writer that the backend calls; the SummaryWriter of torch and of tensorboardX has them."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> Any: ...
    def add_histogram_raw(
        self,
        tag: str,
        min: float,  # noqa: A002
        max: float,  # noqa: A002
        num: float,
        sum: float,  # noqa: A002
        sum_squares: float,
        bucket_limits: Sequence[float],
        bucket_counts: Sequence[float],
        global_step: int,
    ) -> Any: ...
    def add_image(self, tag: str, img_tensor: Any, global_step: int, *, dataformats: str) -> Any: ...
    def add_text(self, tag: str, text_string: str, global_step: int) -> Any: ...
    def flush(self) -> Any: ...


class TensorBoardBackend:
    """Writes a report to TensorBoard: mean loss by timestep drawn as a histogram, tables as text, and the pictures of a
    ranking as one image.

    Args:
        writer: a SummaryWriter of the trainer (torch's or tensorboardX's). The backend writes and flushes, and never
            closes it.
        log_dir: folder of our own event files; not together with ``writer``.

    Raises:
        ValueError: both or neither of ``writer`` and ``log_dir`` are given.
    """

    name = "tensorboard"

    def __init__(self, *, writer: SummaryWriter | None = None, log_dir: str | Path | None = None) -> None:
        if (writer is None) == (log_dir is None):
            raise ValueError("give either writer (a SummaryWriter of the trainer) or log_dir (a folder)")
        self._borrowed = writer
        self._log_dir = None if log_dir is None else Path(log_dir)
        self._own: EventWriter | None = None
        packages = {base.__module__.partition(".")[0] for base in type(writer).__mro__}
        # It writes "_" for what it refuses, which would make one curve of two.
        self._name = _tensorboardx_name if "tensorboardX" in packages else clean_name

    @classmethod
    def from_config(
        cls, config: TrainConfig, *, writer: SummaryWriter | None = None, log_dir: str | Path | None = None
    ) -> TensorBoardBackend:
        """``log_dir`` defaults to ``{save_root}/loss_logging/tensorboard/{job_name}``."""
        if writer is None and log_dir is None:
            log_dir = config.paths.tensorboard
        return cls(writer=writer, log_dir=log_dir)

    @classmethod
    def requirements(cls, *, writer: SummaryWriter | None = None, log_dir: str | Path | None = None) -> Requirements:
        """The trainer's process for its ``writer``, else the tensorboard package."""
        if writer is not None and log_dir is not None:
            raise ValueError("give either writer (a SummaryWriter of the trainer) or log_dir (a folder)")
        if writer is not None:
            return Requirements(trainer_process=True)
        return Requirements({"tensorboard": "loss-logging[tensorboard]"})

    def write(self, report: LossReport) -> None:
        """Write all data of the report under its step, and flush."""
        step = report.job.step
        writer = self._open()
        if self._own is not None:  # a trainer may have its own layout, and TensorBoard shows one per folder
            self._own.add_custom_scalars(custom_layout(report.prefix))
        self._add_scalars(writer, report.scalars, step)
        for name, histogram in report.histograms.items():
            _add_bars(writer, self._name(name), histogram.edges, [float(count) for count in histogram.counts], step)
        for name, curve in report.curves.items():
            _add_bars(writer, self._name(name), curve.edges, [mean or 0.0 for mean in curve.means], step)
        for name, gallery in report.galleries.items():
            _add_gallery(writer, name, gallery, report.tables[name], step)
        for name, table in report.tables.items():
            writer.add_text(clean_name(name), markdown_table(narrow(table)), step)
        writer.flush()

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the values, and flush."""
        writer = self._open()
        self._add_scalars(writer, scalars, step)
        writer.flush()

    def forget_after(self, step: int) -> bool:
        """Hide data after ``step`` of an earlier session in our own files. The trainer's files stay unchanged."""
        if self._borrowed is None:
            writer = self._open_own()
            writer.purge(step + 1)
            writer.flush()
        return True

    def backfill(self, step: int) -> None:
        """Write the next data, from ``step`` on, to a new folder below ours, as they are older than the existing data.

        TensorBoard hides the later points of a curve when an earlier one comes after them in the same folder.
        """
        if self._log_dir is not None and any(self._log_dir.glob("events.out.tfevents.*")):
            self._log_dir = self._log_dir / f"missed_{step:09d}"

    def close(self) -> None:
        """Close our own files."""
        if self._own is not None:
            self._own.close()

    def _add_scalars(self, writer: SummaryWriter, scalars: Mapping[str, float], step: int) -> None:
        for name, value in scalars.items():
            if abs(value) <= _LARGEST:
                writer.add_scalar(self._name(name), value, step)
                continue
            warn_once(
                f"TensorBoard {name}",
                f"TensorBoard holds no number beyond {_LARGEST:.2g}: {name} is {value:.3g} at step {step}, and such "
                "points are left out",
            )

    def _open(self) -> SummaryWriter:
        return self._open_own() if self._borrowed is None else self._borrowed

    def _open_own(self) -> EventWriter:
        if self._own is None:
            from loss_logging.integrations.loggers.tensorboard_events import EventWriter

            assert self._log_dir is not None
            self._own = EventWriter(self._log_dir)
        self._own.discard()  # remove the data of an incomplete call
        return self._own


def _tensorboardx_name(name: str) -> str:
    return fit_name(name, _REFUSED_BY_TENSORBOARDX, len(name) + 9)


_REFUSED_BY_TENSORBOARDX = re.compile(r"[^-/\w.]")


def custom_layout(prefix: str) -> dict[str, dict[str, list[Any]]]:
    """The layout of the dashboard "custom scalars": the losses of all datasets in one chart, flagged captions
    by rule in another, and captions that may be wrong in a third.

    >>> custom_layout("mine")["mine"]["loss of each dataset"]
    ['Multiline', ['^mine/loss/']]
    """
    start = f"^{re.escape(prefix)}/"
    return {
        prefix: {
            "loss of each dataset": ["Multiline", [f"{start}loss/"]],
            "flagged captions by rule": ["Multiline", [f"{start}rules/"]],
            "captions that may be wrong": ["Multiline", [f"{start}(?!loss/|rules/).*(wrong|look_at|undecided)"]],
        }
    }


def _add_bars(writer: SummaryWriter, name: str, edges: Sequence[float], heights: Sequence[float], step: int) -> None:
    """Add bars of given heights between given edges. The format's sums take the value at the centre of each bar.

    Empty outer bars are left out. TensorBoard without its data server omits them, too, and then stretches the outermost
    remaining bar to ``min`` and ``max``.
    """
    filled = [place for place, height in enumerate(heights) if height != 0]
    if not filled:
        return
    heights = heights[filled[0] : filled[-1] + 1]
    edges = edges[filled[0] : filled[-1] + 2]
    centers = [(left + right) / 2 for left, right in itertools.pairwise(edges)]
    writer.add_histogram_raw(
        name,
        min=edges[0],
        max=edges[-1],
        num=sum(heights),
        sum=sum(h * c for h, c in zip(heights, centers, strict=True)),
        sum_squares=sum(h * c * c for h, c in zip(heights, centers, strict=True)),
        bucket_limits=edges[1:],
        bucket_counts=heights,
        global_step=step,
    )


def _add_gallery(writer: SummaryWriter, name: str, gallery: Sequence[Picture | None], table: Table, step: int) -> None:
    """Add the pictures of a table's rows as one image, each with its place in the table, its score and its caption."""
    from loss_logging.integrations.loggers.grid import grid

    caption = table.columns.index("caption")
    labels = [f"{place}: {row[3]:.3g}" for place, row in enumerate(table.rows, 1)]
    captions = [clean(str(row[caption] or "")) for row in table.rows]
    writer.add_image(clean_name(name), np.asarray(grid(gallery, labels, captions)), step, dataformats="HWC")


def narrow(table: Table) -> Table:
    """The table with few short columns, as TensorBoard breaks words in a wide table. A score and its standard error
    share a column, and minor columns are left out; the JSON report has all.

    >>> narrow(Table(["path", "caption_mismatch", "standard_error", "t"], [["a/1.png", 0.25, 0.012, 20.0]]))
    Table(columns=['path', 'mismatch'], rows=[['a/1.png', '0.25 ± 0.012']])
    """
    error = table.columns.index("standard_error") if "standard_error" in table.columns else None
    kept = [place for place, name in enumerate(table.columns) if name not in _CURIOUS]
    names = [_SHORT_NAMES.get(table.columns[place], table.columns[place].replace("_", " ")) for place in kept]

    def shown(row: list[Any], place: int) -> Any:
        value, name = row[place], table.columns[place]
        if not isinstance(value, float):
            return value
        uncertain = name == "caption_mismatch" and error is not None and row[error] is not None
        return f"{value:.3g} ± {row[error]:.2g}" if uncertain and error is not None else float(f"{value:.4g}")

    return Table(names, [[shown(row, place) for place in kept] for row in table.rows])


_CURIOUS = {"standard_error", "t", "robust_z", "std_z", "mad", "score"}
_SHORT_NAMES = {"caption_mismatch": "mismatch", "average_loss": "loss", "count": "n"}


def markdown_table(table: Table) -> str:
    """The table as markdown without markup in its cells: text is shown literally, long text is cut. A table with
    messages becomes a list, whose lines wrap between words.

    >>> print(markdown_table(Table(["path", "score"], [["a_b.png", 0.25]])))
    | path | score |
    | --- | --- |
    | a&#95;b&#46;png | 0.25 |
    """
    rows = table.rows
    if table.columns[-1] == "message":
        return "\n".join(
            f"- {' · '.join(_cell(value, _MESSAGE) for value in row if value is not None)}" for row in rows
        )
    cells = [list(row) for row in (table.columns, *rows)]
    widths = _widths([max(len(_text(row[place])) for row in cells) for place in range(len(table.columns))])
    for row in cells[1:]:
        for place, (name, width) in enumerate(zip(table.columns, widths, strict=True)):
            if name == "path" and len(row[place]) > width:  # paths differ at their ends
                row[place] = f"…{row[place][1 - width :]}"
    lines = [_line([_cell(value, width) for value, width in zip(row, widths, strict=True)]) for row in cells]
    return "\n".join([lines[0], _line(["---"] * len(widths)), *lines[1:]])


def _widths(longest: Sequence[int]) -> list[int]:
    """The number of shown characters of each column, so that all columns fit side by side; otherwise TensorBoard breaks
    words in the middle. The longest columns are cut.

    >>> _widths([5, 20, 6]), _widths([5, 500, 6])
    ([5, 20, 6], [5, 85, 6])
    """
    room = _LINE - _PADDING * len(longest)
    most = next((n for n in range(room, 8, -1) if sum(min(n, width) for width in longest) <= room), 8)
    return [min(most, width) for width in longest]


_LINE, _PADDING = 108, 4  # characters in the width of a card, and around a cell
_MESSAGE = 300


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any, most: int) -> str:
    return markdown_text(value, max(1, most)) if isinstance(value, str) else _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
