"""Starts training runs in processes of their own, and says what must hold of what they leave, however they end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
from helpers import assert_same_figures, strict_json
from training_run import BATCH, FLUSH, LAST, caption
from warm import SCRIPT, WarmProcess, without_torch

from loss_logging import read_report
from loss_logging.records.log import RecordLog

SLACK = 1.5
"""Seconds that a busy machine may take from a flush that is due to a shard on disk."""


def train(root: Path, resume: int = 0, *more: str, **environment: str) -> WarmProcess:
    """Start the training run of `training_run`."""
    return start(root, Path(__file__).with_name("training_run.py"), str(resume), str(LAST), *more, **environment)


def start(root: Path, script: Path, *arguments: str, **environment: str) -> WarmProcess:
    """Start a script in a process that has imported what it needs; the first argument it gets is ``root``."""
    return without_torch().start(SCRIPT, str(script), str(root), *arguments, environment=_with_tests(environment))


def _with_tests(environment: dict[str, str]) -> dict[str, str]:
    here = Path(__file__)
    paths = [environment.get("PYTHONPATH", ""), str(here.parents[2]), str(here.parents[1]), str(here.parent)]
    return environment | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def finish(process: subprocess.Popen[str] | WarmProcess, code: int = 0) -> tuple[str, str]:
    """Its output and its warnings, once it has ended with ``code``."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return out, err


def run_script(folder: Path, source: str) -> subprocess.Popen[str]:
    """Start a script in a new interpreter that may use the names of `training_run`; its ``root`` is ``folder``."""
    script = folder / "script.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "from training_run import *\n"
        "from training_run import log, options\n"
        "from waiting import wait_until\n"
        "from loss_logging import LossLogger\n"
        f"root = sys.argv[1]\n{source}",
        encoding="utf-8",
    )
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(script), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | _with_tests({}),
    )


def reporters(process: WarmProcess) -> list[psutil.Process]:
    """The reporter processes of a trainer."""
    return psutil.Process(process.pid).children()


def ended(process: psutil.Process) -> bool:
    """Whether it is gone; one that nobody has waited for counts."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def log_of(root: Path) -> RecordLog:
    """The log of the run."""
    return RecordLog(root / "loss_logging" / "records" / "job")


def report_at(root: Path, step: int) -> Path:
    """The report of a save step."""
    return root / "loss_logging" / f"job_{step:09d}.json"


def reported(root: Path) -> list[int]:
    """The steps that there are reports of."""
    return sorted(int(path.stem.removeprefix("job_")) for path in (root / "loss_logging").glob("job_*.json"))


def last_report(root: Path) -> int:
    """The step of the last report, 0 without one."""
    return max(reported(root), default=0)


def logged(lines: Iterable[str]) -> list[tuple[int, float]]:
    """The steps that a run has printed, each with the time at which it was logged; half a line is none."""
    pairs = (line.split() for line in lines if line.endswith("\n"))
    return [(int(step), float(at)) for step, at in pairs]


def steps_before(steps: Iterable[tuple[int, float]], end: float) -> list[int]:
    """The steps that were logged longer than the flush interval before ``end``: they must be on disk."""
    return [step for step, at in steps if at < end - FLUSH - SLACK]


def assert_whole(root: Path, due: Iterable[int] = ()) -> None:
    """Every file is whole or a dot file; no record is there twice; those of the steps ``due`` are all there."""
    folder = root / "loss_logging"
    for path in folder.glob("*.json"):
        read_report(path)
    for path in folder.rglob("[!.]*.parquet"):
        pq.read_table(path)
    strange = [
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.suffix not in (".json", ".parquet", ".ledger")
    ]
    assert strange == []
    captions = Counter(log_of(root).read()["caption"].to_pylist())
    assert [text for text, n in captions.items() if n > 1] == []
    assert {caption(step, i) for step in due for i in range(BATCH)} <= captions.keys()


def figures(root: Path, step: int) -> dict[str, Any]:
    """The report of a step, without what tells one run from another of the same records."""
    report = strict_json(report_at(root, step))
    del report["job"]["created"], report["job"]["resumed_from"], report["config"]["save_root"]
    return report


def assert_ends_like(root: Path, unbroken: dict[str, Any]) -> None:
    """The last report is that of a run that was never interrupted."""
    assert_same_figures(figures(root, LAST), unbroken)
