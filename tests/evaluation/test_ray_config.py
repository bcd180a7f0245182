from __future__ import annotations

import pytest

from loss_logging.errors import ConfigError
from loss_logging.evaluation.ray_config import RayConfig


@pytest.mark.parametrize(
    ("key", "value"), [("actors", 0), ("num_gpus", -1), ("num_cpus", "two"), ("batch_size", 0.5), ("address", "")]
)
def test_impossible_values_are_named(key: str, value: object) -> None:
    """With the key, the value and what is allowed."""
    with pytest.raises(ConfigError, match=rf"\$\.{key}: got .*; allowed: "):
        RayConfig.from_dict({key: value})


def test_parts_of_a_gpu_are_whole_numbers_of_none() -> None:
    """Two actors may share one; numbers that are whole are taken as well."""
    assert RayConfig(num_gpus=0.5).num_gpus == 0.5
    assert RayConfig.from_dict({"num_gpus": 1, "num_cpus": 0}) == RayConfig(num_gpus=1.0, num_cpus=0.0)
