"""The figures of all items, for the page's table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loss_logging.pages.figures import packed_figures
from loss_logging.reports.report import DECISIVE_PAIRS

__all__ = ["Column", "columns_of", "figures_block", "items_block", "worst_items"]

CAPTION_LENGTH = 400
_RANKED_BY = ("hard", "caption_mismatch", "average_loss")
_TEXTS = {
    "dataset": ("Dataset", ""),
    "path": ("Path", ""),
    "caption": ("Caption", "The caption at the last step that used one."),
    "count": ("Records", "The number of the item's records."),
    "average_loss": ("Mean loss", "The mean over all of the item's records."),
    "min_loss": ("Lowest", "The lowest loss of the item."),
    "max_loss": ("Highest", "The highest loss of the item."),
    "std_loss": ("Std", "Standard deviation of the item's losses."),
    "last_loss": ("Last", "The loss at the item's last step."),
    "hard": ("Hard", "The loss against others of the same timestep and time of training. About 0 is ordinary."),
    "caption_mismatch": (
        "Caption mismatch",
        "How much higher the loss is with the caption than with the empty one, relative to that. Above 0 it hurts.",
    ),
    "non_finite": ("NaN/inf", "Losses that are NaN or infinite."),
    "std_z": ("Std of z", "Spread of the standardised losses behind hard."),
    "n_paired": ("Pairs", "Records behind caption mismatch; with fewer than 4 it is undecided."),
    "standard_error": ("Standard error", "Of caption mismatch."),
    "rival_mismatch": ("Against rival", "As caption mismatch, against the other caption that the picture fits best."),
    "n_rival": ("Rival pairs", "Records behind that."),
    "rival_error": ("Error against rival", "Its standard error."),
    "evidence": ("Judged by", "What stands behind the verdict."),
    "picture_odds": ("Odds, picture", "What the picture adds to the log odds that the caption is wrong."),
    "loss_odds": ("Odds, losses", "What the losses add to them."),
    "word": ("Word", "The caption's word that its picture fits least, where the caption may be wrong."),
    "better_word": ("Better", "The word that the picture fits best."),
    "word_score": ("Word score", "Rank, from 0 to 1, of captions of which a single word is wrong; no probability."),
    "caption_before": ("Caption before", "Where it was another one."),
    "loss_before": ("Loss before", "The item's mean loss in the first report."),
    "loss_after": ("Loss after", "In the second; of a run that went on, of the steps since."),
    "loss_change": ("Change", "Below 0 is better."),
    "change_error": ("Its error", "The standard error of the change."),
    "change_z": ("z", "The change over its standard error; from 4 on it is beyond chance."),
    "p_wrong_before": ("p wrong before", "The chance that the caption was another picture's."),
    "p_wrong_after": ("p wrong after", "The chance that it is now."),
    "verdict_before": ("Verdict before", "On the caption."),
    "verdict_after": ("Verdict after", "On the caption."),
    "decision": ("Decision", "What a person has decided about it."),
    "robust_z": ("Robust z", "How far caption mismatch lies above the median of the dataset; 3.5 is an outlier."),
}
_FOR_THE_CURIOUS = {
    "min_loss",
    "max_loss",
    "std_loss",
    "last_loss",
    "non_finite",
    "std_z",
    "n_paired",
    "standard_error",
    "n_rival",
    "rival_error",
    "evidence",
    "picture_odds",
    "loss_odds",
    "word_score",
    "change_error",
}


_DECIMALS = {"hard": 3, "std_z": 2, "caption_mismatch": 4, "robust_z": 2}
"""Decimals of scores around 0, as further decimals have no meaning."""
_FOLDER_AND_NAME = r"(?s)^(?P<folder>(?:.*[/\\])?)(?P<name>[^/\\]*)$"


class Column(msgspec.Struct, frozen=True):
    """A column of the table; ``shown`` is True if it is visible at the start."""

    name: str
    title: str
    help: str
    kind: str
    shown: bool


def columns_of(schema: pa.Schema) -> list[Column]:
    """The columns of a table with ``schema``; an unknown column keeps its own name."""
    columns = []
    for field in schema:
        title, text = _TEXTS.get(field.name, (field.name.replace("_", " ").capitalize(), ""))
        kind = "integer" if pa.types.is_integer(field.type) else "number" if _is_number(field.type) else "text"
        columns.append(Column(field.name, title, text, kind, field.name not in _FOR_THE_CURIOUS))
    return columns


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_null(kind))


def worst_items(batches: Iterable[pa.RecordBatch], most: int, keep: Iterable[str] = ()) -> tuple[pa.Table, int]:
    """The ``most`` items for a page, and the number of all items.

    The page gets the items with the highest `hard`, `caption_mismatch` and mean loss, and the items with a path in
    ``keep``. Memory holds a few times ``most`` items, for any number of items.
    """
    wanted = pa.array(sorted(set(keep)), pa.string())
    held: list[pa.RecordBatch] = []
    total = rows = 0
    for batch in batches:
        total += batch.num_rows
        rows += batch.num_rows
        held.append(batch)
        if rows > 4 * most + 100_000:
            held = _worst(pa.Table.from_batches(held), most, wanted).to_batches()
            rows = sum(batch.num_rows for batch in held)
    if not held:
        return pa.table({"dataset": pa.array([], pa.string()), "path": pa.array([], pa.string())}), 0
    return _worst(pa.Table.from_batches(held), most, wanted), total


def _worst(table: pa.Table, most: int, keep: pa.Array) -> pa.Table:
    if table.num_rows <= most:
        return table
    kept = np.flatnonzero(pc.is_in(table["path"], keep).to_numpy(zero_copy_only=False))[:most]
    ranked = [name for name in _RANKED_BY if name in table.column_names]
    chosen = [kept]
    for name in ranked:
        values = _numbers(table[name])
        if name == "caption_mismatch" and "n_paired" in table.column_names:
            values = np.where(_numbers(table["n_paired"]) < DECISIVE_PAIRS, np.nan, values)
        chosen.append(np.argsort(-np.where(np.isnan(values), -np.inf, values), kind="stable"))
    taken = _take_in_turn(chosen, most)
    return table.take(pa.array(np.sort(taken)))


def _take_in_turn(rankings: list[npt.NDArray[Any]], most: int) -> npt.NDArray[Any]:
    """The first ``most`` different places of several rankings: all of the first ranking, then a share of each other."""
    first, *others = rankings
    share = max(1, (most - len(first)) // max(1, len(others)))
    taken = np.unique(np.concatenate([first, *(ranking[:share] for ranking in others)]))
    if len(taken) < most and others:
        rest = others[0][~np.isin(others[0], taken)][: most - len(taken)]
        taken = np.concatenate([taken, rest])
    return taken[:most]


def items_block(table: pa.Table, total: int) -> dict[str, Any]:
    """The texts and counts of a table as plain data by column; repeated texts are stored once."""
    data: dict[str, Any] = {}
    columns = [
        msgspec.structs.replace(column, shown=False) if table[column.name].null_count == table.num_rows else column
        for column in columns_of(table.schema)
    ]
    for column in columns:
        values = table[column.name].combine_chunks()
        if column.name == "dataset":
            data["dataset"] = _once(values)
        elif column.name == "path":
            parts = pc.extract_regex(values, _FOLDER_AND_NAME)
            data["path"] = {"folder": _once(parts.field("folder")), "name": parts.field("name").to_pylist()}
        elif column.name == "caption":
            data["caption"] = _cut(values)
        elif column.kind != "number":
            data[column.name] = values.to_pylist()
    return {"columns": msgspec.to_builtins(columns), "rows": table.num_rows, "total": total, "data": data}


def figures_block(table: pa.Table) -> bytes:
    """The numeric columns of a table, one after another, as `packed_figures`; they are the largest part of a page."""
    return b"".join(
        packed_figures(
            _numbers(table[column.name].combine_chunks()),
            _digits(column, table.num_rows),
            _DECIMALS.get(column.name, 300),
        )
        for column in columns_of(table.schema)
        if column.kind == "number"
    )


_MANY = 50_000


def _digits(column: Column, rows: int) -> int:
    """The number of digits of a column: as shown for compared figures, fewer for hidden figures, and still fewer for
    many items, whose last digits would be a tenth of the page."""
    if column.name == "standard_error":
        return 2
    return 4 if column.shown else 2 if rows > _MANY else 3


def _once(texts: pa.Array) -> dict[str, Any]:
    encoded = texts.dictionary_encode()
    return {"texts": encoded.dictionary.to_pylist(), "index": encoded.indices.to_pylist()}


def _cut(captions: pa.Array) -> list[str]:
    lengths = pc.utf8_length(captions)
    cut = pc.binary_join_element_wise(pc.utf8_slice_codeunits(captions, 0, CAPTION_LENGTH), "…", "")
    return list(pc.if_else(pc.greater(lengths, CAPTION_LENGTH), cut, captions).to_pylist())


def _numbers(values: Any) -> npt.NDArray[np.float64]:
    return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
