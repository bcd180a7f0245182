"""Several real processes, one run: the report is that of one process with all the records."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from helpers import assert_same_figures
from warm import WarmProcess, with_torch

from loss_logging import LossLogger

pytestmark = pytest.mark.xdist_group("torch")  # and they are compared with one run

PROGRAM = """
import os, sys, time
from loss_logging import LossLogger
from loss_logging.records.log import RecordLog

rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
mode, root, resume = sys.argv[1], sys.argv[2], int(sys.argv[3])
if mode != "environment":
    import torch.distributed as dist
    dist.init_process_group("gloo")
if mode == "apart":
    root += f"/rank{rank}"
options = {"ranks": 3} if "--die" in sys.argv else {}
losses = LossLogger(job_name="job", save_root=root, loggers=[], save_every=10, timeouts={"flush": 0.3, **options})
if resume >= 0:
    losses.resume(resume)
for step in range(max(resume, 0) + 1, 31):
    mine = [i for i in range(8) if i % world == rank]
    losses.log_batch(
        step,
        [((step * 31 + i * 17) % 101) / 7 for i in mine],
        paths=[f"{(step * 8 + i) % 40}.png" for i in mine],
        datasets=[f"d{i % 3}" for i in mine],
        captions=["a caption of four words"] * len(mine),
    )
    time.sleep(0.02)
    if step % 10 == 0 and rank == 0:  # as trainers do that save on rank 0 alone
        print(losses.save_step(step).result(), flush=True)
    if rank == 1 and step == 15 and "--die" in sys.argv:
        while RecordLog(losses.config.records_dir).last_step(1) < step:
            time.sleep(0.02)
        os._exit(1)
losses.close()
"""


def start(mode: str, world: int, root: Path, port: int, resume: int = -1, *options: str) -> list[WarmProcess]:
    common = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = (PROGRAM, mode, str(root), str(resume), *options)
    return [with_torch().start(*command, environment={**common, "RANK": str(rank)}) for rank in range(world)]


def finish(processes: list[WarmProcess]) -> list[str]:
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), [err for _, err in outputs]
    return outputs[0][0].split()


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report at step 30 of one process that logs every record."""
    root = tmp_path_factory.mktemp("alone")
    with LossLogger(job_name="job", save_root=root, loggers=[], save_every=10, reporter="inline") as losses:
        for step in range(1, 31):
            losses.log_batch(
                step,
                [((step * 31 + i * 17) % 101) / 7 for i in range(8)],
                paths=[f"{(step * 8 + i) % 40}.png" for i in range(8)],
                datasets=[f"d{i % 3}" for i in range(8)],
                captions=["a caption of four words"] * 8,
            )
        path = losses.save_step(30).result()
    assert path is not None
    return figures(path)


def figures(path: str | Path) -> dict[str, Any]:
    report = json.loads(Path(path).read_text("utf-8"))
    assert report["warnings"] == []
    return {key: report[key] for key in ("global", "datasets", "flagged", "worst")}


@pytest.mark.parametrize(
    ("mode", "world"),
    [
        pytest.param("shared", 2, marks=pytest.mark.long),  # what the two others have, together
        ("apart", 2),
        pytest.param("environment", 2, marks=pytest.mark.long),  # the test of a resumed run has it, too
        pytest.param("shared", 4, marks=pytest.mark.long),
        pytest.param("apart", 4, marks=pytest.mark.long),
    ],
)
def test_report_is_that_of_one_process(
    mode: str, world: int, tmp_path: Path, alone: dict[str, Any], unused_port: int
) -> None:
    """Shared folder, folders apart, or RANK and WORLD_SIZE alone: the figures are those of one process."""
    path = finish(start(mode, world, tmp_path, unused_port))[-1]
    assert_same_figures(figures(path), alone)


def test_resume_is_exact_on_all_ranks(tmp_path: Path, alone: dict[str, Any], unused_port: int) -> None:
    """A run of two ranks that goes on from step 10 reports what a run in one go does."""
    finish(start("environment", 2, tmp_path, unused_port))
    path = finish(start("environment", 2, tmp_path, unused_port, 10))[-1]
    together = figures(path)
    assert together["global"]["count"] == alone["global"]["count"]
    assert together["global"]["mean"] == pytest.approx(alone["global"]["mean"], rel=1e-12)


def test_rank_that_died_is_named(tmp_path: Path, unused_port: int) -> None:
    """A rank that is killed is named in the report, after a time limit, and holds up nobody."""
    processes = start("environment", 2, tmp_path, unused_port, -1, "--die")
    out, err = processes[0].communicate(timeout=120)
    processes[1].communicate()
    assert processes[0].returncode == 0, err
    report = json.loads(Path(out.split()[-1]).read_text("utf-8"))
    (sentence,) = report["warnings"]
    assert sentence.startswith("rank 1 did not arrive: its records after step")
