from __future__ import annotations

from typing import Any

from loss_logging import TrainConfig


def build(**changes: Any) -> TrainConfig:
    return TrainConfig(**{"job_name": "job", "save_root": "runs", **changes})
