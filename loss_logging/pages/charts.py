"""The series of the page's charts, as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import pyarrow as pa

from loss_logging.reports.report import LossReport, Summary
from loss_logging.statistics.loss_curves import LossCurve, LossCurves

__all__ = ["charts", "history_block", "most_points", "picked", "run_series", "shown_datasets"]

T = TypeVar("T")

MOST_DATASETS = 500
"""The number of datasets with a curve and a row in the ranking; nobody reads a table of thousands."""
MOST_DETAILED = 60
"""The number of datasets with histograms and timestep curves."""
MOST_STEPS = 40
"""The number of save steps that a reader can choose from."""
_MOST_CHARTS = 1_000
"""Histograms on one page."""
_MOST_POINTS, _MOST_POINTS_IN_ALL = 400, 24_000
_MOST_MEANS = 2_000


def shown_datasets(report: LossReport) -> list[str]:
    """The datasets that the page shows: the ones with the most records."""
    return sorted(report.datasets, key=lambda name: -report.datasets[name].summary.count)[:MOST_DATASETS]


def most_points(datasets: int) -> int:
    """The number of points of each curve, for a number of datasets."""
    return max(40, min(_MOST_POINTS, _MOST_POINTS_IN_ALL // max(1, min(datasets, MOST_DATASETS) + 1)))


def picked(reports: Sequence[LossReport]) -> list[LossReport]:
    """The save steps that a reader can choose from, including the last one."""
    detailed = min(MOST_DETAILED, len(reports[-1].datasets)) if reports else 1
    return spread(reports, max(2, min(MOST_STEPS, _MOST_CHARTS // max(1, detailed))))


def charts(reports: Sequence[LossReport], curves: LossCurves | None = None) -> dict[str, Any]:
    """The series of every chart.

    Args:
        reports: the reports of the run, by step.
        curves: the loss over training; None or an empty one takes one point per save step.
    """
    if not reports:
        names = [name for name in curves.curves if name is not None][:MOST_DATASETS] if curves else []
        compared: list[LossReport] = []
    else:
        names = shown_datasets(reports[-1])
        compared = picked(reports)
    fine = curves is not None and bool(curves.steps)
    kept = spread(reports, _MOST_MEANS)
    found: dict[str, Any] = {}
    for place, name in enumerate(names):
        found[name] = {"loss": _loss(curves, name) if fine and curves else _loss_of_reports(kept, name)}
        if place < MOST_DETAILED:
            found[name]["histograms"] = [_histogram(_summary(report, name)) for report in compared]
            found[name]["curves"] = [_curve(_summary(report, name)) for report in compared]
    return {
        "steps": curves.steps if fine and curves else [report.job.step for report in kept],
        "window": curves.width if fine and curves else None,
        "compared": [report.job.step for report in compared],
        "saves": [[report.job.step, _seconds(report.job.created)] for report in kept],
        "timestep_scale": reports[-1].timestep_scale if reports else None,
        "overall": _loss(curves, None) if fine and curves else _overall(kept),
        "datasets": found,
    }


def run_series(report: LossReport, curves: LossCurves | None) -> dict[str, Any]:
    """The series of one report, to be drawn over those of another run; under "" those of all datasets."""
    found = charts([report], curves)
    every: dict[str, Any] = {"loss": found["overall"]}
    named = {"": (every, report.global_)} | {
        name: (series, _summary(report, name)) for name, series in found["datasets"].items()
    }
    datasets = {}
    for place, (name, (series, summary)) in enumerate(named.items()):
        datasets[name] = {"loss": series["loss"]}
        if place <= MOST_DETAILED:
            datasets[name] |= {"histogram": _histogram(summary), "curve": _curve(summary)}
    return {"steps": found["steps"], "datasets": datasets}


def spread(reports: Sequence[LossReport], most: int) -> list[LossReport]:
    """At most ``most`` of the reports, including the first and the last."""
    if len(reports) <= most:
        return list(reports)
    return [reports[round(i * (len(reports) - 1) / (most - 1))] for i in range(most)]


def _seconds(created: str) -> float | None:
    try:
        return datetime.fromisoformat(created).timestamp()
    except ValueError:
        return None


def _loss(curves: LossCurves, name: str | None) -> dict[str, Any]:
    curve = curves.curves.get(name, LossCurve([], [], [], []))
    whole = curve.places == list(range(len(curves.steps)))  # usually true, and then left out
    return {
        "places": None if whole else curve.places,
        "n": curve.n,
        "means": shorts(curve.means),
        "errors": [None if error is None else short(error, 2) for error in curve.errors],
    }


def _loss_of_reports(reports: Sequence[LossReport], name: str) -> dict[str, Any]:
    return _between([_summary(report, name) for report in reports])


def _overall(reports: Sequence[LossReport]) -> dict[str, Any]:
    return _between([report.global_ for report in reports])


def _between(summaries: Sequence[Summary | None]) -> dict[str, Any]:
    """The mean loss of the records since the previous save step, from the means over the whole run."""
    places, counts, means = list[int](), list[int](), list[float]()
    before, total = 0, 0.0
    for place, summary in enumerate(summaries):
        if summary is None or summary.mean is None:
            continue
        n = summary.count - summary.non_finite
        if n > before:
            places.append(place)
            counts.append(n - before)
            means.append(short((n * summary.mean - total) / (n - before)))
        before, total = n, n * summary.mean
    return {"places": places, "n": counts, "means": means, "errors": [None] * len(means)}


def _summary(report: LossReport, name: str) -> Summary | None:
    dataset = report.datasets.get(name)
    return dataset.summary if dataset else None


def _histogram(summary: Summary | None) -> dict[str, Any] | None:
    if summary is None or summary.histogram is None:
        return None
    return {"edges": shorts(summary.histogram.edges), "counts": summary.histogram.counts}


def _curve(summary: Summary | None) -> dict[str, Any] | None:
    if summary is None or summary.loss_by_timestep is None:
        return None
    curve = summary.loss_by_timestep
    means = [None if mean is None else short(mean) for mean in curve.means]
    return {"edges": shorts(curve.edges), "counts": curve.counts, "means": means}


def short(value: float, digits: int = 4) -> float:
    """A figure with as many digits as a chart shows."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else value


def shorts(values: Iterable[float]) -> list[float]:
    """Figures with as many digits as a chart shows."""
    return [short(value) for value in values]


def history_block(records: pa.Table) -> dict[str, dict[str, Any]]:
    """The records of some items as plain data, by dataset and path: ``[step, timestep, loss, loss_empty]`` each."""
    block: dict[str, dict[str, Any]] = {}
    for row in records.to_pylist():
        dataset, path, step, *figures, of = row.values()
        entry = block.setdefault(dataset, {}).setdefault(path, {"of": of, "records": []})
        entry["records"].append([step, *(None if figure is None else short(figure, 5) for figure in figures)])
    return block
