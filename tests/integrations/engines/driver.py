"""The evaluation whose driver the tests kill, with a Ray of its own: ``driver.py FOLDER``."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pyarrow as pa
import ray
import ray.data
from ray_model import Watched, rows

from loss_logging import TrainConfig, evaluate_dataset
from loss_logging.evaluation.ray_config import RayConfig

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False)
    config = TrainConfig(job_name="job", save_root=folder / "ray", loggers=[], timeouts={"flush": 0.01})
    evaluate_dataset(
        partial(Watched, folder, pause=0.1), ray.data.from_arrow(pa.Table.from_pylist(rows(200))), config=config,
        job_name="evaluation", draws=2, progress=False, engine=RayConfig(batch_size=5),
    )  # fmt: skip
