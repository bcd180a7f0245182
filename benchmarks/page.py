"""The report page in a real browser: opening, filtering and sorting it with very many items.

    python -m benchmarks.page [--quick] [--json FILE]

The file's page holds 100,000 items; `loss-logging view` has a log of 5,000,000, and a folder of 100,000
captions that are edited. Times are what a reader waits, from the event to the frame that shows the answer; on a machine
that does other things as well, go by the CPU seconds of the browser's processes (Linux). Needs Chromium.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from playwright.sync_api import Page, sync_playwright

from benchmarks.table import Results, arguments
from loss_logging.pages.build import PageBuilder
from loss_logging.records.columns import completed
from loss_logging.records.log import RecordLog
from loss_logging.runs.config import TrainConfig
from loss_logging.training.messages import Save, Saved, Start
from loss_logging.training.ranks.meeting import Meeting
from loss_logging.training.reporter import Reporter

REPEATS = 5
ROWS = 1_000_000

# From a change of an input to the frame after the rows of the answer.
ANSWER = """([selector, event, value]) => new Promise((done) => {
  const before = performance.now();
  const end = () => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - before)));
  const node = document.querySelector(selector);
  const table = document.querySelector("#table .tabulator-table");
  const watch = new MutationObserver(() => { watch.disconnect(); end(); });
  watch.observe(table, { childList: true });
  if (event === "input") { node.value = value; node.dispatchEvent(new Event("input", { bubbles: true })); }
  else node.click();
})"""


def fill(root: Path, items: int, epochs: int, steps: int) -> TrainConfig:
    """The log of a run of so many epochs with so many steps each; in each epoch every item was seen once."""
    captions = {"rules": {"disabled": ["empty", "suspicious", "repeated", "long", "short"]}}
    config = TrainConfig(
        job_name="job",
        save_root=root,
        loggers=[],
        save_every=steps,
        items="parquet",
        memory_limit="4GB",
        captions=captions,
    )
    config.records_dir.mkdir(parents=True)
    log = RecordLog(config.records_dir)
    rng = np.random.default_rng(0)
    for step in range(epochs * steps):
        place = step % steps
        log.write(_batches(rng, items * place // steps, items * (place + 1) // steps, step + 1))
    return config


def _batches(rng: np.random.Generator, first: int, end: int, step: int) -> Iterator[pa.RecordBatch]:
    words = np.array(["red", "old", "small", "wooden", "bright", "rusty", "woollen", "paper"])
    things = np.array(["cat", "boat", "house", "lamp", "violin", "bridge", "teapot", "engine", "garden", "clock"])
    for start in range(first, end, ROWS):
        place = np.arange(start, min(start + ROWS, end))
        n = len(place)
        loss = rng.gamma(4.0, 0.05, n)
        columns = {
            "step": np.full(n, step),
            "path": [f"/data/images/set{i % 20:02d}/part{i // 1000:05d}/{i:09d}.png" for i in place],
            "dataset": [f"set{i % 20:02d}" for i in place],
            "caption": [
                f"a photograph of a {words[i % 8]} {words[i // 8 % 8]} {things[i // 64 % 10]} beside a "
                f"{words[i // 640 % 8]} {things[i // 5120 % 10]}, number {i}, in the light of the morning"
                for i in place
            ],
            "loss": loss,
            "timestep": rng.random(n),
            "loss_empty": loss * rng.uniform(0.8, 1.3, n),
            "is_reg": np.zeros(n, bool),
            "caption_dropped": np.zeros(n, bool),
        }
        yield completed(pa.RecordBatch.from_pydict(columns))


def save(config: TrainConfig, step: int) -> None:
    """The report of one save step, as the reporter makes it."""
    replies: list[Any] = []
    run = Meeting(config.paths).open()
    Reporter(Start(config.to_dict(), [], 1, run, None, -1, forward=False), replies.append).handle(Save(step))
    assert any(isinstance(reply, Saved) for reply in replies), replies


@contextmanager
def browser() -> Iterator[Callable[[], Page]]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield lambda: running.new_context(viewport={"width": 1280, "height": 900}).new_page()
        running.close()


def browser_seconds() -> float:
    """CPU seconds of all processes below this one that run, of which the browser's are those that work."""
    below, total = {os.getpid()}, 0.0
    for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) in below:  # a parent is older, as a rule, and comes before
            below.add(int(stat.parent.name))
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def timed(times: dict[str, list[tuple[float, float]]], what: str, measure: Callable[[], float]) -> None:
    """Note the milliseconds of a measurement, and the browser's CPU seconds meanwhile."""
    before = browser_seconds()
    waited = measure()
    times[what].append((waited, browser_seconds() - before))


def opened(page: Page, address: str) -> float:
    """Milliseconds until charts are drawn and the table has rows."""
    page.goto("about:blank")  # the address may be that of the page which is open
    before = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_selector("#table .tabulator-row", timeout=120_000)
    return (time.perf_counter() - before) * 1e3


def answer(page: Page, selector: str, event: str = "click", value: str = "") -> float:
    """Milliseconds from a change to the frame that shows its answer."""
    return float(page.evaluate(ANSWER, [selector, event, value]))


def file_page(results: Results, items: int) -> None:
    with tempfile.TemporaryDirectory() as folder, browser() as new_page:
        config = fill(Path(folder), items, epochs=3, steps=1)
        for step in (1, 2, 3):
            save(config, step)
        before = time.perf_counter()
        path = PageBuilder(config, most_items=items).write()
        building = time.perf_counter() - before
        times = defaultdict[str, list[tuple[float, float]]](list)
        column = '[tabulator-field="average_loss"]'
        for _ in range(REPEATS):
            page = new_page()
            timed(times, "open", partial(opened, page, path.as_uri()))
            timed(times, "first search", partial(answer, page, "#search", "input", "rusty violin"))
            timed(times, "search", partial(answer, page, "#search", "input", "bright teapot"))
            timed(times, "figure filter", partial(answer, page, f"{column} input", "input", ">0.2"))
            timed(times, "sort", partial(answer, page, f"{column} button"))
            page.context.close()
        results.table(
            "the file",
            [
                {
                    "what": what,
                    **spread([waited for waited, _ in each]),
                    "CPU s": float(np.median([s for _, s in each])),
                }
                for what, each in times.items()
            ],
            f"{items:,} items: {path.stat().st_size / 1e6:.1f} MB, built in {building:.1f} s.",
        )


def served_page(results: Results, items: int) -> None:
    with tempfile.TemporaryDirectory() as folder, browser() as new_page:
        config = fill(Path(folder), items, epochs=2, steps=50)
        rows = []
        for name in ("log alone", "with the report's items.parquet"):
            if name != "log alone":
                save(config, 100)
            rows += [{"run": name, "what": what, **spread(values)} for what, values in served(config, new_page).items()]
        results.table(
            "loss-logging view",
            rows,
            f"{items:,} items, {2 * items:,} records, {directory_size(config.records_dir) / 1e6:,.0f} MB of log. "
            "A filter waits 250 ms for more keys.",
        )


def served(config: TrainConfig, new_page: Callable[[], Page]) -> dict[str, list[float]]:
    code = "from loss_logging.cli import main; main()"
    command = [sys.executable, "-u", "-c", code, "view", str(config.save_root), "--memory-limit", "6GB"]
    before = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found
            page = new_page()
            page.goto(found[0])
            page.wait_for_selector("html[data-ready=true]", state="attached", timeout=60_000)
            shell = time.perf_counter() - before
            page.wait_for_selector("#table .tabulator-row", timeout=600_000)
            times: dict[str, list[float]] = {
                "command to page": [shell * 1e3],
                "command to first rows": [(time.perf_counter() - before) * 1e3],
                "sort by a figure, while reading": [],
                "command to all rows": [],
                "open": [],
                "sort by a figure": [],
                "sort by path": [],
                "search": [],
                "page 50,000": [],
                "history of an item": [],
            }
            sorter = '[tabulator-field="average_loss"] button'
            while page.evaluate("fetch('api/state').then((answer) => answer.json())")["busy"]:
                page.wait_for_selector(sorter)
                times["sort by a figure, while reading"].append(answer(page, sorter))
                time.sleep(2)
            times["command to all rows"].append((time.perf_counter() - before) * 1e3)
            address = page.url
            for i in range(REPEATS):
                times["open"].append(opened(page, address))
                times["sort by a figure"].append(answer(page, sorter))
                times["sort by path"].append(answer(page, '[tabulator-field="path"] button'))
                times["search"].append(answer(page, "#search", "input", f"rusty violin {i}"))
                times["page 50,000"].append(asked(page, "api/items", q='{"page":50000,"sort":[{"field":"hard"}]}'))
                place = {"dataset": "set01", "path": f"/data/images/set01/part00000/{20 * i + 1:09d}.png"}
                times["history of an item"].append(asked(page, "api/history", **place))
        finally:
            process.terminate()
    return times


def edited_folder(results: Results, items: int) -> None:
    """Saving a caption of a folder that is looked at, in a file of its own and in one table of all."""
    rows = []
    for layout in ("a file each", "one JSONL"):
        with tempfile.TemporaryDirectory() as folder, browser() as new_page:
            _captioned(Path(folder), items, one_table=layout == "one JSONL")
            command = ["loss-logging", "view", folder, "--edit", "--no-pictures"]
            command[0] = str(Path(sys.executable).with_name(command[0]))
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            try:
                assert process.stdout is not None
                found = re.search(r"http\S+", process.stdout.readline())
                assert found is not None
                page = new_page()
                opened(page, found[0])
                page.keyboard.press("j")
                page.wait_for_selector("#details[open]")
                times = [saved(page, Path(folder).name, f"{i:06}.png", i) for i in range(20)]
            finally:
                process.terminate()
        rows.append({"captions in": layout, **spread(times)})
    results.table(f"loss-logging view --edit, {items:,} captions: saving one", rows)


def _captioned(folder: Path, items: int, *, one_table: bool) -> None:
    captions = [f"a red boat number {i} lies in the harbour" for i in range(items)]
    captions[:20] = ["nan"] * 20
    for i, caption in enumerate(captions):
        (folder / f"{i:06}.png").touch()
        if not one_table:
            (folder / f"{i:06}.txt").write_text(caption)
    if one_table:
        rows = (f'{{"file_name": "{i:06}.png", "text": "{caption}"}}\n' for i, caption in enumerate(captions))
        (folder / "metadata.jsonl").write_text("".join(rows))


def saved(page: Page, dataset: str, path: str, number: int) -> float:
    """Milliseconds from sending a caption to the answer that it is on disk."""
    states = {"seen": {"caption": "nan", "decision": ""}, "wanted": {"caption": f"new {number}", "decision": "caption"}}
    script = """async (body) => {
      const before = performance.now();
      const headers = { "Content-Type": "application/json" };
      const answer = await fetch("api/change", { method: "POST", headers, body: JSON.stringify(body) });
      if (!answer.ok) throw new Error(await answer.text());
      await answer.json();
      return performance.now() - before;
    }"""
    return float(page.evaluate(script, {"dataset": dataset, "path": path, **states}))


def asked(page: Page, target: str, **values: str) -> float:
    script = """async ([path, values]) => {
      const before = performance.now();
      const answer = await fetch(`${path}?${new URLSearchParams(values)}`);
      await answer.json();
      return performance.now() - before;
    }"""
    return float(page.evaluate(script, [target, values]))


def spread(values: list[float]) -> dict[str, Any]:
    if not values:  # it was over before it could be asked
        return {"ms (median)": None, "min..max": ""}
    return {"ms (median)": float(np.median(values)), "min..max": f"{min(values):.0f}..{max(values):.0f}"}


def directory_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def main() -> None:
    options = arguments(__doc__)
    results = Results("page", ["duckdb", "starlette", "uvicorn", "playwright"], options)
    file_page(results, 2_000 if options.quick else 100_000)
    served_page(results, 20_000 if options.quick else 5_000_000)
    edited_folder(results, 2_000 if options.quick else 100_000)
    results.finish()


if __name__ == "__main__":
    main()
