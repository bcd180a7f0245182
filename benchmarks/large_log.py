"""The report of a log that is larger than memory, from the shards on disk to the JSON and the items beside it.

    python -m benchmarks.large_log [--quick] [--json FILE] [--records N ...] [--folder FOLDER]

Five records an item, half of them paired, in ten datasets and one text of 90 characters each. Every size runs in a
process of its own, with one thread and `memory_limit` 2GB; nothing is carried from an earlier save step. The caption
rules are on, and each caption is new. A size needs 150 bytes of disk a record for a while.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.scale import apart
from benchmarks.table import Results
from loss_logging.records.columns import completed
from loss_logging.records.log import Shard, write_shard
from loss_logging.reports.names import items_path
from loss_logging.runs.config import TrainConfig
from loss_logging.support.pandas_free import leave_pandas_out
from loss_logging.training.messages import Save, Saved, Start
from loss_logging.training.ranks.meeting import Meeting
from loss_logging.training.reporter import Reporter

MEMORY_LIMIT = "2GB"
BATCH = 32
RECORDS_PER_ITEM = 5
RECORDS_PER_SHARD = 1_000_000
ROWS = 131_072
RECORDS = """
SELECT
    1 + i // {batch} AS step,
    format('/data/some/folder/of/images/number_{{:09d}}_image.png', item) AS path,
    'dataset_' || item % 10 AS dataset,
    format('a photograph of number {{:09d}} that stands in a field in the evening, with a red hat', item) AS caption,
    exp(-2 + hash(item) % 1000 / 2000 + hash(i) % 1000003 / 1000003) AS loss,
    hash(i, 1) % 1000003 / 1000003 AS timestep,
    CASE WHEN i % 2 = 0 THEN exp(-2 + hash(i, 2) % 1000 / 1000) END AS loss_empty,
    false AS is_reg,
    false AS caption_dropped
FROM (SELECT i, i * 7919 % {items} AS item FROM range({first}, {last}) AS t (i))
"""


def fill(config: TrainConfig, records: int) -> int:
    """Write the log; returns its size in bytes."""
    config.records_dir.mkdir(parents=True)
    with duckdb.connect(config={"threads": 1}) as connection:
        for place, first in enumerate(range(0, records, RECORDS_PER_SHARD)):
            last = min(records, first + RECORDS_PER_SHARD)
            rows = RECORDS.format(batch=BATCH, items=records // RECORDS_PER_ITEM, first=first, last=last)
            with (config.records_dir / Shard.name(0, place, place)).open("wb") as file:
                write_shard(file, (completed(batch) for batch in connection.sql(rows).to_arrow_reader(ROWS)))
    return sum(path.stat().st_size for path in config.records_dir.iterdir())


def report(root: Path, records: int) -> dict[str, Any]:
    """One save step over the whole log."""
    leave_pandas_out()  # as a reporter's own process does
    config = _config(root)
    spilled = _Spilled(config.records_dir)
    start = Start(config.to_dict(), [], 1, Meeting(config.paths).open(), None, records, forward=False)
    began, cpu = time.perf_counter(), time.process_time()
    replies: list[Any] = []
    reporter = Reporter(start, replies.append)
    reporter.handle(Save(-(-records // BATCH)))
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    assert isinstance(replies[-1], Saved), replies[-1]
    path = Path(replies[-1].path)
    items = items_path(path)
    sizes = {"JSON MB": path.stat().st_size / 1e6, "items MB": items.stat().st_size / 1e6 if items.exists() else 0.0}
    return {"s": seconds, "CPU s": cpu_seconds, "spilled MB": spilled.most / 1e6, **sizes}


class _Spilled:
    """The most bytes that were beside the log at a time, looked at now and then."""

    def __init__(self, folder: Path) -> None:
        self.most = 0
        self._folder = folder
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            total = 0
            for folder, _, names in os.walk(self._folder):
                if ".spill" in folder:
                    total += sum(_size(Path(folder, name)) for name in names)
            self.most = max(self.most, total)
            time.sleep(0.5)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # removed since it was listed
        return 0


def _config(root: Path) -> TrainConfig:
    return TrainConfig(job_name="large", save_root=root, loggers=[], memory_limit=MEMORY_LIMIT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke test in seconds; its figures mean little")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and the machine there too")
    parser.add_argument(
        "--records", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000], help="sizes of the log"
    )
    parser.add_argument("--folder", type=Path, help="where the logs are written; removed afterwards")
    options = parser.parse_args()
    results = Results("large_log", ["duckdb", "pyarrow", "msgspec"], options)
    rows = []
    for records in [20_000] if options.quick else options.records:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            size = fill(_config(Path(folder)), records)
            run = apart(report, Path(folder), records)
        shown = {"records": records, "items": records // RECORDS_PER_ITEM, "log B a record": size / records}
        rows.append(shown | run | {"CPU us a record": 1e6 * run["CPU s"] / records})
    results.table(f"one report, memory_limit {MEMORY_LIMIT}", rows)
    results.finish()


if __name__ == "__main__":
    main()
