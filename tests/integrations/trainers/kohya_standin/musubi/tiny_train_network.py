"""Stand-in for one of musubi-tuner's scripts, which are subclasses with a main()."""

from __future__ import annotations

import argparse
import multiprocessing
from typing import Any

import torch
from musubi_tuner.training.trainer_base import DiTOutput, NetworkTrainer


class TinyNetworkTrainer(NetworkTrainer):
    """Calls its model."""

    def call_dit(self, *args: Any, **kwargs: Any) -> DiTOutput:
        """The network alone."""
        network, noisy, target = args
        return DiTOutput(network(noisy), target)


def main() -> None:
    """As the scripts do."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("train_data_dir", "output_dir", "output_name", "start_method"):
        parser.add_argument(f"--{name}")
    for name, default in (("max_train_steps", 12), ("save_every_n_steps", 5), ("max_data_loader_n_workers", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.start_method:
        multiprocessing.set_start_method(args.start_method, force=True)
    trainer = TinyNetworkTrainer()
    trainer.train(args)


if __name__ == "__main__":
    main()
