"""Save steps of very many items, beside a dict of dicts that is dumped with the standard library's json.

    python -m benchmarks.scale [--quick] [--json FILE] [--items N] [--beside CHECKOUT]

Each way runs in a process of its own, so that its memory is its own. The peer is what a trainer would write: running
sums per item in a dict of dicts, and one `json.dump` per save step, on the same records. The disk's own speed is
measured in the same run: the bytes of the JSON, written from memory in pieces of 1 MiB, with fsync. With --beside, the
same save steps are also those of another checkout of loss_logging, such as an earlier commit, by turns with this one,
and so is what reads their report back.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.table import Results
from loss_logging.captions.names import RULE_NAMES
from loss_logging.records.columns import completed
from loss_logging.records.log import RecordLog
from loss_logging.runs.config import TrainConfig
from loss_logging.training.messages import Reply, Save, Saved, Start
from loss_logging.training.ranks.meeting import Meeting
from loss_logging.training.reporter import Reporter

DATASETS = 10
BATCH = 32
SAVES = 20
ROWS = 131_072
MEMORY_LIMIT = "1GB"
JOB = "scale"
RULES = list(RULE_NAMES)


def records(items: int, first: int, count: int, step: int) -> Iterator[pa.RecordBatch]:
    """``count`` records from step ``step`` on, of the items from ``first`` on, round and round."""
    rng = np.random.default_rng(first + step)
    for start in range(0, count, ROWS):
        rows = min(ROWS, count - start)
        number = (first + start + np.arange(rows)) % items
        text = np.char.zfill(number.astype(str), 9).astype(object)
        columns = {
            "step": step + (start + np.arange(rows)) // BATCH,
            "path": "/data/some/folder/of/images/number_" + text + "_image.png",
            "dataset": [f"dataset_{n % DATASETS}" for n in number.tolist()],
            "caption": "a photograph of number " + text + " that stands in a field in the evening, with a red hat",
            "loss": rng.lognormal(-2, 1, rows),
            "timestep": rng.random(rows),
            "is_reg": np.zeros(rows, bool),
            "caption_dropped": np.zeros(rows, bool),
        }
        yield completed(pa.RecordBatch.from_pydict(columns))


def fill(root: Path, items: int, total: int, saves: int) -> list[int]:
    """Write a log of ``total`` records in ``saves`` equal parts; returns the last step of each part."""
    config = _config(root)
    config.records_dir.mkdir(parents=True)
    log = RecordLog(config.records_dir)
    each = total // saves
    steps_each = -(-each // BATCH)
    for save in range(saves):
        for batch in records(items, save * each, each, 1 + save * steps_each):
            log.write([batch])
    return [(save + 1) * steps_each for save in range(saves)]


def _config(root: Path, **options: Any) -> TrainConfig:
    # One block a save step; the caption rules have a benchmark of their own and would hide what is measured here.
    rules = {"rules": {"disabled": RULES}}
    return TrainConfig(
        job_name=JOB, save_root=root, loggers=[], memory_limit=MEMORY_LIMIT, save_every=1, captions=rules, **options
    )


def ours(root: Path, steps: list[int]) -> dict[str, Any]:
    """The reporter's save steps, one after the other."""
    config = _config(root, keep_reports=1)
    replies: list[Reply] = []
    run = Meeting(config.paths).open()
    start = Start(config.to_dict(), [], 1, run, None, -1, forward=False)
    reporter = Reporter(start, replies.append)
    seconds, cpu = [], []
    for step in steps:
        before, used = time.perf_counter(), time.process_time()
        reporter.handle(Save(step))
        seconds.append(time.perf_counter() - before)
        cpu.append(time.process_time() - used)
    assert len([reply for reply in replies if isinstance(reply, Saved)]) == len(steps), replies
    return {"seconds": seconds, "CPU seconds": cpu, "bytes": config.report_path(steps[-1]).stat().st_size}


def peer(root: Path, steps: list[int]) -> dict[str, Any]:
    """A dict of dicts of running sums; only the dump is timed, the sums are the training loop's work."""
    sums: dict[str, dict[str, Any]] = {}
    seconds, cpu = [], []
    path = root / "peer.json"
    tables = (pq.read_table(file) for file in RecordLog(_config(root).records_dir).files())
    rows = (row for table in tables for batch in table.to_batches(ROWS) for row in batch.to_pylist())
    row = next(rows, None)
    for step in steps:
        while row is not None and row["step"] <= step:
            item = sums.setdefault(row["dataset"], {}).setdefault(row["path"], {"count": 0, "sum": 0.0, "sum2": 0.0})
            loss = row["loss"]
            item["count"] += 1
            item["sum"] += loss
            item["sum2"] += loss * loss
            item["min"] = min(item.get("min", loss), loss)
            item["max"] = max(item.get("max", loss), loss)
            item["last"] = loss
            item["caption"] = row["caption"]
            row = next(rows, None)
        before, used = time.perf_counter(), time.process_time()
        with path.open("w", encoding="utf-8") as file:
            json.dump(sums, file)
            file.flush()
            os.fsync(file.fileno())
        seconds.append(time.perf_counter() - before)
        cpu.append(time.process_time() - used)
    return {"seconds": seconds, "CPU seconds": cpu, "bytes": path.stat().st_size}


def disk(root: Path, size: int) -> float:
    """Seconds to write ``size`` bytes and have them on the disk."""
    piece = os.urandom(1 << 20)
    before = time.perf_counter()
    with (root / "disk").open("wb") as file:
        for _ in range(-(-size // len(piece))):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - before


def apart(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Run in a fresh process; adds its peak memory, and that of a process that has only imported the same."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (function, *arguments))


def _measured(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    before = _peak_mb()
    result = function(*arguments)
    return result | {"idle MB": before, "peak MB": _peak_mb()}


def _peak_mb() -> float:
    """Highest resident memory of this process; getrusage would begin with that of the parent at the fork."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("utf-8").splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke test in seconds; its figures mean little")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and the machine there too")
    parser.add_argument("--items", type=int, help="also: one save step of so many items, two records each")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="also: the save steps of another checkout")
    options = parser.parse_args()
    results = Results("scale", ["duckdb", "pyarrow", "msgspec"], options)
    one_save(results, 20_000 if options.quick else 1_000_000)
    growth(results, 2_000 if options.quick else 100_000, 10_000 if options.quick else 500_000)
    if options.beside:
        two_checkouts(results, options.beside.absolute(), 20_000 if options.quick else 1_000_000)
    if options.items:
        large(results, options.items)
    results.finish()


def one_save(results: Results, items: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        steps = fill(root, items, items, 1)
        rows = []
        for name, function in (("loss_logging reporter", ours), ("dict of dicts + json.dump", peer)):
            runs = [apart(function, root, steps) for _ in range(3)]
            seconds = sorted(run["seconds"][0] for run in runs)
            rows.append(
                {
                    "way": name,
                    "items": items,
                    "save s (median)": seconds[1],
                    "min..max": f"{seconds[0]:.2f}..{seconds[2]:.2f}",
                    "CPU s (median)": sorted(run["CPU seconds"][0] for run in runs)[1],
                    "file MB": runs[0]["bytes"] / 1e6,
                    "peak MB": max(run["peak MB"] for run in runs),
                    "idle MB": runs[0]["idle MB"],
                }
            )
        results.table(
            "one save step",
            rows,
            "loss_logging: everything from the log on, statistics included. The peer: the dump alone.",
        )
        json_speed(results, root, steps[-1])


SAVES_OF_A_CHECKOUT = """
import inspect, json, multiprocessing, sys, tempfile, time
from pathlib import Path
from benchmarks import scale
from loss_logging import TrainConfig, read_report
from loss_logging.reports.artifact import read_without_items, write_items, write_report
from loss_logging.reports.compare import compare_reports
found = {}
def timed(what, function, *arguments):
    before, used = time.perf_counter(), time.process_time()
    function(*arguments)
    found[what] = [time.perf_counter() - before, time.process_time() - used, scale._peak_mb()]
items, few = int(sys.argv[1]), int(sys.argv[2])
with tempfile.TemporaryDirectory() as folder:
    root = Path(folder)
    with multiprocessing.get_context("spawn").Pool(1) as other:
        steps = other.apply(scale.fill, (root, items, items, 1))
    config = scale._config(root, keep_reports=2)
    given = config.to_dict() | {"loggers": []}
    captions = given["captions"]
    is_grouped = isinstance(captions["rules"], dict)
    key, group = ("disabled", captions["rules"]) if is_grouped else ("disabled_rules", captions)
    group[key] = sys.argv[3].split()
    config = TrainConfig.from_dict(given)
    for batch in scale.records(items, 0, few, steps[-1] + 1):
        scale.RecordLog(config.records_dir).write([batch])
    steps.append(steps[-1] + -(-few // scale.BATCH))
    replies = []
    start = scale.Start(config.to_dict(), [], 1, scale.Meeting(config.paths).open(), None, -1, forward=False)
    reporter = scale.Reporter(start, replies.append)
    for step, what in zip(steps, (f"save of {items:,} new items", f"save of {few:,} records more")):
        timed(what, reporter.handle, scale.Save(step))
    assert len([reply for reply in replies if isinstance(reply, scale.Saved)]) == 2, replies
    before, after = map(config.report_path, steps)
    statistics, head, again = reporter._maker.statistics, read_without_items(after), root / "again"
    texts = getattr(statistics, "item_texts", statistics.items)
    timed("JSON alone", lambda: write_report(again, head, texts()))
    found["the same bytes to the disk"] = [scale.disk(root, again.stat().st_size), float("nan"), float("nan")]
    in_no_order = {"by_dataset": False} if "by_dataset" in inspect.signature(statistics.items).parameters else {}
    timed("items.parquet alone", lambda: write_items(again, statistics.items(**in_no_order)))
    reporter._maker.close()
    timed("the report without its items", read_without_items, after)
    timed("compare of two", compare_reports, before, after)
    timed("read_report", read_report, after)
print(json.dumps(found))
"""
"""Uses only names that earlier checkouts have; each writes a log of its own, in its own format."""


def two_checkouts(results: Results, other: Path, items: int, repeats: int = 3) -> None:
    here = Path(__file__).resolve().parents[1]
    few = items // 25
    runs: dict[Path, list[dict[str, list[float]]]] = {here: [], other: []}
    for _ in range(repeats):
        for checkout, taken in runs.items():
            command = [sys.executable, "-c", SAVES_OF_A_CHECKOUT, str(items), str(few), " ".join(RULES)]
            environment = os.environ | {"PYTHONPATH": str(checkout)}
            done = subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True, text=True)
            taken.append(json.loads(done.stdout.splitlines()[-1]))
    rows = []
    for what in runs[here][0]:
        (seconds, cpu, peak), (other_seconds, other_cpu, other_peak) = (
            zip(*(run[what] for run in runs[checkout]), strict=True) for checkout in (here, other)
        )
        rows.append(
            {
                "what": what,
                "CPU s, this": float(np.median(cpu)),
                "this, min..max": _range(cpu),
                "CPU s, the other": float(np.median(other_cpu)),
                "the other, min..max": _range(other_cpu),
                "ratio": float(np.median(cpu) / np.median(other_cpu)),
                "s, this": float(np.median(seconds)),
                "s, the other": float(np.median(other_seconds)),
                "peak MB so far, this": max(peak),
                "peak MB so far, the other": max(other_peak),
            }
        )
    results.table("beside another checkout", rows, f"{repeats} runs of each, by turns.")


def _range(values: Iterable[float]) -> str:
    known = sorted(values)
    return f"{known[0]:.2f}..{known[-1]:.2f}"


def json_speed(results: Results, root: Path, step: int) -> None:
    from loss_logging.reports.artifact import write_report
    from loss_logging.reports.report import DatasetReport, Job, LossReport
    from loss_logging.statistics.run import RunStatistics

    log = RecordLog(_config(root).records_dir)
    statistics = RunStatistics(log, block_steps=1, timestep_scale=1.0, memory_limit=MEMORY_LIMIT, threads=1)
    statistics.advance(step)
    summaries = statistics.summaries(10)
    overall = summaries.pop(None)
    report = LossReport(
        job=Job(JOB, step, ""),
        global_=overall,
        datasets={str(name): DatasetReport(summary) for name, summary in summaries.items()},
    )
    path = root / "speed.json"
    times, disk_times = [], []
    for _ in range(5):
        before = time.perf_counter()
        write_report(path, report, statistics.item_texts())
        times.append(time.perf_counter() - before)
        disk_times.append(disk(root, path.stat().st_size))
    size = path.stat().st_size / 1e6
    statistics.close()
    results.table(
        "writing the JSON, fsync included, one thread",
        [
            {
                "what": what,
                "MB": size,
                "MB/s (median)": size / float(np.median(seconds)),
                "min..max": f"{size / max(seconds):.0f}..{size / min(seconds):.0f}",
            }
            for what, seconds in (("write_report", times), ("the same bytes, sequential write", disk_times))
        ],
    )


def growth(results: Results, items: int, total: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        steps = fill(root, items, total, SAVES)
        run, other = apart(ours, root, steps), apart(peer, root, steps)
        shown = [0, 1, 4, 9, 14, SAVES - 1]
        results.table(
            f"{SAVES} save steps, {total // SAVES:,} new records of {items:,} items each",
            [
                {
                    "save step": save + 1,
                    "records so far": (save + 1) * (total // SAVES),
                    "loss_logging s": run["seconds"][save],
                    "dict of dicts + json.dump s": other["seconds"][save],
                }
                for save in shown
            ],
        )


def large(results: Results, items: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        steps = fill(root, items, 2 * items, 2)
        run = apart(ours, root, steps)
        results.table(
            "a very large set",
            [
                {
                    "items": items,
                    "records": 2 * items,
                    "memory_limit": MEMORY_LIMIT,
                    "first save s": run["seconds"][0],
                    "second save s": run["seconds"][1],
                    "file MB": run["bytes"] / 1e6,
                    "peak MB": run["peak MB"],
                    "idle MB": run["idle MB"],
                }
            ],
        )


if __name__ == "__main__":
    main()
