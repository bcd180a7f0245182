"""TrainerSubject: somebody's trainer with its adapter, trained the way the conformance suite asks for.

An author writes one function, ``train(task: Task) -> Trained``, which trains the real trainer on a few small examples,
and names it in the entry-point group ``loss_logging.trainers``, or on the command line as ``"module:function"``.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from loss_logging.errors import ConfigError
from loss_logging.records.log import RecordLog
from loss_logging.reports.artifact import read_report
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.support.names import load, near_miss
from loss_logging.training.registered import registered_trainers

__all__ = ["Task", "Train", "Trained", "TrainerSubject"]

RANKS = 2
_OF_A_RANK = "import sys; from loss_logging.testing.trainer import train_rank; train_rank(*sys.argv[1:])"


class Task(NamedTuple):
    """One training, always of the same examples in the same order.

    ``folder``: where the trainer's own files go, checkpoints too. ``config``: what to log; None is a training without
    loss_logging. ``steps``: the last step. ``save_every``: steps between two checkpoints; there is a report at each,
    and one at the end. ``resume_from``: the step of the checkpoint in ``folder`` to go on from. ``unknown``: step 2
    computes its loss in a way that the adapter cannot tell the examples of.
    """

    folder: Path
    config: TrainConfig | None
    steps: int = 8
    save_every: int = 4
    resume_from: int | None = None
    unknown: bool = False


class Trained(NamedTuple):
    """What came of it, in this process.

    ``weights``: arrays, tensors or bytes by name. ``scalars``: by step, the trainer's own loss, taken before anything
    of ours. ``examples``: how many were trained on, logged or not. ``weight``: the component by whose values the mean
    of the examples' losses is weighted, such as ``"tokens"``; None where it is the plain mean.
    """

    weights: Mapping[str, Any]
    scalars: Mapping[int, float]
    examples: int
    weight: str | None = None


Train: TypeAlias = Callable[[Task], Trained]


class TrainerSubject:
    """The trainer under test.

    Args:
        entry: a name of the entry-point group, ``"module:function"``, or the function.
        folder: of the test.

    Raises:
        ConfigError: no such name, module or function.
    """

    def __init__(self, entry: str | Train, folder: Path) -> None:
        self.folder = folder
        self.entry = _target(entry) if isinstance(entry, str) else f"{entry.__module__}:{entry.__qualname__}"
        self._train: Train = load(self.entry, "trainer", "module:function") if isinstance(entry, str) else entry

    def config(self, name: str, **options: Any) -> TrainConfig:
        """What to log, below ``name`` in the test's folder; without trackers, and in this process."""
        given = {"job_name": "conformance", "save_root": self.folder / name / "losses", "loggers": [], **options}
        return TrainConfig(**{"reporter": "inline", **given})

    def train(self, name: str, config: TrainConfig | None = None, **task: Any) -> Trained:
        """Train once, in a folder of its own."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return self._train(Task(folder, config, **task))

    def train_ranks(self, name: str, config: TrainConfig) -> list[dict[str, Any]]:
        """Train in several processes that know their rank from the environment, and return what each one says."""
        (self.folder / name).mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = {"WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        shared |= {"PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}
        command = [sys.executable, "-c", _OF_A_RANK, self.entry, str(self.folder / name), str(config.save_root)]
        ranks = [os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(RANKS)]
        processes = [subprocess.Popen(command, env=rank, stderr=subprocess.PIPE, text=True) for rank in ranks]
        said = [process.communicate(timeout=300)[1] for process in processes]
        assert [process.returncode for process in processes] == [0] * RANKS, "\n".join(said)
        return [json.loads((self.folder / name / f"rank{rank}.json").read_text("utf-8")) for rank in range(RANKS)]


def train_rank(entry: str, folder: str, save_root: str) -> None:
    """What each process of several does."""
    config = TrainConfig(job_name="conformance", save_root=save_root, loggers=[])
    trained: Trained = load(entry, "trainer", "module:function")(Task(Path(folder), config))
    Path(folder, f"rank{os.environ['RANK']}.json").write_text(json.dumps({"examples": trained.examples}), "utf-8")


def records(config: TrainConfig) -> list[dict[str, Any]]:
    """What a run has logged, as rows."""
    rows: list[dict[str, Any]] = RecordLog(config.records_dir).read().to_pylist()
    return rows


def last_report(config: TrainConfig) -> LossReport:
    """The newest report of a run."""
    paths = config.report_paths()
    assert paths, f"no report in {config.out_dir}; save_step(step) makes one where the trainer saves, and at the end"
    return read_report(paths[-1])


def bits(weights: Mapping[str, Any]) -> dict[str, bytes]:
    """Weights to the bit, whatever they are kept in."""
    return {name: _bits(value) for name, value in weights.items()}


def _bits(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if hasattr(value, "detach"):  # a tensor of torch, which numpy may not have the type of
        import torch

        return value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()  # type: ignore[no-any-return]
    import numpy as np

    return np.asarray(value).tobytes()


def _target(entry: str) -> str:
    if ":" in entry:
        return entry
    known = registered_trainers()
    if entry not in known:
        raise ConfigError(
            f"trainer: {entry!r} is no known trainer{near_miss(entry, known)}; "
            f"known: {', '.join(sorted(known)) or 'none'}; one that is not installed is named 'module:function'"
        )
    return known[entry].value
