"""The verdict on every item of a run, from its losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from loss_logging.errors import MissingExtraError
from loss_logging.evidence.verdict import VERDICTS, Verdict
from loss_logging.statistics.queries import Queries, sql

__all__ = ["judge_items"]

_FEWEST = 30
"""Items that tell what an ordinary image is, in a dataset or in all."""
_MOST = 4_000_000
"""Items that are judged at a time: 800 MB. Of more, memory would grow beyond what a run allows."""


def judge_items(queries: Queries) -> list[str]:
    """Make the view ``judged``: `item_statistics` with ``p_wrong``, ``p_odd``, ``verdict`` and its ``bin`` (0 to 2).

    All captions are judged together: of a hundred small datasets that were judged each by itself, chance would fill the
    first bin. Images are compared within their dataset, where that is large enough. Takes about 200 bytes an item, and
    no Python object for each.

    Returns:
        Sentences on what could not be told; none where there is nothing to tell.
    """
    count = int(queries.value("SELECT count(*) FROM item_statistics"))
    items = queries.arrow("judged_by", enough=_FEWEST, most=_MOST if count <= _MOST else 0)
    columns, notes = _verdicts(items)
    queries.replace("verdicts", pa.table({"item_hash": items["item_hash"], **columns}))
    queries.view("judged", sql("judged"))
    if count > _MOST:
        return [f"captions have no verdict: of {count:,} items at most {_MOST:,} can be judged together"]
    return notes


def _verdicts(items: pa.Table) -> tuple[dict[str, pa.Array], list[str]]:
    """The columns of the table ``verdicts``, and what could not be told."""
    n, mean, error = (_floats(items[name]) for name in ("n_paired", "caption_mismatch", "standard_error"))
    rivals, against, rival_error = (_floats(items[name]) for name in ("n_rival", "rival_mismatch", "rival_error"))
    hard = _floats(items["hard"])
    if not n.any() and np.isfinite(hard).sum() < _FEWEST:
        return _nothing(len(items)), []
    from loss_logging.evidence.judge import judge  # scipy, which takes a fifth of a second and 30 MB
    from loss_logging.evidence.losses import LossEvidence

    try:
        rival = LossEvidence(against, rivals, rival_error) if rivals.any() else None
        found = judge(empty=LossEvidence(mean, n, error), rival=rival, hard=hard)
    except MissingExtraError as missing:
        return _nothing(len(items)), [f"captions have no verdict: {missing}"] if n.any() else []
    place: dict[Verdict | None, int] = {verdict: i for i, verdict in enumerate(VERDICTS)}
    bins = pa.array(map(place.get, found.verdict), pa.int8())
    return {
        "p_wrong": pa.array(found.p_wrong, from_pandas=True),  # NaN becomes NULL
        "p_odd": pa.array(found.p_odd, from_pandas=True),
        "bin": bins,
        "verdict": pa.DictionaryArray.from_arrays(bins, list(VERDICTS)),
    }, [*found.notes] if bins.null_count == len(bins) else []


def _nothing(count: int) -> dict[str, pa.Array]:
    return {
        "p_wrong": pa.nulls(count, pa.float64()),
        "p_odd": pa.nulls(count, pa.float64()),
        "bin": pa.nulls(count, pa.int8()),
        "verdict": pa.nulls(count, pa.string()),
    }


def _floats(column: pa.ChunkedArray) -> Any:
    return column.cast(pa.float64()).to_numpy()
