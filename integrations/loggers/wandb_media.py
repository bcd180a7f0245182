"""The data of a report other than scalars as W&B objects: histograms, curves, tables, pictures."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from loss_logging.integrations.loggers.cells import clean_name, shorten
from loss_logging.reports.report import Histogram, LossReport, Picture, Table, TimestepCurve

__all__ = ["coarsen", "media"]

MAX_BINS = 512
"""The most bins of a histogram that W&B accepts."""


def media(report: LossReport) -> dict[str, Any]:
    """Histograms, curves (drawn as histograms) and tables as W&B objects."""
    histograms = {name: coarsen(histogram, MAX_BINS) for name, histogram in report.histograms.items()}
    lines = _curves(report)
    return {
        **({f"{report.prefix}/loss_by_timestep_of_all": lines} if lines is not None else {}),
        **{clean_name(name): _bars(histogram.counts, histogram.edges) for name, histogram in histograms.items()},
        **{
            clean_name(name): _bars([m or 0.0 for m in curve.means], curve.edges)
            for name, curve in report.curves.items()
        },
        **{clean_name(name): _table(table, report.galleries.get(name, [])) for name, table in report.tables.items()},
    }


_MOST_LINES = 20


def _curves(report: LossReport) -> Any:
    """Mean loss by timestep as a chart with a line for each of the largest datasets; None without any curve."""
    import wandb

    curves = {name: d.summary.loss_by_timestep for name, d in report.datasets.items()}
    most = sorted(curves, key=lambda name: -report.datasets[name].summary.count)[:_MOST_LINES]
    xs, ys, names = [], [], []
    for name in most:
        curve = curves[name]
        points = [] if curve is None else _points(curve)
        if points:
            xs.append([x for x, _ in points])
            ys.append([y for _, y in points])
            names.append(shorten(name, 60))
    return wandb.plot.line_series(xs, ys, keys=names, title="Loss by timestep", xname="timestep") if names else None


def _points(curve: TimestepCurve) -> list[tuple[float, float]]:
    """The centre of each bin with records, and the mean loss there."""
    bins = zip(itertools.pairwise(curve.edges), curve.means, strict=True)
    return [((left + right) / 2, mean) for (left, right), mean in bins if mean is not None]


def _bars(heights: Sequence[float], edges: Sequence[float]) -> Any:
    import wandb

    return wandb.Histogram(np_histogram=(np.array(heights), np.array(edges)))


def _table(table: Table, gallery: Sequence[Picture | None] = ()) -> Any:
    import wandb

    rows: list[Iterable[Any]] = [[_cell(value) for value in row] for row in table.rows]
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


def coarsen(histogram: Histogram, max_bins: int) -> Histogram:
    """The histogram with at most ``max_bins`` bins, made by merging adjacent bins.

    >>> coarsen(Histogram([0, 1, 2, 3], [5, 6, 7]), max_bins=2)
    Histogram(edges=[0, 2, 3], counts=[11, 7])
    """
    width = -(-len(histogram.counts) // max_bins)
    if width <= 1:
        return histogram
    starts = range(0, len(histogram.counts), width)
    edges = [histogram.edges[start] for start in starts] + histogram.edges[-1:]
    return Histogram(edges, [sum(histogram.counts[start : start + width]) for start in starts])
