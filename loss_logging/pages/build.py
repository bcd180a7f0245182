"""PageBuilder: the report page of a run, as one file."""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
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

from loss_logging.captions.reason import FlaggedCaption
from loss_logging.errors import LossLoggingError
from loss_logging.pages.answer import ItemCounter, ItemCounts
from loss_logging.pages.charts import charts, history_block, most_points, picked
from loss_logging.pages.content import listed_items, rules_of, sections
from loss_logging.pages.items import figures_block, items_block, worst_items
from loss_logging.pages.run_reports import RunReports
from loss_logging.pages.steps import EarlierSteps, step_blocks
from loss_logging.records.log import LogVersionError, RecordLog
from loss_logging.reports.items import read_items
from loss_logging.reports.names import by_step
from loss_logging.reports.report import DECISIVE_PAIRS, LossReport, WorstItem
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.locate import no_report_of
from loss_logging.runs.lock import is_locked
from loss_logging.statistics.loss_curves import LossCurves, loss_curves
from loss_logging.statistics.run import item_history
from loss_logging.support.files import whole_file
from loss_logging.support.progress_bar import announced, progress_bar
from loss_logging.support.thumbnails import NoThumbnailError, Thumbnail, Thumbnails, existing
from loss_logging.version import __version__

__all__ = ["CAPTION_SUFFIXES", "MOST_ITEMS", "PageBuilder", "flags", "fragments", "render", "tries_of"]

MOST_ITEMS = 100_000
"""Items that a page is still usable with."""
MOST_RECORDS = 400
"""Points in the history of one item."""
_EARLIER_CARDS, _EARLIER_FLAGS, _MOST_EARLIER_ITEMS = 12, 10, 200
CAPTION_SUFFIXES = (".txt", ".caption", ".cap", ".json")
_PARTS = {
    "overview": "overview.html",
    "galleries": "galleries.html",
    "ranking": "datasets.html",
    "flags": "flagged.html",
}
_RUNNING = (
    "The run is still going on: this page shows its last save step. To see what comes, write the page again, set "
    "html: true in the run's configuration, or use loss-logging view."
)
_LOADER = "loader.js"
_SCRIPTS = ("uPlot.iife.min.js", "tabulator.min.js")
_OWN_SCRIPTS = (
    "base.js",
    "address.js",
    "source.js",
    "served.js",
    "charts.js",
    "table.js",
    "details.js",
    "ranking.js",
    "page.js",
)
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
        self._step_of_page = None if step in self._steps()[-1:] else step
        self._reports = RunReports(config, self._step_of_page, progress=progress)
        self._earlier = EarlierSteps(progress=progress)
        self._images = images
        self._thumbnails = Thumbnails(folder=images)
        self._most_items = most_items

    def refresh(self, report: LossReport, items: Iterable[pa.RecordBatch]) -> Path:
        """Write the page of a report that was made just now, and of the figures of every item."""
        self._reports.add(report)
        return self._write(self._config.page_path, items)

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

    def _write(self, out: Path, items: Iterable[pa.RecordBatch], notes: Sequence[str] = ()) -> Path:
        reports, problems = self._reports()
        report = reports[-1]
        steps = picked(reports)
        named = _named(steps)
        counter = ItemCounter()
        table, total = worst_items(counter.through(items), self._most_items, [path for _, path in named])
        self._earlier.keep(report.job.step, counter.counts())
        tables = self._earlier.read(steps[:-1], table.num_rows)
        with announced("reading the log", shown=self._progress):
            histories, curves, missing = self._of_log(named, report)
        self._thumbnails.next_page()
        for item in progress_bar("pictures", _pictured(steps), unit=" pictures", shown=self._progress):
            self._thumbnails(item.path)  # which keeps it for the page
        shown: dict[str, Any] = {"total": total, "save_steps": len(reports), "problems": [*notes, *problems, *missing]}
        blocks = {
            "charts": charts(reports, curves),
            "items": items_block(table, total) | {"flags": flags(report), "rules": rules_of(report)},
            "figures": figures_block(table),
            "histories": histories,
            "steps": [self._step(earlier, histories, shown) for earlier in steps[:-1]],
            "pictures": self._earlier_pictures(report, steps[:-1]),
            "files": self._files(listed_items(report)),
        }
        for step, earlier in tables.items():
            blocks[f"integers-{step}"], blocks[f"figures-{step}"] = step_blocks(table, earlier)
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

    def _step(self, report: LossReport, histories: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
        """What the page shows where its reader chooses an earlier save step."""
        counts = self._earlier.counts(report.job.step)
        tries = tries_of(histories, report)
        limits = {"most_cards": _EARLIER_CARDS, "most_flagged": _EARLIER_FLAGS}
        found = sections(report, self._thumbnails, counts, tries, **limits)
        total = counts.items if counts else None
        parts = fragments(found, **shown | {"problems": [], "total": total}, inline=False)
        return {"step": report.job.step, "parts": parts, "flags": flags(report), "rules": rules_of(report)}

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
        self, named: list[tuple[str, str]], report: LossReport
    ) -> tuple[dict[str, Any], LossCurves | None, list[str]]:
        """The records of some items and the loss over training, or a sentence on why there are none."""
        config = self._config
        limits: dict[str, Any] = {"memory_limit": config.memory_limit, "threads": config.threads}
        try:
            log = RecordLog(config.records_dir)
            if not log.files():
                return (
                    {},
                    None,
                    ["The log of the run's records is not there: the page cannot show the history of an item."],
                )
            records = item_history(log, named, MOST_RECORDS, through=report.job.step, **limits)
            points = most_points(len(report.datasets))
            return history_block(records), loss_curves(log, points, through=report.job.step, **limits), []
        except (LogVersionError, duckdb.Error, OSError) as error:
            return {}, None, [f"The page cannot show the history of an item: {error}"]


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
    counts: ItemCounts | None = None,
    tries: Mapping[tuple[str, str], tuple[int, int]] | None = None,
    live_step: int | None = None,
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
        counts: over every item; None where the report's lists are all there is.
        tries: see `sections`.
        live_step: the step that a server's figures are of; None where they are the report's.
    """
    return _template("page.html").render(
        **sections(reports[-1] if reports else None, pictures, counts, tries),
        **_context(total, len(reports), problems, inline=True, served=served, live_step=live_step),
        job=config.job_name,
        run_dir=str(config.save_root),
        records_dir=str(config.records_dir),
        items_shown=items_shown,
        busy=busy,
        version=__version__,
        styles=[Markup(text) for text in _styles()],
        loader=Markup(_asset(_LOADER)),
        scripts=[_packed(text.encode()) for text in _scripts()],
        style_hashes=_hashes(_styles()),
        script_hashes=_hashes([_asset(_LOADER), *_scripts()]),
        licences=[_asset(name) for name in _LICENCES],
        blocks={name: _packed(block) for name, block in blocks.items()},
    )


def fragments(
    found: dict[str, Any],
    *,
    total: int | None,
    save_steps: int,
    problems: list[str],
    inline: bool = True,
    served: bool = False,
    live_step: int | None = None,
) -> dict[str, str]:
    """The parts of the page that change with the save step, by the id of their place in it.

    Args:
        found: of `sections`.
        total, problems, served, live_step: see `render`.
        save_steps: of the run.
        inline: whether pictures are in the text; else the page's script puts them there.
    """
    context = found | _context(total, save_steps, problems, inline=inline, served=served, live_step=live_step)
    return {place: _template(name).render(context) for place, name in _PARTS.items()}


def _context(
    total: int | None, save_steps: int, problems: list[str], *, inline: bool, served: bool, live_step: int | None
) -> dict[str, Any]:
    return {
        "total": total,
        "save_steps": save_steps,
        "problems": problems,
        "inline": inline,
        "served": served,
        "live_step": live_step,
        "decisive_pairs": DECISIVE_PAIRS,
    }


def _no_report(config: TrainConfig, problems: list[str]) -> str:
    if problems:
        return f"{config.out_dir} holds no report of {config.job_name!r} that can be read: " + "; ".join(problems)
    return (
        f"{config.out_dir} holds no report of {config.job_name!r} yet; the first one comes with its first save step. "
        "To look at the records before that: loss-logging view"
    )


def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("loss_logging.pages", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": _figure, "percent": _percent, "middle": _middle}
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


def _percent(share: float | None, signed: bool = True) -> str:
    """A share for people.

    >>> _percent(0.0912), _percent(-0.5), _percent(0.004, signed=False), _percent(None)
    ('+9.1%', '−50%', '0.4%', '–')
    """
    if share is None:
        return "–"
    digits = 1 if abs(share) < 0.0995 else 0
    sign = "\u2212" if share < 0 else "+" if signed else ""
    return f"{sign}{abs(share):.{digits}%}"


def _middle(text: str, most: int) -> str:
    """A text without its middle where it is long: paths differ at both ends.

    >>> _middle("a/very/long/folder/of/1.png", 15)
    'a/very/…f/1.png'
    """
    if len(text) <= most:
        return text
    return f"{text[: (most - 1) // 2]}…{text[-((most - 1) - (most - 1) // 2) :]}"


@cache
def _asset(name: str) -> str:
    text = files("loss_logging.pages").joinpath(f"assets/{name}").read_text("utf-8")
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
