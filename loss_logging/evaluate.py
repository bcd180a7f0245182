"""evaluate_dataset: the per-sample losses of a dataset without training on it.

It drives the same log, statistics and report as training, so its figures mean the same.
"""

from __future__ import annotations

import hashlib
import inspect
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from loss_logging.artifacts import read_report, write_csv
from loss_logging.config import TrainConfig
from loss_logging.errors import ConfigError
from loss_logging.files import whole_file
from loss_logging.logger import LossLogger
from loss_logging.records import RecordLike, SampleRecord, as_records
from loss_logging.report import LossReport

if TYPE_CHECKING:
    import torch

__all__ = ["Draw", "evaluate_dataset"]

_IDENTITIES = ("paths", "path")


class Draw:
    """One draw of a timestep and noise for every item, the same for each caption, batching, order, worker and engine.

    A compute function that has a ``draw`` parameter is called once for each.

    Args:
        seed: another seed draws other numbers.
        index: which draw this is, from 0.
        count: how many there are.

    Example:
        >>> draw = Draw(seed=0, index=1, count=4)
        >>> draw.timesteps(["a.png", "b.png"]).tolist() == draw.timesteps(["b.png", "a.png"]).tolist()[::-1]
        True
        >>> 0.25 <= float(draw.timesteps(["a.png"])[0]) < 0.5
        True
    """

    def __init__(self, seed: int, index: int, count: int) -> None:
        self.seed = seed
        self.index = index
        self.count = count

    def timesteps(self, paths: Sequence[str]) -> torch.Tensor:
        """One timestep per item, (B,) float32 in [0, 1): draw i of n lies in [i/n, (i+1)/n)."""
        import torch

        inside = [_uniform("timestep", self.seed, self.index, path) for path in paths]
        stratified = torch.tensor([(self.index + u) / self.count for u in inside], dtype=torch.float32)
        return stratified.clamp_(max=float(np.nextafter(np.float32(1), np.float32(0))))

    def noise(self, shape: Sequence[int], paths: Sequence[str]) -> torch.Tensor:
        """Standard normal noise, (B, *shape) float32 on the CPU."""
        import torch

        generator = torch.Generator()
        noise = torch.empty(len(paths), *shape)
        for row, path in zip(noise, paths, strict=True):
            row.normal_(generator=generator.manual_seed(_hash("noise", self.seed, self.index, path) >> 1))
        return noise


def evaluate_dataset(
    compute_fn: Callable[..., Iterable[RecordLike]],
    dataloader: Iterable[Any],
    *,
    sample_fraction: float = 1.0,
    max_samples: int | None = None,
    seed: int = 0,
    draws: int = 1,
    paired: bool = False,
    out_csv: str | Path | None = None,
    out_json: str | Path | None = None,
    job_name: str | None = None,
    step: int | None = None,
    save_root: str | Path | None = None,
    config: TrainConfig | None = None,
    progress: bool = True,
    engine: Literal["local"] = "local",
) -> LossReport:
    """Compute the loss of every item of a dataset and report on it.

    Args:
        compute_fn: ``compute_fn(batch) -> records`` or ``compute_fn(batch, draw) -> records``: a record for each
            example, from a model in evaluation mode and without gradients.
        dataloader: yields batches. Where a batch is a mapping with ``paths`` (or ``path``), the items that are not
            wanted are taken out of it before the model sees them; elsewhere their records are left out.
        sample_fraction: share of the items to evaluate, in (0, 1]; which ones depends on their path and ``seed`` alone.
        max_samples: evaluate at most so many items, the first ones that come.
        seed: decides which items are taken, and what `Draw` draws.
        draws: how many timesteps to evaluate each item at.
        paired: require ``loss_empty`` in every record, for caption_mismatch.
        out_csv: write one row per item there.
        out_json: write the JSON report there.
        job_name: names the report; by default that of ``config`` with "-evaluation", or "evaluation".
        step: the training step that the model is from; 0 by default.
        save_root: where to keep the JSON and the log, as in training; nowhere by default.
        config: a TrainConfig to take the rest from, the loggers too; its sampling is for training and not used.
        progress: show a progress bar on standard error.
        engine: "local" evaluates in this process.

    Returns:
        The LossReport, with the figures of every item in ``datasets[name].item_stats``.

    Raises:
        ConfigError: an argument is impossible.
        LossLoggingError: ``save_root`` holds a training run named ``job_name``.
        ValueError: a record lacks a key, or ``loss_empty`` with ``paired``, or is not about an item of its batch.

    Example:
        >>> batches = [{"paths": ["1.png", "2.png"]}, {"paths": ["3.png"]}]
        >>> def compute(batch):
        ...     return [{"path": p, "dataset": "d", "caption": "a number", "loss": int(p[0])} for p in batch["paths"]]
        >>> evaluate_dataset(compute, batches, progress=False).datasets["d"].item_stats["3.png"].average_loss
        3.0
    """
    takes_draw = "draw" in inspect.signature(compute_fn).parameters
    _check_arguments(sample_fraction, max_samples, draws, takes_draw, engine)
    with ExitStack() as stack:
        if save_root is None and config is None:
            save_root = stack.enter_context(tempfile.TemporaryDirectory(prefix="loss_logging-"))
        config = _run_config(config, job_name, save_root)
        if not config.enabled:
            raise ConfigError("config: log_per_example and log_per_dataset are both false; there is nothing to report")
        losses = stack.enter_context(LossLogger.for_evaluation(config))
        items = _Items(sample_fraction, max_samples, seed)
        for batch in _progress(items.take_from(dataloader), dataloader, progress):
            for index in range(draws):
                arguments = (batch, Draw(seed, index, draws)) if takes_draw else (batch,)
                records = items.keep(batch, as_records(compute_fn(*arguments)))
                if paired:
                    _check_paired(records)
                losses.log_records(step or 0, records)
        path = losses.save_step(step or 0).result()
        assert path is not None
        report = read_report(path)
        if out_csv is not None:
            write_csv(out_csv, report.datasets)
        if out_json is not None:
            with path.open("rb") as written, whole_file(Path(out_json)) as file:
                shutil.copyfileobj(written, file)
            report = msgspec.structs.replace(report, json_path=str(out_json))
    return report


class _Items:
    """Decides item by item what is evaluated."""

    def __init__(self, fraction: float, most: int | None, seed: int) -> None:
        self._fraction = fraction
        self._most = most
        self._seed = seed
        self._taken: set[str] = set()

    def take_from(self, dataloader: Iterable[Any]) -> Iterator[Any]:
        """The batches, without the examples that are not wanted, until there are enough."""
        for batch in dataloader:
            if self._most is not None and len(self._taken) >= self._most:
                return
            paths = _identities(batch)
            if paths is None:
                yield batch
                continue
            wanted = [i for i, path in enumerate(paths) if self._wants(path)]
            if len(wanted) == len(paths):
                yield batch
            elif wanted:
                yield {key: _take(value, wanted, len(paths)) for key, value in batch.items()}

    def keep(self, batch: Any, records: list[SampleRecord]) -> list[SampleRecord]:
        """The records that are wanted; those of a batch with known items must be about just these."""
        paths = _identities(batch)
        if paths is None:
            return [record for record in records if self._wants(str(record.path))]
        given, expected = Counter(str(record.path) for record in records), Counter(paths)
        if given != expected:
            missing, extra = list((expected - given).elements()), list((given - expected).elements())
            raise ValueError(
                f"compute_fn returned {len(records)} records for a batch of {len(paths)} items; expected one for each. "
                f"Missing: {missing[:5]}; not in the batch: {extra[:5]}"
            )
        return records

    def _wants(self, path: str) -> bool:
        if path in self._taken:
            return True
        full = self._most is not None and len(self._taken) >= self._most
        if full or (self._fraction < 1 and _uniform("sample", self._seed, path) >= self._fraction):
            return False
        self._taken.add(path)
        return True


def _identities(batch: Any) -> list[str] | None:
    if isinstance(batch, Mapping):
        for key in _IDENTITIES:
            if key in batch and not isinstance(batch[key], str):
                return [str(path) for path in batch[key]]
    return None


def _take(value: Any, places: list[int], size: int) -> Any:
    """The given places of a per-example value; anything else belongs to the whole batch and stays."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return value[places] if len(shape) and shape[0] == size else value
    if isinstance(value, (list, tuple)) and len(value) == size:
        return [value[place] for place in places]
    return value


def _run_config(config: TrainConfig | None, job_name: str | None, save_root: str | Path | None) -> TrainConfig:
    given = {"job_name": job_name, "save_root": save_root}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if config is not None:
        changes = {"job_name": f"{config.job_name}-evaluation"} | changes  # the training run's own files stay
        items = "both" if config.items == "parquet" else config.items
        return msgspec.structs.replace(config, **changes, reporter="inline", sample_fraction=1.0, items=items)
    return TrainConfig(**{"job_name": "evaluation", "loggers": [], "reporter": "inline"} | changes)


def _progress(batches: Iterator[Any], dataloader: Iterable[Any], shown: bool) -> Iterator[Any]:
    from tqdm import tqdm

    total = len(dataloader) if isinstance(dataloader, Sized) else None
    yield from tqdm(batches, "evaluating", total, unit="batch", disable=not shown, file=sys.stderr)


def _check_arguments(fraction: float, most: int | None, draws: int, takes_draw: bool, engine: str) -> None:
    if not 0 < fraction <= 1:
        raise ConfigError(f"sample_fraction is {fraction!r}; allowed: above 0 and up to 1")
    if most is not None and most < 1:
        raise ConfigError(f"max_samples is {most!r}; allowed: None, or 1 and more")
    if draws < 1:
        raise ConfigError(f"draws is {draws!r}; allowed: 1 and more")
    if draws > 1 and not takes_draw:
        raise ConfigError(f"draws is {draws} but compute_fn has no parameter 'draw', so that all draws would be equal")
    if engine != "local":
        raise ConfigError(f"engine is {engine!r}; allowed: 'local'")


def _check_paired(records: list[SampleRecord]) -> None:
    for record in records:
        if record.loss_empty is None:
            raise ValueError(f"paired=True, but the record of {record.path!r} has no loss_empty")


def _hash(*parts: object) -> int:
    text = repr(parts).encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def _uniform(*parts: object) -> float:
    return (_hash(*parts) >> 11) * 2.0**-53
