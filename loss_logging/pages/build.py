"""PageBuilder: the report page of a run, as one file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from loss_logging.captions.decisions import Decisions
from loss_logging.captions.reason import FlaggedCaption
from loss_logging.errors import LossLoggingError
from loss_logging.pages.charts import charts, history_block, most_points, picked
from loss_logging.pages.content import listed_items, rules_of, sections
from loss_logging.pages.item_counts import ItemCounter, ItemCounts
from loss_logging.pages.items import figures_block, items_block, worst_items
from loss_logging.pages.render import CHANGING_PARTS, fragments, render
from loss_logging.pages.run_reports import RunReports
from loss_logging.pages.steps import EarlierSteps
from loss_logging.records.log import LogVersionError, RecordLog
from loss_logging.reports.decided import DecidedItems
from loss_logging.reports.items import read_items
from loss_logging.reports.names import by_step
from loss_logging.reports.report import LossReport, WorstItem
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.locate import no_report_of
from loss_logging.runs.lock import is_locked
from loss_logging.statistics.history import history_of
from loss_logging.statistics.loss_curves import LossCurves, curves_of
from loss_logging.statistics.queries import Queries
from loss_logging.support.files import whole_file
from loss_logging.support.progress_bar import announced, progress_bar
from loss_logging.support.thumbnails import NoThumbnailError, Thumbnail, Thumbnails, existing

__all__ = ["CAPTION_SUFFIXES", "PageBuilder", "flags"]

MOST_ITEMS = 100_000
"""Items that a page is still usable with."""
MOST_RECORDS = 400
"""Points in the history of one item."""
_EARLIER_CARDS, _EARLIER_FLAGS, _MOST_EARLIER_ITEMS = 12, 10, 200
CAPTION_SUFFIXES = (".txt", ".caption", ".cap", ".json")
_RUNNING = (
    "The run is still going on: this page shows its last save step. To see what comes, write the page again, set "
    "html: true in the run's configuration, or use loss-logging view."
)


class _Told(NamedTuple):
    """What the texts about an earlier save step are made from."""

    report: LossReport
    counts: ItemCounts | None
    tries: dict[tuple[str, str], tuple[int, int]]
    pictures: list[Thumbnail]


class PageBuilder:
    """Builds the page of one run, again after each save step; what it has read or drawn before is not done again.

    Args:
        config: of the run.
        step: the save step that the page is of; the last one when None.
        images: where the images are; nothing outside it is opened then. None stands for the paths as recorded.
        most_items: items in the table; the worst ones when there are more.
        progress: show progress bars for what takes more than a second.

    Example:
        >>> import tempfile
        >>> from loss_logging import LossLogger, TrainConfig
        >>> config = TrainConfig(job_name="cats", save_root=tempfile.mkdtemp(), loggers=[], reporter="inline")
        >>> with LossLogger(config) as losses:
        ...     losses.log_batch(1, [0.5], paths=["1.png"], datasets="cats", captions=["a cat"])
        ...     _ = losses.save_step(1).result()
        >>> PageBuilder(config).write().name
        'cats.html'
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        step: int | None = None,
        images: Path | None = None,
        most_items: int = MOST_ITEMS,
        progress: bool = False,
    ) -> None:
        self._config = config
        self._progress = progress
        self._step_of_page = None if step in self._steps()[-1:] else step
        self._reports = RunReports(config, self._step_of_page, progress=progress)
        self._earlier = EarlierSteps(progress=progress)
        self._images = images if images is not None or config.images is None else Path(config.images)
        self._thumbnails = Thumbnails(folder=self._images)
        self._most_items = most_items
        self._told: dict[int, tuple[_Told, dict[str, Any], dict[str, str]]] = {}

    def refresh(self, report: LossReport, items: Iterable[pa.RecordBatch], log: RecordLog, queries: Queries) -> Path:
        """Write the page of a report that was made just now, and of the figures of every item.

        Args:
            report: of the last save step.
            items: see `loss_logging.statistics.run.RunStatistics.items`.
            log: the run's records.
            queries: open ones, which take 0.1 s of the processor to open; they read other records afterwards.
        """
        self._reports.add(report)
        return self._write(self._config.page_path, self._earlier.held(report.job.step, items), log=log, queries=queries)

    def _steps(self) -> list[int]:
        return list(by_step(self._config.report_paths()))

    @property
    def path(self) -> Path:
        """Where the page is written: the run's own `TrainConfig.page_path`, or that with the step in its name."""
        own = self._config.page_path
        return own if self._step_of_page is None else own.with_stem(f"{own.stem}_{self._step_of_page:09d}")

    def write(self, out: Path | None = None) -> Path:
        """Write the page from what is in the run's folder; returns where it is.

        Args:
            out: where to; `path` when None.

        Raises:
            LossLoggingError: the folder holds no report that can be read; says why.
            OSError: a file cannot be read or written.
        """
        reports, problems = self._reports()
        if not reports:
            raise LossLoggingError(_no_report(self._config, problems))
        if self._step_of_page is not None and reports[-1].job.step != self._step_of_page:
            raise no_report_of(self._config.local_root, self._step_of_page, self._steps())
        items = read_items(Path(reports[-1].json_path or ""), progress=self._progress)
        is_running = self._step_of_page is None and is_locked(self._config.records_dir, rank=0)
        return self._write(out or self.path, items, [_RUNNING] if is_running else [])

    def _write(
        self,
        out: Path,
        items: Iterable[pa.RecordBatch],
        notes: Sequence[str] = (),
        log: RecordLog | None = None,
        queries: Queries | None = None,
    ) -> Path:
        reports, problems = self._reports()
        decided = DecidedItems(Decisions(self._images, self._config.paths.decisions))
        report = decided.report(reports[-1])
        reports = [*reports[:-1], report]
        steps = picked(reports)
        named = _named(steps)
        counter = ItemCounter()
        table, total = worst_items(
            counter.through(decided.marked(items)), self._most_items, [path for _, path in named]
        )
        self._earlier.keep(report.job.step, counter.counts())
        self._earlier.read(steps[:-1], table.num_rows)
        with announced("reading the log", shown=self._progress):
            histories, curves, missing = self._of_log(named, report, log, queries)
        self._thumbnails.next_page()
        for item in progress_bar("pictures", _pictured(steps), unit=" pictures", shown=self._progress):
            self._thumbnails(item.path)  # which keeps it for the page
        shown: dict[str, Any] = {"total": total, "save_steps": len(reports), "problems": [*notes, *problems, *missing]}
        blocks = {
            "charts": charts(reports, curves),
            "items": items_block(table, total) | {"flags": flags(report), "rules": rules_of(report)},
            "figures": figures_block(table),
            "histories": histories,
            "steps": self._steps_before(steps[:-1], histories, shown),
            "pictures": self._earlier_pictures(report, steps[:-1]),
            "files": self._files(listed_items(report)),
        }
        for step, (integers, figures) in self._earlier.blocks(table).items():
            blocks[f"integers-{step}"], blocks[f"figures-{step}"] = integers, figures
        page = render(
            reports,
            self._thumbnails,
            shown["problems"],
            blocks,
            config=self._config,
            total=total,
            items_shown=table.num_rows,
            served=False,
            counts=self._earlier.counts(report.job.step),
            tries=tries_of(histories, report),
        )
        with whole_file(out, text=True) as file:
            file.write(page)
        return out

    def _steps_before(
        self, reports: Sequence[LossReport], histories: dict[str, Any], shown: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """What the page shows where its reader chooses an earlier save step."""
        told = {report.job.step: self._step(report, histories, shown) for report in reports}
        self._told = {step: self._told[step] for step in told}
        return list(told.values())

    def _step(self, report: LossReport, histories: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
        """An earlier save step. Most of its text is that of the page before."""
        step = report.job.step
        counts = self._earlier.counts(step)
        told = _Told(
            report, counts, tries_of(histories, report), [self._thumbnails(item.path) for item in _pictured([report])]
        )
        context = shown | {"problems": [], "total": counts.items if counts else None, "inline": False}
        if step not in self._told or self._told[step][0] != told:
            limits = {"most_cards": _EARLIER_CARDS, "most_flagged": _EARLIER_FLAGS}
            found = sections(report, self._thumbnails, counts, told.tries, **limits)
            self._told[step] = told, found, fragments(found, **context)
        _, found, parts = self._told[step]
        parts = parts | fragments(found, **context, only=CHANGING_PARTS)
        return {"step": step, "parts": parts, "flags": flags(report), "rules": rules_of(report)}

    def _earlier_pictures(self, report: LossReport, earlier: Sequence[LossReport]) -> dict[str, str]:
        """The pictures that only earlier save steps show, by path."""
        there = {item.path for item in (*report.worst.caption_mismatch, *report.worst.hard)}
        paths = {item.path for item in _pictured(earlier)} - there
        pictures = ((path, self._thumbnails(path).uri) for path in sorted(paths))
        return {path: uri for path, uri in pictures if uri is not None}

    def _files(self, items: Iterable[WorstItem | FlaggedCaption]) -> dict[str, list[str | None]]:
        """Where the image and the caption file of each item are on this machine, by path."""
        found: dict[str, list[str | None]] = {}
        for item in items:
            try:
                image = existing(item.path, self._images)
            except NoThumbnailError:
                continue
            captions = (image.with_suffix(suffix) for suffix in CAPTION_SUFFIXES)
            caption = next((file for file in captions if file.is_file()), None)
            found[item.path] = [image.as_uri(), None if caption is None else caption.as_uri()]
        return found

    def _of_log(
        self, named: list[tuple[str, str]], report: LossReport, log: RecordLog | None, queries: Queries | None
    ) -> tuple[dict[str, Any], LossCurves | None, list[str]]:
        """The records of some items and the loss over training, or a sentence on why there are none."""
        config = self._config
        limits: dict[str, Any] = {"memory_limit": config.memory_limit, "threads": config.threads}
        try:
            log = RecordLog(config.records_dir) if log is None else log
            if not log.files():
                return (
                    {},
                    None,
                    ["The log of the run's records is not there: the page cannot show the history of an item."],
                )
            with Queries(**limits) if queries is None else nullcontext(queries) as opened:
                try:
                    return *self._read(log, opened, named, report), []
                except duckdb.Error:
                    log.leave_out_damaged()  # or a shard was compacted after the listing
                    return *self._read(log, opened, named, report), []
        except (LogVersionError, duckdb.Error, OSError) as error:
            return {}, None, [f"The page cannot show the history of an item: {error}"]

    @staticmethod
    def _read(
        log: RecordLog, queries: Queries, named: list[tuple[str, str]], report: LossReport
    ) -> tuple[dict[str, Any], LossCurves]:
        step = report.job.step
        queries.read(log.files())
        records = history_of(queries, named, MOST_RECORDS, step)
        return history_block(records), curves_of(queries, most_points(len(report.datasets)), step)


def tries_of(histories: Mapping[str, Any], report: LossReport) -> dict[tuple[str, str], tuple[int, int]]:
    """How often the loss of the items that may be wrong was higher with the caption, and of how many pairs; of those
    whose records are all there."""
    found = {}
    for item in report.worst.caption_mismatch:
        history = histories.get(item.dataset, {}).get(item.path)
        if history is None or len(history["records"]) != history["of"]:
            continue
        pairs = [(loss, empty) for step, _, loss, empty in history["records"] if step <= report.job.step]
        pairs = [(loss, empty) for loss, empty in pairs if loss is not None and empty is not None]
        if len(pairs) == item.count:  # else some of them count as none, such as one whose caption was dropped
            found[item.dataset, item.path] = sum(loss > empty for loss, empty in pairs), len(pairs)
    return found


def _named(steps: Sequence[LossReport]) -> list[tuple[str, str]]:
    """The items whose histories a page holds: all that the last save step lists, some of those of earlier ones."""
    last = {(item.dataset, item.path): None for item in listed_items(steps[-1])}
    earlier = {(item.dataset, item.path): None for item in _pictured([*steps[:-1]])}
    return list(dict.fromkeys([*last, *list(earlier)[:_MOST_EARLIER_ITEMS]]))


def _pictured(steps: Sequence[LossReport]) -> list[WorstItem]:
    """The items of the galleries of all these save steps, the newest first: all of the last, the worst of others."""
    found = list[WorstItem]()
    for place, report in enumerate(reversed(steps)):
        most = None if place == 0 else _EARLIER_CARDS
        found += [*report.worst.caption_mismatch[:most], *report.worst.hard[:most]]
    return found


def flags(report: LossReport) -> list[list[Any]]:
    """Dataset, path and reasons of the captions that the report lists."""
    return [[flag.dataset, flag.path, ", ".join(flag.reasons)] for flag in report.flagged]


def _no_report(config: TrainConfig, problems: list[str]) -> str:
    if problems:
        return f"{config.out_dir} holds no report of {config.job_name!r} that can be read: " + "; ".join(problems)
    return (
        f"{config.out_dir} holds no report of {config.job_name!r} yet; the first one comes with its first save step. "
        "To look at the records before that: loss-logging view"
    )
