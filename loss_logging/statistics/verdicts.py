"""The verdict on every item of a run, from its losses and, where they are known, from the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from loss_logging.errors import LossLoggingError, MissingExtraError
from loss_logging.evidence.rivals import Rivals
from loss_logging.evidence.seen import SeenCaptions
from loss_logging.evidence.verdict import VERDICTS, Verdict
from loss_logging.statistics.queries import Queries, sql
from loss_logging.support.warn import warn_once

if TYPE_CHECKING:
    from loss_logging.evidence.judge import Judgement

__all__ = ["SeenFile", "judge_items"]

_FEWEST = 30
"""Items that tell what an ordinary image is, in a dataset or in all."""
_MOST = 4_000_000
"""Items that are judged at a time: 800 MB. Of more, memory would grow beyond what a run allows."""


class SeenFile:
    """What pictures say of a run's captions, read again whenever its file has changed.

    Args:
        path: of the file, which need not be there; None where there will be none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._written = 0
        self._seen = SeenCaptions()

    def read(self) -> SeenCaptions:
        """What is known now; a file that cannot be read is warned about once."""
        try:
            if self._path is not None and (written := self._path.stat().st_mtime_ns) != self._written:
                self._seen, self._written = Rivals.load(self._path).seen, written
        except FileNotFoundError:
            self._written, self._seen = 0, SeenCaptions()
        except (OSError, LossLoggingError) as error:
            self._written, self._seen = 0, SeenCaptions()  # read again the next time: a disk may fail once
            warn_once("seen", f"{error}. Captions are judged by their losses alone.")
        return self._seen


def judge_items(queries: Queries, seen: SeenCaptions) -> list[str]:
    """Make the table ``verdicts`` for ``sql/judged.sql``: ``p_wrong``, ``p_odd``, ``verdict`` and its ``bin`` (0 to 2).

    All captions are judged together: of a hundred small datasets that were judged each by itself, chance would fill the
    first bin. Images are compared within their dataset, where that is large enough. Takes about 200 bytes an item, and
    no Python object for each.

    Args:
        queries: with the table ``item_statistics``.
        seen: what pictures say, of captions with the same words as the last one of their item.

    Returns:
        Sentences on what could not be told; none where there is nothing to tell.
    """
    count = int(queries.value("SELECT count(*) FROM item_statistics"))
    queries.replace("seen_captions", seen.captions)
    queries.table("seen", sql("seen"))
    items = queries.arrow("judged_by", enough=_FEWEST, most=_MOST if count <= _MOST else 0)
    columns, notes = _verdicts(items, seen)
    queries.replace("verdicts", pa.table({"item": items["item"], **columns}))
    del items, columns
    pa.default_memory_pool().release_unused()  # which Arrow would keep, beside what is needed next to write the items
    if count > _MOST:
        return [f"captions have no verdict: of {count:,} items at most {_MOST:,} can be judged together"]
    return notes


def _verdicts(items: pa.Table, seen: SeenCaptions) -> tuple[dict[str, pa.Array], list[str]]:
    """The columns of the table ``verdicts``, and what could not be told."""
    n, mean, error = (_floats(items[name]) for name in ("n_paired", "caption_mismatch", "standard_error"))
    rivals, against, rival_error = (_floats(items[name]) for name in ("n_rival", "rival_mismatch", "rival_error"))
    hard = _floats(items["hard"])
    score, ratio = (_floats(items[name]) for name in ("score", "ratio"))
    words = _floats(items["word_score"]) if items["word_score"].null_count < len(items) else None
    nothing_seen = words is None and not np.isfinite(ratio).any()
    if not n.any() and np.isfinite(hard).sum() < _FEWEST and nothing_seen:
        return _nothing(len(items)), []
    from loss_logging.evidence.judge import judge  # scipy, which takes a fifth of a second and 30 MB
    from loss_logging.evidence.losses import LossEvidence
    from loss_logging.evidence.planted import WrongCaptions

    try:
        rival = LossEvidence(against, rivals, rival_error) if rivals.any() else None
        pictures = (
            WrongCaptions(score, ratio, seen.share, items["compared"].to_numpy()) if np.isfinite(ratio).any() else None
        )
        found = judge(pictures, empty=LossEvidence(mean, n, error), rival=rival, hard=hard, words=words)
    except MissingExtraError as missing:
        return _nothing(len(items)), [f"captions have no verdict: {missing}"] if n.any() else []
    place: dict[Verdict | None, int] = {verdict: i for i, verdict in enumerate(VERDICTS)}
    bins = pa.array(map(place.get, found.verdict), pa.int8())
    return {
        "p_wrong": pa.array(found.p_wrong, from_pandas=True),  # NaN becomes NULL
        "p_odd": pa.array(found.p_odd, from_pandas=True),
        **{f"{name}_odds": _added(found, key) for name, key in (("picture", "pictures"), ("loss", "losses"))},
        "word_score": pa.array(found.word_score.round(4), from_pandas=True),
        "bin": bins,
        "verdict": pa.DictionaryArray.from_arrays(bins, list(VERDICTS)),
    }, [*found.notes] if bins.null_count == len(bins) else []


def _added(found: Judgement, kind: str) -> pa.Array:
    """The log odds that a kind of evidence adds to ``p_wrong``; null where there is none."""
    known = np.isfinite(found.p_wrong)
    return pa.array(np.where(known, found.contributions.get(kind, np.nan), np.nan), from_pandas=True)


def _nothing(count: int) -> dict[str, pa.Array]:
    return {
        "p_wrong": pa.nulls(count, pa.float64()),
        "p_odd": pa.nulls(count, pa.float64()),
        "picture_odds": pa.nulls(count, pa.float64()),
        "loss_odds": pa.nulls(count, pa.float64()),
        "word_score": pa.nulls(count, pa.float64()),
        "bin": pa.nulls(count, pa.int8()),
        "verdict": pa.nulls(count, pa.string()),
    }


def _floats(column: pa.ChunkedArray) -> Any:
    return column.cast(pa.float64()).to_numpy()
