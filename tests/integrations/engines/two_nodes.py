"""An evaluation on a cluster of two nodes, of which one is killed in the middle: ``two_nodes.py FOLDER``."""

from __future__ import annotations

import sys
import threading
import time
from functools import partial
from pathlib import Path

import pyarrow as pa
import ray
import ray.data
from ray.cluster_utils import Cluster
from ray_model import Watched, rows

from loss_logging import evaluate_dataset
from loss_logging.evaluation.ray_config import RayConfig


def main(folder: Path) -> None:
    memory = 80 * 2**20
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": memory})
    node = cluster.add_node(num_cpus=2, object_store_memory=memory)
    ray.init(address=cluster.address, log_to_driver=False)

    def kill() -> None:
        while not (folder / "asked").exists() or len((folder / "asked").read_text().splitlines()) < 100:
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)

    threading.Thread(target=kill, daemon=True).start()
    compute, dataset = partial(Watched, folder, pause=0.2), ray.data.from_arrow(pa.Table.from_pylist(rows(200)))
    engine = RayConfig(actors=2, batch_size=5)
    evaluate_dataset(compute, dataset, save_root=folder / "ray", draws=2, progress=False, engine=engine)
    print("nodes:", sum(node["Alive"] for node in ray.nodes()))
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
