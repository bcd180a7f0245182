"""A LossReport as terminal tables."""

from __future__ import annotations

import itertools
import math
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from os.path import commonprefix
from typing import Literal, Protocol

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loss_logging.captions.reason import FlaggedCaption
from loss_logging.evidence.verdict import VERDICTS
from loss_logging.reports.report import Histogram, LossReport, Summary, Verdicts, WorstItem

__all__ = [
    "DECIDED",
    "aligned",
    "cell",
    "common_folder",
    "item_cells",
    "new_table",
    "path_cell",
    "print_report",
    "print_table",
    "print_where",
]

CAPTION_WIDTH, PATH_WIDTH, WARNING_WIDTH = 60, 24, 1000
SEVERITY_STYLES = {"info": "", "warning": "yellow", "error": "red"}
WIDE = 100
DECIDED = {"fine": "fine", "exclude": "excluded", "caption": "corrected", "later": "later"}
"""What stands on an item that a person has decided about."""
_BARS = " ▁▂▃▄▅▆▇█"
_MOST_BARS = 24


class _Item(Protocol):
    @property
    def dataset(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def caption(self) -> str: ...


def print_report(report: LossReport, console: Console, rows: int = 10) -> None:
    """Print the losses of each dataset, the captions that are very likely wrong or worth a look, the odd images and the
    flagged captions, at most ``rows`` lines of each."""
    head = Text(f"{cell(report.job.name)}, step {report.job.step}", style="bold")
    ranks = f", {report.job.world_size} ranks" if report.job.world_size > 1 else ""
    console.print(head.append(f"  {cell(report.job.created)}{ranks}", style="not bold dim"), soft_wrap=True)
    for warning in report.warnings:
        console.print(Text(f"warning: {cell(warning, WARNING_WIDTH)}", style="yellow"), soft_wrap=True)
    if report.excluded:
        console.print(Text(_left_out(report.excluded)), soft_wrap=True)
    if report.verdicts is not None:
        console.print(Text(_finding(report.verdicts)), soft_wrap=True)
    for table in report_tables(report, rows, console.width, with_charts=not console.options.ascii_only):
        print_table(table, console)
    print_where(common_folder(_paths(report, rows)), console)


def report_tables(report: LossReport, rows: int = 10, width: int = 80, *, with_charts: bool = True) -> list[Table]:
    """The tables of :func:`print_report` for a terminal of ``width`` columns, without empty tables."""
    folder = common_folder(_paths(report, rows))
    tables = [
        _dataset_table(report, with_charts=with_charts and width >= WIDE),
        _captions_table(report),
        *(_worst_table(title, items[:rows], folder, width) for title, items in _caption_rankings(report)),
        _worst_table("Highest hard, and the chance that the image is odd", report.worst.hard[:rows], folder, width),
        _flagged_table(report.flagged[:rows], report.flagged_summary, folder, width),
    ]
    return [table for table in tables if table.row_count]


def cell(text: str, width: int = CAPTION_WIDTH) -> str:
    """``text`` on one line, cut to ``width`` characters, with control characters written out.

    >>> print(cell("red\\x1b[31m\\ncat"))
    red\\x1b[31m\\ncat
    """
    visible = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:width])
    return visible if len(visible) <= width and len(text) <= width else f"{visible[: width - 1]}…"


def path_cell(path: str, width: int = PATH_WIDTH) -> str:
    """The end of ``path``, which differs most between paths.

    >>> path_cell("a/very/long/path/of/img.png", width=12)
    '…/of/img.png'
    """
    return cell(path, width) if len(path) <= width else f"…{cell(path[1 - width :], width - 1)}"


def path_width(width: int) -> int:
    """The width of paths in a terminal of ``width`` columns."""
    return max(PATH_WIDTH, width // 4)


def common_folder(paths: Iterable[str]) -> str:
    """The common folder of all ``paths``, with a slash at the end; "" if there is none.

    >>> common_folder(["images/cats/1.png", "images/cats/2.png"])
    'images/cats/'
    """
    folder, slash, _ = commonprefix(list(paths)).rpartition("/")  # noqa: RUF071 it is cut at a slash
    return folder + slash


def print_where(folder: str, console: Console) -> None:
    """Print the common folder, which the paths omit."""
    if folder:
        console.print(Text(f"Paths are in {cell(folder, 500)}", style="dim"), soft_wrap=True)


def aligned(values: Sequence[float | None]) -> list[str]:
    """Numbers with the same number of decimals, so that the largest has 4 significant digits; "-" for None.

    >>> aligned([0.5, 0.123456, None])
    ['0.5000', '0.1235', '-']
    """
    largest = max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)
    digits = 3 - math.floor(math.log10(largest)) if largest > 0 else 0
    form = f".{max(digits, 0)}f" if digits <= 8 and largest < 1e9 else ".3e"
    return ["-" if value is None else f"{value:{form}}" for value in values]


def new_table(title: str, **columns: str) -> Table:
    """A table of the named columns; each is a ``"number"``, a ``"name"``, or ``"text"``, which is shortened first."""
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, kind in columns.items():
        justify: Literal["left", "right"] = "right" if kind == "number" else "left"
        table.add_column(name.replace("_", " "), justify=justify, no_wrap=kind != "text", overflow="ellipsis")
    return table


def print_table(table: Table, console: Console) -> None:
    """Print a table with title and note on separate lines; inside a narrow table, they would wrap."""
    console.print(table.title, style="bold", soft_wrap=True)
    note, table.title, table.caption = table.caption, None, None
    console.print(table)
    if note:
        console.print(note, soft_wrap=True)


def item_cells(item: _Item, folder: str, width: int) -> list[Text]:
    """Dataset, path and caption of an item for a terminal of ``width`` columns."""
    caption = item.caption if item.caption.strip() else repr(item.caption)
    path = path_cell(item.path.removeprefix(folder), path_width(width))
    return [_line(cell(item.dataset, PATH_WIDTH)), Text(path), _line(cell(caption, width))]


def _paths(report: LossReport, rows: int) -> list[str]:
    listed: list[Sequence[_Item]] = [items for _, items in _caption_rankings(report)]
    return [item.path for items in (*listed, report.worst.hard, report.flagged) for item in items[:rows]]


def _dataset_table(report: LossReport, *, with_charts: bool) -> Table:
    figures = ("count", "mean", "median", "p95", "max", "non_finite", "flagged")
    charts = {"losses_(low_to_high)": "name"} if with_charts else {}
    table = new_table("Loss per dataset", dataset="name", **dict.fromkeys(figures, "number"), **charts)
    flagged = Counter(caption.dataset for caption in report.flagged)
    # The report lists at most `max_table_rows` flagged captions.
    more = "+" if len(report.flagged) >= report.config.get("max_table_rows", math.inf) else ""
    rows = [(cell(name, PATH_WIDTH), dataset.summary, flagged[name]) for name, dataset in report.datasets.items()]
    if len(rows) > 1:
        rows.append(("all", report.global_, len(report.flagged)))
    columns = [aligned(column) for column in zip(*(_losses(summary) for _, summary, _ in rows), strict=True)]
    draw = _charts([summary.histogram for _, summary, _ in rows])
    for i, (name, summary, found) in enumerate(rows):
        if i == len(report.datasets):
            table.add_section()
        bad = Text(f"{summary.non_finite:,}", style="red" if summary.non_finite else "")
        chart = [Text(draw(summary.histogram), style="cyan")] if with_charts else []
        table.add_row(
            Text(name), f"{summary.count:,}", *(column[i] for column in columns), bad, f"{found:,}{more}", *chart
        )
    return table


def _captions_table(report: LossReport) -> Table:
    """The profile of each dataset's captions, and the reasons against the dataset as a whole."""
    table = new_table("Captions per dataset", dataset="name", captions="name", severity="name", message="text")
    found = report.tables.get(f"{report.prefix}/captions")
    for name, profile, severity, _, message in found.rows if found else ():
        style = SEVERITY_STYLES.get(severity, "")
        table.add_row(
            Text(cell(name, PATH_WIDTH)), profile, Text(severity or "", style), Text(cell(message or "", WARNING_WIDTH))
        )
    return table


def _losses(summary: Summary) -> tuple[float | None, ...]:
    return summary.mean, summary.median, summary.quantiles.get("0.95"), summary.max


def _charts(histograms: list[Histogram | None]) -> Callable[[Histogram | None], str]:
    """Draws each histogram as small bars over common bins, so that they can be compared."""
    edges = sorted({edge for histogram in histograms if histogram is not None for edge in histogram.edges})

    def draw(histogram: Histogram | None) -> str:
        if histogram is None or not any(histogram.counts):
            return ""
        bins_per_bar = -(-len(edges) // _MOST_BARS)
        heights = [0] * -(-len(edges) // bins_per_bar)
        for (left, right), count in zip(itertools.pairwise(histogram.edges), histogram.counts, strict=True):
            heights[(bisect(edges, (left + right) / 2) - 1) // bins_per_bar] += count
        return "".join(_BARS[math.ceil(height / max(heights) * (len(_BARS) - 1))] for height in heights)

    return draw


def _worst_table(title: str, items: list[WorstItem], folder: str, width: int) -> Table:
    numbers = aligned([*(item.score for item in items), *(item.standard_error for item in items)])
    columns = {"score": numbers[: len(items)]}
    if any(item.standard_error is not None for item in items):
        columns["±"] = numbers[len(items) :]
    if any(item.std_z is not None and item.p_odd is not None for item in items):
        columns["odd"] = ["-" if item.p_odd is None else f"{item.p_odd:.0%}" for item in items]
    columns["n"] = [f"{item.count:,}" for item in items]
    columns["mean_loss"] = aligned([item.average_loss for item in items])
    decided = {"decided": [DECIDED.get(item.decision or "", "") for item in items]}
    if any(decided["decided"]):
        columns |= decided
    table = new_table(title, **dict.fromkeys(columns, "number"), dataset="text", path="name", caption="text")
    for item, *row in zip(items, *columns.values(), strict=True):
        table.add_row(*row, *item_cells(item, folder, width))
    if "corrected" in decided["decided"]:
        table.caption = Text("corrected: records of before, where this run has any, still count")
    return table


def _left_out(excluded: Mapping[str, int]) -> str:
    """
    >>> _left_out({"cats": 2, "dogs": 1})
    'Left out of the training, as was decided: 3 (cats 2, dogs 1).'
    """
    each = ", ".join(f"{cell(name)} {count:,}" for name, count in excluded.items())
    return f"Left out of the training, as was decided: {sum(excluded.values()):,} ({each})."


def _finding(verdicts: Verdicts) -> str:
    """The verdicts on all captions, in a sentence.

    >>> _finding(Verdicts(2, 0, 90, 8))
    'Captions: 2 very likely wrong, 90 with no sign of it, 8 undecided.'
    >>> _finding(Verdicts(no_sign=90))
    'No caption stands out of 90 that were compared.'
    """
    bins = ((verdicts.very_likely_wrong, "very likely wrong"), (verdicts.look_at, "to look at"))
    found = [f"{n:,} {what}" for n, what in bins if n]
    undecided = [f"{verdicts.undecided:,} undecided"] if verdicts.undecided else []
    if found:
        return f"Captions: {', '.join([*found, f'{verdicts.no_sign:,} with no sign of it', *undecided])}."
    if not verdicts.judged:
        return f"No caption is judged so far: {verdicts.undecided:,} undecided."
    return f"No caption stands out of {verdicts.judged:,} that were compared{''.join(f', {n}' for n in undecided)}."


def _caption_rankings(report: LossReport) -> list[tuple[str, list[WorstItem]]]:
    """Title and items of the rankings of captions. Without verdicts, the title only names the figure."""
    if report.verdicts is None or not report.verdicts.judged:
        return [(f"Highest caption_mismatch, not judged{_undecided(report)}", report.worst.caption_mismatch)]
    likely, look = report.verdicts.very_likely_wrong, report.verdicts.look_at
    return [
        (f"Captions very likely wrong: {likely:,}, of which one in ten may be right", report.worst.having(VERDICTS[0])),
        (f"Look at these: {look:,} captions that may be wrong", report.worst.having(VERDICTS[1])),
    ]


def _undecided(report: LossReport) -> str:
    """The number of items that the ranking by caption_mismatch omits, as they have too few pairs."""
    paired = [dataset.paired_items for dataset in report.datasets.values() if dataset.paired_items is not None]
    undecided, unpaired = sum(p.undecided for p in paired), sum(p.unpaired for p in paired)
    parts = [f"{n} {what}" for n, what in ((undecided, "undecided"), (unpaired, "unpaired")) if n]
    return f" ({', '.join(parts)})" if parts else ""


def _flagged_table(flagged: list[FlaggedCaption], counts: dict[str, int], folder: str, width: int) -> Table:
    found = ", ".join(f"{n:,} {cell(reason)}" for reason, n in counts.items())
    columns = {"severity": "name", "reasons": "text", "dataset": "text", "path": "name", "caption": "text"}
    table = new_table(f"Flagged captions: {found}", **columns)
    for item in flagged:
        severity = Text(item.severity, style=SEVERITY_STYLES[item.severity])
        table.add_row(severity, _line(cell(", ".join(item.reasons))), *item_cells(item, folder, width))
    return table


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
