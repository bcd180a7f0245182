"""What the page says, from a run's reports: plain data for the template and for the charts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from loss_logging.captions.reason import FlaggedCaption
from loss_logging.reports.report import LossReport, Summary, WorstItem
from loss_logging.support.thumbnails import Thumbnail

__all__ = ["Card", "Gallery", "Piece", "Section", "charts", "history_block", "listed_items", "sections"]

_LABELS = {"average_loss": "mean loss", "robust_z": "robust z", "std_z": "std of z"}
MOST_DATASETS = 100
"""Datasets with charts; the tables of a page with thousands would be read by nobody."""
MOST_STEPS = 40
"""Save steps that histograms and timestep curves are kept of."""
MOST_POINTS = 2_000
MOST_FLAGGED = 60
TEXT_LENGTH = 1_500
_AROUND = 160
_GALLERIES = {
    "caption_mismatch": (
        "Captions that hurt",
        "The loss with the caption is higher than with the empty one: the caption may be wrong. The score is how much "
        "higher, as a share of the mean of both; its standard error and t tell whether that can be chance. Pairs: "
        "records with both.",
    ),
    "hard": (
        "Hard images",
        "The loss is high among records of the same timestep and time of training: the image may be odd. About 0 is "
        "ordinary.",
    ),
}


class Piece(msgspec.Struct, frozen=True):
    """A part of a caption; ``marked`` when a rule objects to it."""

    text: str
    marked: bool = False


class Card(msgspec.Struct, frozen=True):
    """One item of a gallery."""

    item: WorstItem
    picture: Thumbnail
    name: str
    caption: str
    figures: list[tuple[str, float | int | None]]
    reasons: list[str]


class Gallery(msgspec.Struct, frozen=True):
    """One ranking, worst first."""

    name: str
    title: str
    help: str
    cards: list[Card]


class Section(msgspec.Struct, frozen=True):
    """The captions that one rule objects to. ``count`` is over all items, ``listed`` over those the report lists."""

    rule: str
    count: int
    listed: int
    severity: str
    message: str
    captions: list[tuple[FlaggedCaption, list[Piece], str]]


def listed_items(report: LossReport) -> list[WorstItem | FlaggedCaption]:
    """The items of all galleries and the flagged ones."""
    return [*(item for name in _GALLERIES for item in getattr(report.worst, name)), *report.flagged]


def sections(report: LossReport | None, pictures: Callable[[str], Thumbnail]) -> dict[str, Any]:
    """Everything that the template shows of one report, or before the first one."""
    if report is None:
        return {"report": None, "galleries": [], "flagged": [], "datasets": {}, "datasets_left_out": 0, "paired": {}}
    flags = {(flag.dataset, flag.path): flag.reasons for flag in report.flagged}
    shown, left_out = _most_records(report)
    return {
        "report": report,
        "galleries": [
            Gallery(name, title, text, [_card(item, pictures, flags) for item in getattr(report.worst, name)])
            for name, (title, text) in _GALLERIES.items()
        ],
        "flagged": _by_rule(report),
        "datasets": {name: report.datasets[name].summary for name in shown},
        "datasets_left_out": left_out,
        "paired": {
            name: sum(getattr(d.paired_items, name) for d in report.datasets.values() if d.paired_items is not None)
            for name in ("decided", "undecided", "unpaired")
        },
    }


def _card(item: WorstItem, pictures: Callable[[str], Thumbnail], flags: dict[tuple[str, str], list[str]]) -> Card:
    figures = [
        (_LABELS.get(name, name.replace("_", " ")), value)
        for name, value in msgspec.structs.asdict(item).items()
        if name not in ("score", "standard_error", "count") and isinstance(value, (int, float))
    ]
    return Card(
        item=item,
        picture=pictures(item.path),
        name=Path(item.path).name or item.path,
        caption=_shortened(item.caption),
        figures=[("records" if item.standard_error is None else "pairs", item.count), *figures],
        reasons=flags.get((item.dataset, item.path), []),
    )


def _shortened(text: str) -> str:
    left = len(text) - TEXT_LENGTH
    return text if left <= 0 else f"{text[:TEXT_LENGTH]}… ({left:,} more characters)"


def _by_rule(report: LossReport) -> list[Section]:
    grouped: defaultdict[str, list[FlaggedCaption]] = defaultdict(list)
    for flag in report.flagged:
        for rule in flag.reasons:
            grouped[rule].append(flag)
    found = []
    for rule, count in report.flagged_summary.items():
        flags = grouped[rule]
        details = [detail for flag in flags[:1] for detail in flag.details if detail.rule == rule]
        captions = [(flag, _pieces(flag, rule), _message(flag, rule)) for flag in flags[:MOST_FLAGGED]]
        severity = details[0].severity if details else "info"
        message = details[0].message if details else ""
        found.append(Section(rule, count, len(flags), severity, message, captions))
    return found


def _message(flag: FlaggedCaption, rule: str) -> str:
    return " ".join(detail.message for detail in flag.details if detail.rule == rule)


def _pieces(flag: FlaggedCaption, rule: str) -> list[Piece]:
    """The caption around what the rule objects to, which is marked."""
    spans = [detail.span for detail in flag.details if detail.rule == rule and detail.span is not None]
    if not spans:
        return [Piece(_shortened(flag.caption))]
    start, end = spans[0]
    start, end = max(0, min(start, len(flag.caption))), max(0, min(end, len(flag.caption)))
    before, after = flag.caption[:start], flag.caption[end:]
    pieces = [
        Piece(before if len(before) <= _AROUND else f"…{before[-_AROUND:]}"),
        Piece(_shortened(flag.caption[start:end]), marked=True),
        Piece(after if len(after) <= _AROUND else f"{after[:_AROUND]}…"),
    ]
    return [piece for piece in pieces if piece.text]


def _most_records(report: LossReport) -> tuple[list[str], int]:
    names = sorted(report.datasets, key=lambda name: -report.datasets[name].summary.count)[:MOST_DATASETS]
    return names, len(report.datasets) - len(names)


def charts(reports: list[LossReport]) -> dict[str, Any]:
    """The series of every chart: mean loss since the save step before, histograms and timestep curves, per dataset."""
    if not reports:
        return {"steps": [], "datasets": {}, "compared": [], "timestep_scale": None}
    names, _ = _most_records(reports[-1])
    kept = _spread(reports, MOST_POINTS)
    compared = _spread(reports, max(2, min(MOST_STEPS, MOST_DATASETS * MOST_STEPS // 4 // max(1, len(names)))))
    return {
        "steps": [report.job.step for report in kept],
        "compared": [report.job.step for report in compared],
        "timestep_scale": reports[-1].timestep_scale,
        "datasets": {
            name: {
                "means": _means_between([_summary(report, name) for report in kept]),
                "histograms": [_histogram(_summary(report, name)) for report in compared],
                "curves": [_curve(_summary(report, name)) for report in compared],
            }
            for name in names
        },
    }


def _spread(reports: list[LossReport], most: int) -> list[LossReport]:
    """At most ``most`` of them, the first and the last among them."""
    if len(reports) <= most:
        return reports
    return [reports[round(i * (len(reports) - 1) / (most - 1))] for i in range(most)]


def _summary(report: LossReport, name: str) -> Summary | None:
    dataset = report.datasets.get(name)
    return dataset.summary if dataset else None


def _means_between(summaries: list[Summary | None]) -> list[float | None]:
    """The mean loss of what came since the save step before, from the means over the whole run."""
    means: list[float | None] = []
    before, total = 0, 0.0
    for summary in summaries:
        if summary is None or summary.mean is None:
            means.append(None)
            continue
        n = summary.count - summary.non_finite
        means.append(_short((n * summary.mean - total) / (n - before)) if n > before else None)
        before, total = n, n * summary.mean
    return means


def _histogram(summary: Summary | None) -> dict[str, Any] | None:
    if summary is None or summary.histogram is None:
        return None
    return {"edges": list(map(_short, summary.histogram.edges)), "counts": summary.histogram.counts}


def _curve(summary: Summary | None) -> dict[str, Any] | None:
    if summary is None or summary.loss_by_timestep is None:
        return None
    curve = summary.loss_by_timestep
    means = [None if mean is None else _short(mean) for mean in curve.means]
    return {"edges": list(map(_short, curve.edges)), "counts": curve.counts, "means": means}


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def history_block(records: pa.Table) -> dict[str, dict[str, Any]]:
    """The records of some items as plain data, by dataset and path: ``[step, timestep, loss, loss_empty]`` each."""
    block: dict[str, dict[str, Any]] = {}
    for row in records.to_pylist():
        dataset, path, *figures, of = row.values()
        entry = block.setdefault(dataset, {}).setdefault(path, {"of": of, "records": []})
        entry["records"].append([None if figure is None else _short(figure) for figure in figures])
    return block
