"""The page of two reports side by side: what got better and worse, before and after."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from loss_logging.captions.decisions import Decisions
from loss_logging.errors import LossLoggingError
from loss_logging.pages.charts import most_points, run_series
from loss_logging.pages.comparison_content import comparison_sections
from loss_logging.pages.items import figures_block, items_block
from loss_logging.pages.render import render_comparison
from loss_logging.records.log import LogVersionError, RecordLog
from loss_logging.reports.artifact import read_without_items
from loss_logging.reports.compare import CLEAR, Comparison, ItemChange, compare_items
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.locate import find_run
from loss_logging.statistics.loss_curves import LossCurves, loss_curves
from loss_logging.support.files import whole_file
from loss_logging.support.progress_bar import progress_bar
from loss_logging.support.thumbnails import Thumbnails

__all__ = ["comparison_page", "write_comparison_page"]

_MOST_CARDS, _PIXELS = 24, 192
"""Of each kind, and the longest side of their pictures: together 0.7 MB of photographs."""
_MOST_ITEMS, _TABLE_BYTES, _SAMPLE = 100_000, 1_900_000, 4_096
"""What the table has room for, so that the page stays below 3 MB."""


class _Run(msgspec.Struct, frozen=True):
    """One of the two: ``name`` tells it from the other, ``about`` says all of it."""

    name: str
    about: str
    report: LossReport
    config: TrainConfig | None


def write_comparison_page(
    before: Path, after: Path, out: Path, *, images: Path | None = None, progress: bool = False
) -> None:
    """Write the page as one file that needs no network.

    Args:
        before, after: JSON reports.
        out: where to.
        images: where the images are; nothing outside it is opened then. None stands for the ``images`` of the second
            run, or the paths as recorded.
        progress: show progress bars for what takes more than a second.

    Raises:
        LossLoggingError: both are the same report.
        ReportError: a file is no loss report.
        OSError: a file cannot be read or written.
    """
    page = comparison_page(before, after, images=images, progress=progress)
    with whole_file(out, text=True) as file:
        file.write(page)


def comparison_page(before: Path, after: Path, *, images: Path | None = None, progress: bool = False) -> str:
    """The page as text; see `write_comparison_page`."""
    if before.resolve() == after.resolve():
        raise LossLoggingError(
            f"A and B are the same report, {before}: nothing can have changed; give two, such as RUN@250 and RUN@500"
        )
    first, second = _runs(before, after)
    if images is None and second.config is not None and second.config.images is not None:
        images = Path(second.config.images)
    decisions = Decisions(images, None if second.config is None else second.config.paths.decisions)
    options: dict[str, Any] = {"decisions": decisions, "progress": progress}
    comparison, table, total = compare_items(before, after, _MOST_CARDS, _MOST_ITEMS, **options)
    table = _fitting(table)
    pictures = Thumbnails(pixels=_PIXELS, folder=images)
    for item in progress_bar("pictures", _pictured(comparison), unit=" pictures", shown=progress):
        pictures(item.path)  # which keeps it
    sections = comparison_sections(comparison, (first.name, second.name), table, pictures)
    about = {"title": f"{first.name} → {second.name}", "runs": [first, second]}
    counts = {"total": total, "items_shown": table.num_rows}
    blocks: dict[str, Any] = {
        "items": items_block(table, total) | _flags(table),
        "figures": figures_block(table),
        "histories": {},
        "files": {},
        "runs": [{"name": run.name} | run_series(run.report, _curves(run)) for run in (first, second)],
    }
    return render_comparison(sections | about | counts, blocks)


def _pictured(comparison: Comparison) -> list[ItemChange]:
    return [*comparison.recaptioned, *comparison.better, *comparison.worse]


def _runs(before: Path, after: Path) -> list[_Run]:
    reports = [read_without_items(path) for path in (before, after)]
    folders = [path.absolute().parent.parent for path in (before, after)]
    jobs = [report.job.name for report in reports]
    steps = [f"step {report.job.step:,}" for report in reports]
    places = [f"{job} in {folder.name}" for job, folder in zip(jobs, folders, strict=True)]
    both = [f"{job}, {step}" for job, step in zip(jobs, steps, strict=True)]
    candidates = [jobs, both if folders[0] == folders[1] else places, both]
    names = next((pair for pair in candidates if pair[0] != pair[1]), [str(before), str(after)])
    written = [report.job.created[:16].replace("T", " ") for report in reports]
    return [
        _Run(names[i], f"{jobs[i]}, {steps[i]}, written {written[i]} UTC, in {folders[i]}", reports[i], _config(path))
        for i, path in enumerate((before, after))
    ]


def _config(report: Path) -> TrainConfig | None:
    try:
        return find_run(report)
    except LossLoggingError:  # a report that somebody has taken out of its run
        return None


def _curves(run: _Run) -> LossCurves | None:
    """The loss over training, where the run's log is there."""
    if run.config is None:
        return None
    try:
        log = RecordLog(run.config.records_dir)
        return loss_curves(log, most_points(2), through=run.report.job.step) if log.files() else None
    except (LogVersionError, duckdb.Error, OSError):
        return None


def _fitting(table: pa.Table) -> pa.Table:
    """So many of the first rows as the page has room for, judged by the first few thousand."""
    some = table.slice(0, _SAMPLE)
    parts = (msgspec.json.encode(items_block(some, some.num_rows)), figures_block(some))
    each = sum(len(gzip.compress(part, 6)) for part in parts) * 4 / 3 / max(1, some.num_rows)  # as base64
    return table.slice(0, max(_SAMPLE, int(_TABLE_BYTES / each)))


def _flags(table: pa.Table) -> dict[str, Any]:
    """What the table's filter by reason offers."""
    changed = pc.is_valid(table["caption_before"]).to_pylist()
    columns = (table[name].to_pylist() for name in ("dataset", "path", "change_z"))
    flags = []
    for recaptioned, dataset, path, z in zip(changed, *columns, strict=True):
        words = ["caption changed"] if recaptioned else []
        if z is not None and abs(z) >= CLEAR:
            words.append("better" if z < 0 else "worse")
        if words:
            flags.append([dataset, path, ", ".join(words)])
    rules = {"caption changed": "info", "better": "fine", "worse": "error"}
    return {"flags": flags, "rules": rules, "flags_title": "What changed"}
