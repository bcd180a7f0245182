"""PageBuilder: the report page of a run, as one file."""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import msgspec
import pyarrow as pa
from markupsafe import Markup

from loss_logging import __version__
from loss_logging.config import TrainConfig
from loss_logging.errors import LossLoggingError
from loss_logging.files import whole_file
from loss_logging.find_report import no_report_of, place_of
from loss_logging.html.content import charts, history_block, listed_items, sections
from loss_logging.html.items import figures_block, items_block, worst_items
from loss_logging.html.reports import RunReports
from loss_logging.item_reader import read_items
from loss_logging.lock import is_locked
from loss_logging.progress_bar import announced, progress_bar
from loss_logging.record_log import LogVersionError, RecordLog
from loss_logging.report import LossReport
from loss_logging.statistics import item_history
from loss_logging.thumbnails import Thumbnail, Thumbnails

__all__ = ["MOST_ITEMS", "PageBuilder", "render", "write_page"]

MOST_ITEMS = 100_000
"""Items that a page is still usable with."""
MOST_RECORDS = 400
"""Points in the history of one item."""
_RUNNING = (
    "The run is still going on: this page shows its last save step. To see what comes, write the page again, set "
    "html: true in the run's configuration, or use loss-logging view."
)
_LOADER = "loader.js"
_SCRIPTS = ("uPlot.iife.min.js", "tabulator.min.js")
_OWN_SCRIPTS = ("base.js", "source.js", "served.js", "charts.js", "table.js", "details.js", "page.js")
_STYLES = ("uPlot.min.css", "tabulator_simple.min.css", "page.css")
_LICENCES = ("uPlot.LICENSE.txt", "tabulator.LICENSE.txt")


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
        self._step = None if step in self._steps()[-1:] else step
        self._reports = RunReports(config, self._step, progress=progress)
        self._thumbnails = Thumbnails(folder=images)
        self._most_items = most_items

    def _steps(self) -> list[int]:
        return [place_of(path).step or 0 for path in self._config.report_paths()]

    def refresh(self, report: LossReport, items: Iterable[pa.RecordBatch]) -> Path:
        """Write the page of a report that was made just now, and of the figures of every item."""
        self._reports.add(report)
        return self._write(self._config.page_path, items)

    @property
    def path(self) -> Path:
        """Where the page is written: the run's own `TrainConfig.page_path`, or that with the step in its name."""
        own = self._config.page_path
        return own if self._step is None else own.with_stem(f"{own.stem}_{self._step:09d}")

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
        if self._step is not None and reports[-1].job.step != self._step:
            raise no_report_of(self._config.local_root, self._step, self._steps())
        items = read_items(Path(reports[-1].json_path or ""), progress=self._progress)
        is_running = self._step is None and is_locked(self._config.records_dir, rank=0)
        return self._write(out or self.path, items, [_RUNNING] if is_running else [])

    def _write(self, out: Path, items: Iterable[pa.RecordBatch], notes: Sequence[str] = ()) -> Path:
        reports, problems = self._reports()
        report = reports[-1]
        named = [(item.dataset, item.path) for item in listed_items(report)]
        table, total = worst_items(items, self._most_items, [path for _, path in named])
        with announced("reading histories", shown=self._progress):
            histories, missing = self._histories(named)
        self._thumbnails.next_page()
        shown = [*report.worst.caption_mismatch, *report.worst.hard]
        for item in progress_bar("pictures", shown, unit=" pictures", shown=self._progress):
            self._thumbnails(item.path)  # which keeps it for the page
        page = render(
            reports,
            self._thumbnails,
            [*notes, *problems, *missing],
            {
                "charts": charts(reports),
                "items": items_block(table, total) | {"flags": flags(report)},
                "figures": figures_block(table),
                "histories": histories,
            },
            config=self._config,
            total=total,
            items_shown=table.num_rows,
            served=False,
        )
        with whole_file(out, text=True) as file:
            file.write(page)
        return out

    def _histories(self, named: list[tuple[str, str]]) -> tuple[dict[str, Any], list[str]]:
        """The records of some items, or a sentence on why there are none."""
        config = self._config
        try:
            log = RecordLog(config.records_dir)
            if not log.files():
                return {}, ["The log of the run's records is not there: the page cannot show the history of an item."]
            records = item_history(
                log,
                named,
                MOST_RECORDS,
                through=self._step,
                memory_limit=config.memory_limit,
                threads=config.threads,
            )
        except (LogVersionError, duckdb.Error, OSError) as error:
            return {}, [f"The page cannot show the history of an item: {error}"]
        return history_block(records), []


def write_page(config: TrainConfig, **options: Any) -> Path:
    """Write the page of a run from what is in its folder; see `PageBuilder`."""
    return PageBuilder(config, **options).write()


def flags(report: LossReport) -> list[list[Any]]:
    """Dataset, path and reasons of the captions that the report lists."""
    return [[flag.dataset, flag.path, ", ".join(flag.reasons)] for flag in report.flagged]


def render(
    reports: list[LossReport],
    pictures: Callable[[str], Thumbnail],
    problems: list[str],
    blocks: dict[str, Any],
    *,
    config: TrainConfig,
    total: int,
    items_shown: int,
    served: bool,
    busy: str = "",
) -> str:
    """The page as text.

    Args:
        reports: of the run, by step.
        pictures: the picture of the image at a path.
        problems: sentences that a reader must see.
        blocks: what the page's scripts read, by name: plain data, or bytes.
        config: of the run.
        total, items_shown: how many items there are, and how many the table holds.
        served: whether the page asks a server for its data, or is a file with all of it.
        busy: what the server is doing, before everything is there.
    """
    template = _environment().get_template("page.html")
    return template.render(
        **sections(reports[-1] if reports else None, pictures),
        job=config.job_name,
        run_dir=str(config.save_root),
        records_dir=str(config.records_dir),
        total=total,
        items_shown=items_shown,
        served=served,
        busy=busy,
        problems=problems,
        save_steps=len(reports),
        version=__version__,
        styles=[Markup(text) for text in _styles()],
        loader=Markup(_asset(_LOADER)),
        scripts=[_packed(text.encode()) for text in _scripts()],
        style_hashes=_hashes(_styles()),
        script_hashes=_hashes([_asset(_LOADER), *_scripts()]),
        licences=[_asset(name) for name in _LICENCES],
        blocks={name: _packed(block) for name, block in blocks.items()},
    )


def _no_report(config: TrainConfig, problems: list[str]) -> str:
    if problems:
        return f"{config.out_dir} holds no report of {config.job_name!r} that can be read: " + "; ".join(problems)
    return (
        f"{config.out_dir} holds no report of {config.job_name!r} yet; the first one comes with its first save step. "
        "To look at the records before that: loss-logging view"
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("loss_logging", "html/templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _figure
    return environment


def _figure(value: float | None, digits: int = 4) -> str:
    """A figure for people: thousands separated, four digits, a true minus.

    >>> _figure(1234567), _figure(-0.123456), _figure(None)
    ('1,234,567', '−0.1235', '–')
    """
    if value is None:
        return "–"
    text = f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"
    return text.replace("-", "\u2212", 1) if text.startswith("-") else text


@cache
def _asset(name: str) -> str:
    text = files("loss_logging").joinpath(f"html/assets/{name}").read_text("utf-8")
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("//# sourceMappingURL", "/*# sourceMappingURL")))


@cache
def _scripts() -> list[str]:
    """The libraries, each alone, and our own files as one; exactly as the page runs them, which knows their hashes."""
    own = "".join(_asset(name) for name in _OWN_SCRIPTS)
    return [*map(_asset, _SCRIPTS), f'"use strict";\n(() => {{\n{own}}})();\n']


@cache
def _styles() -> list[str]:
    return [_asset(name) for name in _STYLES]


def _hashes(texts: Iterable[str]) -> str:
    return " ".join(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts)


def _packed(block: Any) -> str:
    """Data as compressed base64: small, and whatever its texts hold, nothing in it can end a script element."""
    data = block if isinstance(block, bytes) else msgspec.json.encode(block)
    return b64encode(gzip.compress(data, compresslevel=9, mtime=0)).decode()
