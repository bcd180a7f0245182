"""Evaluation on a Ray cluster: Ray Data reads and computes, this process alone writes."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import ray
import ray.data
from ray.exceptions import RayError

from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.computation import Computation
from loss_logging.evaluation.image_batches import ImageRow, about_unopened
from loss_logging.evaluation.journal import Journal
from loss_logging.evaluation.local_engine import evaluation_bar
from loss_logging.evaluation.ray_config import RayConfig
from loss_logging.evaluation.selection import Item, Selection
from loss_logging.integrations.engines.ray_images import image_rows, shard_rows
from loss_logging.integrations.engines.ray_worker import Attempts, Reply, Worker, chosen
from loss_logging.support.chance import hash_of
from loss_logging.support.checked_config import check_section
from loss_logging.support.extras import require
from loss_logging.support.warn import LOGGER

__all__ = ["RayEngine", "connected", "lacking"]

Keys: TypeAlias = npt.NDArray[np.uint64]

_BATCHES = 4  # of a block, which is what is computed again when an actor is lost
_PATIENCE_SECONDS = 10
_KEPT = "What was computed until then is kept where save_root was given: the next call goes on from it."


class RayEngine:
    """Evaluates a Ray dataset with a pool of actors.

    Blocks of rows stream through the actors and come back as records; an actor that dies is started again, and its
    blocks, whose records have not come back, are computed again. Only this process writes, each block's records once:
    so the log and its lock are those of the local engine, and what is computed is in the journal when this process is
    killed. Rows that the journal has are left out by the actors. What is random depends on item and draw alone.

    Args:
        config: actors, their resources, and the cluster.
    """

    def __init__(self, config: RayConfig) -> None:
        self._config = config
        self._batch_size = config.batch_size or 16

    @classmethod
    def from_options(cls, options: Mapping[str, Any], where: str) -> RayEngine:
        """Of the keys of a RayConfig; see `loss_logging.evaluation.engines.Engine`."""
        config = check_section(options, RayConfig, where)
        assert isinstance(config, RayConfig)
        return cls(config)

    @contextmanager
    def images(
        self, rows: Iterable[ImageRow], shards: Sequence[Path], root: Path, warnings: list[str]
    ) -> Iterator[ray.data.Dataset]:
        """The images as rows; the connection to the cluster is kept until the context ends."""
        with connected(self._config):
            if not shards:
                yield image_rows(rows, warnings)
                return
            require("webdataset", "webdataset")
            # Absolute: an actor's working folder is another one.
            yield shard_rows([shard.absolute() for shard in shards], root.absolute(), rows, warnings)

    def __call__(
        self,
        computation: Computation,
        dataset: ray.data.Dataset,
        selection: Selection,
        journal: Journal,
        progress: bool,
    ) -> list[str]:
        """Compute what the journal has not, and add it; returns sentences about images that do not open.

        Raises:
            ConfigError: ``dataset`` is no Ray dataset, or the cluster that is started here has too few CPUs or GPUs.
            LossLoggingError: there is no cluster, a block ends every actor that computes it, or Ray gave up.
        """
        if not isinstance(dataset, ray.data.Dataset):
            raise ConfigError(
                f"dataloader is a {type(dataset).__name__}; engine='ray' takes a ray.data.Dataset with a column 'path' "
                "as ray.data.read_parquet(...) gives"
            )
        pass_ = _Pass(journal)
        with (
            connected(self._config),
            evaluation_bar(journal.finished_items(computation.draws), progress) as bar,
            journal,
        ):
            rows = self._rows(dataset, selection)
            skip, only = _sorted(_finished_keys(journal)), None
            while True:
                with closing(self._replies(computation, rows, skip, only)) as replies:
                    for reply in replies:
                        bar.update(pass_.take(reply, computation.draws - 1))
                if not pass_.ambiguous:
                    break
                # An item that comes several times was there in part, and nothing says which of them: all of it again.
                again, pass_.ambiguous = pass_.ambiguous, set()
                journal.forget(again)
                skip, only = _sorted(()), _sorted(hash_of(*item) for item in again)
            bar.total = bar.n
        return [*getattr(dataset, "warnings", ()), *pass_.warnings()]

    def _rows(self, dataset: ray.data.Dataset, selection: Selection) -> ray.data.Dataset:
        """The rows that are wanted, in blocks of a few batches."""
        if selection.fraction < 1:
            dataset = dataset.map_batches(
                partial(chosen, selection.fraction, selection.seed), batch_format="pyarrow", zero_copy_batch=True
            )
        if selection.most is not None:
            dataset.context.execution_options.preserve_order = True  # the first ones are always the same
            dataset = dataset.limit(selection.most)
        return dataset.repartition(target_num_rows_per_block=_BATCHES * self._batch_size)

    def _replies(
        self, computation: Computation, rows: ray.data.Dataset, skip: Keys, only: Keys | None
    ) -> Generator[Reply, None, None]:
        """What the actors say of each batch, once; the first error of one is raised."""
        config = self._config
        attempts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Attempts).remote()
        keys = [ray.put(skip), ray.put(only)]  # held here: an actor that starts again asks for them
        try:
            replies = rows.map_batches(
                Worker,
                fn_constructor_args=(computation, *keys, attempts),
                compute=ray.data.ActorPoolStrategy(size=config.actors),
                batch_size=self._batch_size,
                batch_format="numpy",
                num_cpus=config.num_cpus,
                num_gpus=config.num_gpus,
            )
            replies.context.enable_progress_bars = False
            for table in replies.iter_batches(batch_size=None, batch_format="pyarrow"):
                yield from map(Reply.decode, table["reply"].to_pylist())
        except RayError as error:
            raise LossLoggingError(f"Ray could not finish the evaluation: {_reason(error)} {_KEPT}") from error
        finally:
            ray.kill(attempts)  # the dataset holds a handle of it


class _Pass:
    """What came back from the actors."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._failed: list[str] = []
        self._opened = 0
        self.ambiguous: set[Item] = set()

    def take(self, reply: Reply, last_draw: int) -> int:
        """Keep the records; returns for how many items the last draw is among them.

        Raises:
            Exception: the one that the compute function, or loading the model, has raised.
        """
        reply.raise_error()
        self._failed += reply.failed
        self._opened += reply.items
        for dataset, path, draw in reply.skipped:
            item = Item(dataset, path)
            if not self._journal.take(item, draw):
                self.ambiguous.add(item)
        records = reply.table()
        self._journal.add_table(records)
        return int(np.count_nonzero(records["step"].to_numpy() == last_draw))

    def warnings(self) -> list[str]:
        """About images that do not open.

        Raises:
            LossLoggingError: none does.
        """
        found = about_unopened(self._failed, self._opened)
        if found and not self._opened:
            raise LossLoggingError(found[0])
        return found


@contextmanager
def connected(config: RayConfig) -> Iterator[None]:
    """Connected to the cluster; the connection that this process has, if it has one, is used and stays.

    Raises:
        ConfigError: Ray is started here, and there are not enough CPUs or GPUs for the actors.
        LossLoggingError: no cluster answers.
    """
    if ray.is_initialized():
        _warn_of_waiting(config)
        yield
        return
    address = config.address or os.environ.get("RAY_ADDRESS") or "local"
    local = {"include_dashboard": False} if address == "local" else {}
    try:
        _check_answers(address)
        ray.init(address=address, logging_level=logging.WARNING, **local)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise LossLoggingError(
            f"no Ray cluster answers at {address!r} ({_reason(error)}); see that it runs (ray status) and that this "
            "machine reaches it, or leave $.address out to start one here"
        ) from error
    ray_data = logging.getLogger("ray.data")
    level = ray_data.level
    try:
        ray_data.setLevel(logging.ERROR)  # plans and hints, in the middle of the progress bar
        if address != "local":
            _warn_of_waiting(config)
        elif (sentence := lacking(config)) is not None:
            raise ConfigError(sentence)
        yield
    finally:
        ray_data.setLevel(level)
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise an OSError where nobody listens: Ray itself tries for a quarter of an hour."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_SECONDS).close()


def _warn_of_waiting(config: RayConfig) -> None:
    """A cluster of somebody else's may still grow."""
    if (sentence := lacking(config)) is not None:
        LOGGER.warning("%s; or see that the cluster grows: until then Ray waits", sentence)


def lacking(config: RayConfig) -> str | None:
    """What the cluster has too little of for the actors, and for a CPU to read with: Ray waits without a word."""
    there = ray.cluster_resources()
    gpus, cpus = there.get("GPU", 0), there.get("CPU", 0)
    if config.actors * config.num_gpus > gpus:
        return (
            f"$.actors: {config.actors} of {config.num_gpus:g} GPUs each; there are {gpus:g}: use fewer actors, or a "
            "smaller num_gpus"
        )
    if config.actors * config.num_cpus > cpus - 1:
        return (
            f"$.actors: {config.actors} of {config.num_cpus:g} CPUs each; there are {cpus:g}, of which reading takes "
            "one: use fewer actors, or a smaller num_cpus"
        )
    return None


def _finished_keys(journal: Journal) -> Iterator[int]:
    """Keys of what is computed, for batches that say what dataset an item is of and for those that do not."""
    for dataset, path, draw in journal.finished():
        yield hash_of(dataset, path, draw)
        yield hash_of(None, path, draw)


def _sorted(keys: Iterable[int]) -> Keys:
    return np.sort(np.fromiter(keys, np.uint64))


def _reason(error: Exception) -> str:
    """The last line of what Ray says, which is about the cause; the rest is a traceback, and in the exception."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
