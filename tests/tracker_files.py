"""A tracker that is a file, with the kinds of trouble that trackers make; and readers for it and for the real ones."""

from __future__ import annotations

import gc
import os
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from waiting import wait_until
from wandb_file import history

from loss_logging import LossReport


class FileTracker:
    """One line for each thing that it takes. As long as ``{out}.trouble`` exists, it does what that file says."""

    name = "tracker_files:FileTracker"

    def __init__(self, out: str) -> None:
        self._out = Path(out)

    def write(self, report: LossReport) -> None:
        self._meet_trouble(report)
        mean = report.recent.get("d")
        self._append(f"report {report.job.step} {report.global_.count} {mean}")

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        self._meet_trouble(None)
        self._append(f"scalars {step} {scalars['loss_logging/loss/d']}")

    def close(self) -> None:
        """Everything is in the file."""

    def _append(self, line: str) -> None:
        with self._out.open("a") as file:
            file.write(f"{line}\n")

    def _meet_trouble(self, report: LossReport | None) -> None:
        path = self._out.with_suffix(".trouble")
        kind = path.read_text() if path.exists() else ""
        if kind == "raise":
            raise ConnectionResetError("Connection lost")
        if kind == "hang" or (kind == "stall" and self._out.exists() and len(lines(self._out)) >= 4):
            path.with_suffix(".hung").touch()
            wait_until(lambda: not path.exists())  # a thread that hung on would be in the way of later tests
            raise TimeoutError("it took too long")
        if kind == "exit":
            os._exit(9)
        if kind == "reject" and report is not None and report.tables and report.job.step == 20:
            raise TypeError("mixed column")


def collect_garbage() -> None:
    """W&B leaves temporary folders to the garbage collector, which warns about each, at any time after."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def lines(out: Path) -> list[tuple[str, int]]:
    """What a FileTracker took, by kind and step, in the order of arrival."""
    return [(kind, int(step)) for kind, step, *_ in map(str.split, out.read_text().splitlines())]


def once(taken: list[Any]) -> set[Any]:
    """The same as a set; nothing is in it twice."""
    assert not [thing for thing, n in Counter(taken).items() if n > 1]
    return set(taken)


def wandb_steps(folder: Path, unfinished: int = 0) -> list[int]:
    """The training step of every row of ours in the runs below ``folder``."""
    rows = [row for run in history(folder, unfinished) for row in run]
    return [row["loss_logging/step"] for row in rows if "loss_logging/step" in row]


def tensorboard_steps(folder: Path, tag: str = "loss_logging/loss/d") -> list[int]:
    """The training step of every value that TensorBoard shows of ``tag`` in the runs below ``folder``."""
    steps = []
    for run in {path.parent for path in folder.rglob("events.out.tfevents.*")}:
        events = EventAccumulator(str(run), size_guidance={"scalars": 0})
        events.Reload()
        if tag in events.Tags()["scalars"]:
            steps += [event.step for event in events.Scalars(tag)]
    return steps
