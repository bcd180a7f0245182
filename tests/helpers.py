"""What several test files share: records, readers, and a plain Python twin of the statistics."""

from __future__ import annotations

import functools
import itertools
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import settings

from loss_logging.records.columns import table_from_records
from loss_logging.records.log import RecordLog
from loss_logging.reports.artifact import report_schema
from loss_logging.statistics.run import RunStatistics

HOSTILE = [
    "=cmd|' /C calc'!A0",
    '"quoted", and\na line\r\nor two',
    "lone \ud800 surrogate \udfff",
    "nul \0 inside",
    "שלום \u202eright to left",
    "猫の写真 🐈",
    "x" * 1_000_000,
    "{\"json\": [1, 'sql'; DROP TABLE records; --",
    "\\ud800 \\n \\",
    " ",
]
"""Texts that break writers which are not careful."""


def examples(most: int) -> int:
    """So many inputs of a property in an ordinary long run, in proportion with the profile that was chosen."""
    return max(2, most * settings.default.max_examples // 100)


def record(
    path: str = "a.png", loss: Any = 0.5, dataset: Any = "d", caption: Any = "a cat", **rest: Any
) -> dict[str, Any]:
    """One record as a mapping."""
    return {"path": path, "dataset": dataset, "caption": caption, "loss": loss, **rest}


def write(log: RecordLog, records: Iterable[Any]) -> Path:
    """Append the records to the log as one shard."""
    return log.write(table_from_records(records).to_batches())


def run_statistics(log: RecordLog, **options: Any) -> RunStatistics:
    """Statistics with small blocks over a log."""
    defaults: dict[str, Any] = {"block_steps": 5, "timestep_scale": 1.0, "memory_limit": "512MB", "threads": 1}
    return RunStatistics(log, **(defaults | options))


def figures(statistics_: RunStatistics, top_k: int = 3) -> dict[str, Any]:
    """Everything that RunStatistics can be asked, as plain data."""
    return {
        "summaries": msgspec.to_builtins({str(k): v for k, v in statistics_.summaries(top_k).items()}),
        "items": sorted(item_rows(statistics_), key=lambda row: (row["dataset"], row["path"])),
        "hard": msgspec.to_builtins(statistics_.worst_hard(10)),
        "caption_mismatch": msgspec.to_builtins(statistics_.worst_caption_mismatch(10)),
        "paired_items": msgspec.to_builtins(statistics_.paired_items()),
    }


def item_rows(statistics_: RunStatistics) -> list[dict[str, Any]]:
    """The figures of every item."""
    return [row for batch in statistics_.items() for row in batch.to_pylist()]


def assert_same(got: Any, expected: Any, *, rel: float = 1e-9, absolute: float = 1e-12, where: str = "$") -> None:
    """Equal as nested data, floats within a tolerance; says where they differ."""
    if isinstance(expected, Mapping):
        assert isinstance(got, Mapping), where
        assert list(got) == list(expected), where
        for key in expected:
            assert_same(got[key], expected[key], rel=rel, absolute=absolute, where=f"{where}.{key}")
    elif isinstance(expected, Sequence) and not isinstance(expected, str):
        assert len(got) == len(expected), f"{where}: {got} != {expected}"
        for i, (mine, theirs) in enumerate(zip(got, expected, strict=True)):
            assert_same(mine, theirs, rel=rel, absolute=absolute, where=f"{where}[{i}]")
    elif isinstance(expected, float) and isinstance(got, float):
        assert got == pytest.approx(expected, rel=rel, abs=absolute, nan_ok=True), where
    else:
        assert got == expected, where


@functools.cache
def _schema() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(report_schema())


def strict_json(path: Path) -> dict[str, Any]:
    """The JSON at ``path``, which must be strict, satisfy the schema, and have consistent histograms."""

    def refuse(literal: str) -> float:
        raise AssertionError(f"{literal} is no JSON")

    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    _schema().validate(data)
    for summary in [data["global"], *(dataset["summary"] for dataset in data["datasets"].values())]:
        if summary["histogram"] is not None:
            assert_histogram(summary["histogram"], summary["count"] - summary["non_finite"])
    return data


def assert_histogram(histogram: Mapping[str, Any], total: int) -> None:
    """Finite, strictly ascending edges and counts that add up."""
    edges, counts = histogram["edges"], histogram["counts"]
    assert len(edges) == len(counts) + 1
    assert all(map(math.isfinite, edges))
    assert all(low < high for low, high in itertools.pairwise(edges))
    assert sum(counts) == total
    assert len(counts) <= 512


# --- the definitions, once more, in plain Python ------------------------------------------------------------------


def plain_items(
    records: Sequence[Mapping[str, Any]], block_steps: int, scale: float | None
) -> dict[Any, dict[str, Any]]:
    """(dataset, path) -> figures, straight from their definitions."""
    z = _plain_z(records, block_steps, scale)
    grouped: defaultdict[Any, list[int]] = defaultdict(list)
    for i, one in enumerate(records):
        grouped[one["dataset"] or "unknown", one["path"]].append(i)
    items = {key: _plain_item([records[i] for i in places], [z[i] for i in places]) for key, places in grouped.items()}
    for dataset in {key[0] for key in items}:
        _add_robust_z([figures for key, figures in items.items() if key[0] == dataset])
    return items


def _add_robust_z(items: list[dict[str, Any]]) -> None:
    decided = [one["caption_mismatch"] for one in items if is_decided(one)]
    middle = statistics.median(decided) if decided else 0.0
    mad = statistics.median(abs(value - middle) for value in decided) if decided else 0.0
    for one in items:
        known = is_decided(one) and mad > 1e-9
        one["robust_z"] = (one["caption_mismatch"] - middle) / (1.4826 * mad) if known else None


def is_decided(item: Mapping[str, Any]) -> bool:
    """Whether there are paired records enough to say something about its caption."""
    return item["n_paired"] >= 4 and item["caption_mismatch"] is not None


def plain_edges(
    records: Sequence[Mapping[str, Any]], block_steps: int, enough: int = 200, most: int = 20
) -> list[float]:
    """The edges of timestep bins where no scale is stated, of timesteps that 15 bits hold."""
    seen = [(-(-one.get("step", 0) // block_steps), one["timestep"]) for one in records if one["timestep"] is not None]
    last = max((one.get("step", 0) for one in records), default=0)
    for block in sorted({block for block, _ in seen if block * block_steps <= last}):
        if sum(other <= block for other, _ in seen) >= enough:
            seen = [(other, timestep) for other, timestep in seen if other <= block]
            break
    values = sorted({timestep for _, timestep in seen})
    if len(values) < 2:
        return [value + sign * (abs(value) / 2 or 0.5) for value in values for sign in (-1, 1)]
    rest = sorted(timestep for _, timestep in seen)
    edges = [rest[0]]
    for left in range(most if len(values) > most else 0, 1, -1):
        goal = len(rest) / left
        ends = itertools.accumulate(rest.count(value) for value in sorted(set(rest)))
        n = min(ends, key=lambda end: (abs(end - goal), -end))
        if n == len(rest):
            break
        edges.append((rest[n - 1] + rest[n]) / 2)
        rest = rest[n:]
    if len(values) <= most:
        edges += [(low + high) / 2 for low, high in itertools.pairwise(values)]
    return [*edges, values[-1]]


def _plain_z(records: Sequence[Mapping[str, Any]], block_steps: int, scale: float | None) -> list[float | None]:
    cells: defaultdict[Any, list[float]] = defaultdict(list)
    places = []
    edges = plain_edges(records, block_steps) if scale is None else [i * scale / 20 for i in range(21)]
    for one in records:
        block = -(-one.get("step", 0) // block_steps)
        timestep = one.get("timestep")
        place = None if timestep is None else sum(timestep >= edge for edge in edges[1:-1])
        joined = [(block, width, None if place is None else place // width) for width in (1, 2, 5, 10)]
        places.append([*joined, (block, "all", None)])
        if math.isfinite(one["loss"]):
            for cell in places[-1]:
                cells[cell].append(one["loss"])
    result: list[float | None] = []
    for one, around in zip(records, places, strict=True):
        enough = [cells[cell] for cell in around if len(cells[cell]) >= 8 and statistics.pstdev(cells[cell]) > 0]
        baseline = enough[0] if enough else cells[around[-1]]
        if not math.isfinite(one["loss"]) or statistics.pstdev(baseline) == 0:
            result.append(None)
        else:
            result.append((one["loss"] - statistics.fmean(baseline)) / statistics.pstdev(baseline))
    return result


def _plain_item(records: list[Mapping[str, Any]], z: list[float | None]) -> dict[str, Any]:
    losses = [one["loss"] for one in records if math.isfinite(one["loss"])]
    finite = [one for one in records if math.isfinite(one["loss"])]
    paired = [
        one
        for one in finite
        if one.get("loss_empty") is not None and one["caption"].strip() and not one.get("caption_dropped")
    ]
    pairs = [(one["loss"], one["loss_empty"]) for one in paired]
    scores = [value for value in z if value is not None]
    mismatch = [
        (loss - empty) / (loss / 2 + empty / 2)
        for loss, empty in pairs
        if math.isfinite(empty) and min(loss, empty) >= 0 and loss / 2 + empty / 2 > 0
    ]
    against = [
        (one["loss"] - one["loss_rival"]) / (one["loss"] / 2 + one["loss_rival"] / 2)
        for one in finite
        if one["caption"].strip() and not one.get("caption_dropped") and one.get("rival") != one["caption"]
        if one.get("loss_rival") is not None and math.isfinite(one["loss_rival"])
        if min(one["loss"], one["loss_rival"]) >= 0 and one["loss"] / 2 + one["loss_rival"] / 2 > 0
    ]
    return {
        "count": len(records),
        "non_finite": len(records) - len(losses),
        "average_loss": statistics.fmean(losses) if losses else None,
        "min_loss": min(losses, default=None),
        "max_loss": max(losses, default=None),
        "std_loss": statistics.pstdev(losses) if losses else None,
        "last_loss": _last(finite, "loss"),
        "hard": math.fsum(scores) / (len(scores) + 5) if scores else None,
        "std_z": statistics.pstdev(scores) if scores else None,
        "caption_mismatch": statistics.fmean(mismatch) if mismatch else None,
        "n_paired": len(mismatch),
        "standard_error": statistics.stdev(mismatch) / math.sqrt(len(mismatch)) if len(mismatch) > 1 else None,
        "rival_mismatch": statistics.fmean(against) if against else None,
        "n_rival": len(against),
        "rival_error": statistics.stdev(against) / math.sqrt(len(against)) if len(against) > 1 else None,
        "caption": _last([one for one in records if not one.get("caption_dropped")], "caption") or "",
    }


def _last(records: list[Mapping[str, Any]], field: str) -> Any:
    """The value at the highest step, the first one there."""
    return max(records, key=lambda one: one.get("step", 0))[field] if records else None


def assert_same_figures(found: Any, expected: Any) -> None:
    """Equal in structure and values; floats to the last digit that their order of summing allows."""
    ours, theirs = dict(_leaves(found)), dict(_leaves(expected))
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert ours[name] == (pytest.approx(value, rel=1e-12, abs=1e-12) if isinstance(value, float) else value), name


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield where, value
    else:
        for key, member in items:
            yield from _leaves(member, f"{where}.{key}")
