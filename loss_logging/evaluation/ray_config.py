"""RayConfig: how an evaluation is spread over the machines of a Ray cluster."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from loss_logging.support.checked_config import CheckedConfig, Count

__all__ = ["RayConfig"]

Units: TypeAlias = Annotated[float, Meta(ge=0, le=2**16, description="a number, 0 or more")]
Address: TypeAlias = Annotated[
    str, Meta(min_length=1, description='"host:port" of a cluster, "auto" for one on this machine, or "local"')
]


class RayConfig(CheckedConfig, frozen=True, kw_only=True):
    """How an evaluation is spread over a Ray cluster. Built as a TrainConfig is.

    Args:
        actors: processes that compute, each with a model of its own: as many as there are GPUs, say.
        num_gpus: GPUs of each actor; a half lets two of them share one.
        num_cpus: CPUs of each actor. The cluster needs one more than all of them together, to read the data.
        batch_size: rows that the compute function gets at a time; 16 if None. Four times as many are what a lost actor
            has to compute again.
        address: the cluster, where this process is not connected to one: ``"host:port"``, ``"auto"`` for one that runs
            on this machine, or ``"local"`` to start one here. None takes the environment's RAY_ADDRESS, else "local".

    Raises:
        ConfigError: a key is unknown, or its value has the wrong type or is impossible; says what is allowed.

    Example:
        >>> RayConfig(actors=8, num_gpus=1).num_cpus
        1.0
    """

    actors: Count = 1
    num_gpus: Units = 0.0
    num_cpus: Units = 1.0
    batch_size: Count | None = None
    address: Address | None = None
