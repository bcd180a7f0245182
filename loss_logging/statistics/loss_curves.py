"""The loss over the whole training per dataset, in more points than save steps."""

from __future__ import annotations

import math

import msgspec

from loss_logging.records.log import RecordLog
from loss_logging.statistics.queries import Queries

__all__ = ["LossCurve", "LossCurves", "curves_of", "loss_curves"]


class LossCurve(msgspec.Struct, frozen=True):
    """Mean losses of one dataset: the ``places`` in `LossCurves.steps`, the number ``n`` of finite losses there, their
    ``means``, and the standard ``errors`` of the means, None for a single loss."""

    places: list[int]
    n: list[int]
    means: list[float]
    errors: list[float | None]


class LossCurves(msgspec.Struct, frozen=True):
    """The curve of each dataset, and under None of all; ``steps`` are the last steps of windows of ``width`` steps."""

    width: int = 1
    steps: list[int] = []
    curves: dict[str | None, LossCurve] = {}


def loss_curves(
    log: RecordLog, points: int, *, through: int | None = None, memory_limit: str = "1GB", threads: int = 1
) -> LossCurves:
    """Mean losses over a whole log, in at most ``points`` windows of equal width.

    Args:
        log: the records of a run.
        points: the largest number of windows, 1 or more.
        through: the last step; None takes all steps.
        memory_limit, threads: limits for DuckDB.

    Raises:
        duckdb.Error: a shard is damaged, or was compacted in the meantime.
    """
    with Queries(memory_limit, threads) as queries:
        queries.read(log.files())
        return curves_of(queries, points, through)


def curves_of(queries: Queries, points: int, through: int | None = None) -> LossCurves:
    """`loss_curves` of the records that the queries read."""
    first, last = queries.rows("steps_with_a_loss")[0]
    if last is None:
        return LossCurves()
    through = last if through is None else min(through, last)
    width = max(1, math.ceil((through - first + 1) / points))
    rows = queries.rows("loss_curves", first=first, width=width, through=through)
    ends = [min(first + (place + 1) * width - 1, through) for place in range((through - first) // width + 1)]
    found: dict[str | None, LossCurve] = {}
    for dataset, place, n, mean, error in rows:
        if math.isfinite(mean):  # losses near 1e308 overflow on the way
            curve = found.setdefault(dataset, LossCurve([], [], [], []))
            curve.places.append(place)
            curve.n.append(n)
            curve.means.append(mean)
            curve.errors.append(error if error is not None and math.isfinite(error) else None)
    return LossCurves(width, ends, found)
