"""`aggregate_by_dataset` on 1M records of 100k items in 10 datasets, beside pure Python, pandas and polars.

    python -m benchmarks.aggregate [--quick] [--json FILE] [--beside CHECKOUT]

Everybody answers the same question: count, mean, median, min, max, population standard deviation and the ten items
with the highest loss, for each dataset and over all. loss_logging also gives five more quantiles, exactly. The answers
are compared before anything is timed, and the repeats of all ways alternate.

Two sources: a list of dicts in memory, and a record log, whose Parquet files pandas and polars read as well (the
columns that they need, through their own readers). Memory is that of processes of their own: the peak, less what the
process held before, the dicts included. With --beside, another checkout of loss_logging answers too, by turns with this
one, each time in a new process.
"""

from __future__ import annotations

import heapq
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from benchmarks.scale import _peak_mb, apart
from benchmarks.table import Results, arguments
from loss_logging import aggregate_by_dataset
from loss_logging.records.columns import table_from_records
from loss_logging.records.log import RecordLog
from loss_logging.statistics.aggregate import Aggregates

TOP_K = 10
DATASETS = 10
OVERALL = ""
OURS = f"loss_logging {version('loss-logging')}"
PYTHON = "Python: statistics.mean, median, pstdev, sorted"
PYTHON_FAST = "Python: fmean, fsum, heapq"
PANDAS = f"pandas {version('pandas')}"
POLARS = f"polars {version('polars')}"
DICTS, LOG = SOURCES = ("list of dicts", "record log (Parquet)")
COLUMNS = ["path", "dataset", "loss", "step", "caption", "timestep"]
Record: TypeAlias = dict[str, Any]
Answer: TypeAlias = dict[str, dict[str, Any]]
"""From a dataset's name (``OVERALL`` for all) to count, mean, median, min, max, std and top: (path, loss) pairs."""


def make_records(count: int) -> list[Record]:
    """Records of ``count / 10`` items, larger datasets first, in the order in which training meets them."""
    rng = np.random.default_rng(0)
    items = count // 10
    dataset = np.sort(rng.choice(DATASETS, items, p=np.arange(DATASETS, 0, -1) / 55))
    hardness = rng.lognormal(-2, 0.5, items)
    order = rng.integers(0, items, count)
    losses = (hardness[order] * rng.lognormal(0, 0.3, count)).tolist()
    timesteps = rng.random(count).tolist()
    paths = [f"/data/images/set-{d}/{i:07d}.png" for i, d in enumerate(dataset.tolist())]
    captions = [f"a photo of the thing number {i} on a wooden table in the morning light" for i in range(items)]
    names = [f"set-{d}" for d in range(DATASETS)]
    return [
        {
            "path": paths[i],
            "dataset": names[d],
            "caption": captions[i],
            "loss": loss,
            "step": n // 32,
            "timestep": timestep,
        }
        for n, (i, d, loss, timestep) in enumerate(
            zip(order.tolist(), dataset[order].tolist(), losses, timesteps, strict=True)
        )
    ]


# --- the peers --------------------------------------------------------------------------------------------------


def grouped(records: Iterable[Record]) -> dict[str, list[Record]]:
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[record["dataset"]].append(record)
        groups[OVERALL].append(record)
    return groups


def distinct_top(ordered: Iterable[Record]) -> list[tuple[str, float]]:
    """The first items of records that are sorted by falling loss, each item once."""
    top: dict[str, float] = {}
    for record in ordered:
        top.setdefault(record["path"], record["loss"])
        if len(top) == TOP_K:
            break
    return list(top.items())


def python_statistics(records: list[Record]) -> Answer:
    answer = {}
    for name, group in grouped(records).items():
        losses = [record["loss"] for record in group]
        answer[name] = {
            "count": len(losses),
            "mean": statistics.mean(losses),
            "median": statistics.median(losses),
            "min": min(losses),
            "max": max(losses),
            "std": statistics.pstdev(losses),
            "top": distinct_top(sorted(group, key=lambda record: record["loss"], reverse=True)),
        }
    return answer


def python_fast(records: list[Record]) -> Answer:
    """The same with what the standard library has for speed: fmean, fsum, one sort of floats, a heap."""
    answer = {}
    for name, group in grouped(records).items():
        losses = sorted([record["loss"] for record in group])
        n, middle = len(losses), len(losses) // 2
        mean = statistics.fmean(losses)
        answer[name] = {
            "count": n,
            "mean": mean,
            "median": losses[middle] if n % 2 else (losses[middle - 1] + losses[middle]) / 2,
            "min": losses[0],
            "max": losses[-1],
            "std": math.sqrt(math.fsum([(loss - mean) ** 2 for loss in losses]) / n),
            "top": distinct_top(heapq.nlargest(20 * TOP_K, group, key=lambda record: record["loss"])),
        }
    return answer


def pandas_frame(frame: pd.DataFrame) -> Answer:
    def summary(losses: Any) -> Any:
        return losses.agg(["count", "mean", "median", "min", "max"]).assign(std=losses.std(ddof=0))

    figures = summary(frame.groupby("dataset", observed=True)["loss"])
    everything = summary(frame.groupby(np.zeros(len(frame), np.int8))["loss"])
    highest = frame.sort_values("loss", ascending=False).drop_duplicates(["dataset", "path"])
    tops = {name: group.head(TOP_K) for name, group in highest.groupby("dataset", observed=True)}
    answer = {}
    for name, row in [(OVERALL, everything.iloc[0]), *figures.iterrows()]:
        top = tops.get(name, highest.head(TOP_K))
        answer[str(name)] = row.to_dict() | {"top": list(zip(top["path"], top["loss"], strict=True))}
    return answer


def polars_frame(frame: pl.LazyFrame) -> Answer:
    loss = pl.col("loss")
    summary = [
        pl.len().alias("count"),
        loss.mean().alias("mean"),
        loss.median().alias("median"),
        loss.min().alias("min"),
        loss.max().alias("max"),
        loss.std(ddof=0).alias("std"),
    ]
    items = frame.group_by("dataset", "path").agg(loss.max())
    figures, everything, tops, top = pl.collect_all(
        [
            frame.group_by("dataset").agg(summary),
            frame.select(summary),
            items.group_by("dataset").agg(pl.col("path", "loss").top_k_by("loss", TOP_K)),
            items.top_k(TOP_K, by="loss"),
        ]
    )
    answer: Answer = {row.pop("dataset"): row for row in figures.to_dicts()} | {OVERALL: everything.to_dicts()[0]}
    for row in [*tops.to_dicts(), top.to_dict(as_series=False) | {"dataset": OVERALL}]:
        answer[row["dataset"]]["top"] = list(zip(row["path"], row["loss"], strict=True))
    return answer


def ours(result: Aggregates) -> Answer:
    return {
        name: {
            **{key: getattr(summary, key) for key in ("count", "mean", "median", "min", "max", "std")},
            "top": [(record.path, record.loss) for record in summary.top_k],
        }
        for name, summary in {**result.datasets, OVERALL: result.overall}.items()
    }


# --- the comparison ---------------------------------------------------------------------------------------------


def disagreement(answer: Answer, reference: Answer) -> str:
    """What differs by more than rounding, or nothing."""
    if answer.keys() != reference.keys():
        return f"datasets {sorted(answer)}"
    for name, expected in reference.items():
        found = answer[name]
        for key in ("count", "mean", "median", "min", "max", "std"):
            if not math.isclose(found[key], expected[key], rel_tol=1e-9):
                return f"{name or 'all'}.{key}: {found[key]!r}, expected {expected[key]!r}"
        if sorted(found["top"]) != sorted(expected["top"]):
            return f"{name or 'all'}.top: {found['top']!r}, expected {expected['top']!r}"
    return ""


def ways(source: str, records: list[Record], folder: Path) -> dict[str, Callable[[], Any]]:
    """What is compared: everybody's answer, by name."""
    if source == DICTS:
        return {
            OURS: lambda: aggregate_by_dataset(records, TOP_K),
            PYTHON: lambda: python_statistics(records),
            PYTHON_FAST: lambda: python_fast(records),
            PANDAS: lambda: pandas_frame(pd.DataFrame(records)),
            POLARS: lambda: polars_frame(pl.DataFrame(records).lazy()),
        }
    log = RecordLog(folder)
    files = [str(path) for path in log.files()]
    return {
        OURS: lambda: aggregate_by_dataset(log, TOP_K),
        PANDAS: lambda: pandas_frame(pd.read_parquet(files, columns=COLUMNS)),
        POLARS: lambda: polars_frame(pl.scan_parquet(files).select(COLUMNS)),
    }


def times(results: Results, records: list[Record], folder: Path, repeats: int) -> None:
    compared = {(source, way): run for source in SOURCES for way, run in ways(source, records, folder).items()}
    reference = python_statistics(records)
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    used: dict[tuple[str, str], list[float]] = defaultdict(list)
    agrees: dict[tuple[str, str], str] = {}
    for repeat in range(-1, repeats):  # the first round warms up and compares the answers
        for which, run in compared.items():
            start, before = time.perf_counter(), time.process_time()
            answer = run()
            seconds, cpu = time.perf_counter() - start, time.process_time() - before
            if repeat < 0:
                plain_answer = ours(answer) if isinstance(answer, Aggregates) else answer
                agrees[which] = disagreement(plain_answer, reference) or "yes"
            else:
                taken[which].append(seconds)
                used[which].append(cpu)
            del answer
    rows = [
        {
            "source": source,
            "way": way,
            "median s": statistics.median(seconds),
            "min..max s": f"{min(seconds):.3g}..{max(seconds):.3g}",
            "median CPU s": statistics.median(used[source, way]),
            "min..max CPU s": f"{min(used[source, way]):.3g}..{max(used[source, way]):.3g}",
            "CPU, of polars'": statistics.median(used[source, way]) / statistics.median(used[source, POLARS]),
            "answers agree": agrees[source, way],
        }
        for (source, way), seconds in taken.items()
    ]
    count, files = len(records), len(RecordLog(folder).files())
    note = f"pyarrow {pa.__version__} writes the log: {files} files. {repeats} repeats after one to warm up."
    results.table(f"{count:,} records, {count // 10:,} items, {DATASETS} datasets", rows, note)


def memory(results: Results, count: int, folder: Path) -> None:
    compared = [(source, way) for source in SOURCES for way in (OURS, PANDAS, POLARS)]
    rows = [
        {"source": source, "way": way, "MB more at the peak": apart(added_memory, source, way, count, folder)["MB"]}
        for source, way in compared
    ]
    results.table("memory", rows, "One process for each.")


def added_memory(source: str, way: str, count: int, folder: Path) -> dict[str, float]:
    records = make_records(count) if source == DICTS else []
    run = ways(source, records, folder)[way]
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak so far, of making the dicts, is forgotten
    before = _peak_mb()
    run()
    return {"MB": _peak_mb() - before}


A_CHECKOUT = """
import json, sys, time
from pathlib import Path
from benchmarks.aggregate import make_records
from loss_logging import aggregate_by_dataset
from loss_logging.records.log import RecordLog

source = make_records(int(sys.argv[2])) if sys.argv[1] == "" else RecordLog(Path(sys.argv[1]))
aggregate_by_dataset(source)
start, before = time.perf_counter(), time.process_time()
aggregate_by_dataset(source)
print(json.dumps([time.perf_counter() - start, time.process_time() - before]))
"""
"""Uses only names that earlier checkouts have."""


def two_checkouts(results: Results, other: Path, count: int, folder: Path, repeats: int) -> None:
    checkouts = {"this": Path(__file__).resolve().parents[1], "the other": other}
    runs: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for _ in range(repeats):
        for source in SOURCES:
            for name, checkout in checkouts.items():
                given = ["" if source == DICTS else str(folder), str(count)]
                environment = os.environ | {"PYTHONPATH": str(checkout)}
                command = [sys.executable, "-c", A_CHECKOUT, *given]
                done = subprocess.run(
                    command, cwd=checkout, env=environment, check=True, capture_output=True, text=True
                )
                runs[source, name].append(json.loads(done.stdout))
    rows = [
        {
            "source": source,
            "checkout": name,
            "median s": statistics.median(seconds for seconds, _ in taken),
            "median CPU s": statistics.median(cpu for _, cpu in taken),
            "min..max CPU s": f"{min(cpu for _, cpu in taken):.3g}..{max(cpu for _, cpu in taken):.3g}",
        }
        for (source, name), taken in sorted(runs.items())
    ]
    results.table("beside another checkout", rows, f"{repeats} runs of each, by turns, in new processes.")


def main() -> None:
    options = arguments(__doc__, beside="another checkout of loss_logging")
    results = Results("aggregate", ["duckdb", "pyarrow", "pandas", "polars"], options)
    count, repeats = (20_000, 2) if options.quick else (1_000_000, 5)
    records = make_records(count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = RecordLog(folder)
        for batch in table_from_records(records).combine_chunks().to_batches(max_chunksize=131_072):
            log.write([batch])
        times(results, records, folder, repeats)
        del records
        memory(results, count, folder)
        if options.beside:
            two_checkouts(results, options.beside.absolute(), count, folder, repeats)
    results.finish()


if __name__ == "__main__":
    main()
