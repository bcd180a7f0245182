"""evaluate_dataset: the per-sample losses of a dataset without training on it.

It drives the same log, statistics and report as training, so its figures mean the same.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from operator import index
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from loss_logging.errors import ConfigError
from loss_logging.evaluation.again import Again, Only, check_only
from loss_logging.evaluation.computation import Computation
from loss_logging.evaluation.draw import Draw
from loss_logging.evaluation.earlier import Earlier, note_finished
from loss_logging.evaluation.engines import LOCAL, Engine, check_engine_name, make_engine
from loss_logging.evaluation.journal import Journal
from loss_logging.evaluation.local_engine import evaluate_locally
from loss_logging.evaluation.ray_config import RayConfig
from loss_logging.evaluation.selection import Selection
from loss_logging.evidence.rivals import Rivals
from loss_logging.records.columns import whole_step
from loss_logging.reports.artifact import read_report, write_csv
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.store.upload import uploading
from loss_logging.support.files import whole_file
from loss_logging.training.logger import LossLogger

__all__ = ["Draw", "evaluate_dataset"]


def evaluate_dataset(
    compute_fn: Callable[..., Any],
    dataloader: Iterable[Any],
    *,
    sample_fraction: float = 1.0,
    max_samples: int | None = None,
    seed: int = 0,
    draws: int = 1,
    paired: bool = False,
    rivals: int | Rivals = 0,
    out_csv: str | Path | None = None,
    out_json: str | Path | None = None,
    job_name: str | None = None,
    step: int | None = None,
    save_root: str | Path | None = None,
    config: TrainConfig | None = None,
    progress: bool = True,
    resume: bool = True,
    only: Only | None = None,
    model_id: str | None = None,
    engine: str | RayConfig | Engine = "local",
) -> LossReport:
    """Compute the loss of every item of a dataset and report on it.

    An evaluation that was interrupted, by a kill even, is continued when it is asked for again with the same arguments
    and a ``save_root``: what was computed until a few seconds before is kept. Figures do not depend on the order of the
    items, nor on how often they were interrupted, to the last digit.

    Args:
        compute_fn: ``compute_fn(batch) -> records`` or ``compute_fn(batch, draw) -> records``: a record for each
            example, from a model in evaluation mode and without gradients. ``docs/compute_function.md`` has the
            contract and a complete example. Or a class of such functions, perhaps in a `functools.partial` with its
            arguments: it is made once in each process that computes, which is how a model gets to other machines.
        dataloader: yields batches. Where a batch is a mapping with ``paths`` (or ``path``), the items that are not
            wanted, or done already, are taken out of it before the model sees them, and it is checked that there is a
            record for each item; elsewhere records that are not wanted are left out, and nothing is continued. Where
            several datasets have items of one path, ``datasets`` (or ``dataset``) tells them apart. Sentences in its
            attribute ``warnings``, where it has one, go into the report: about images that do not open, say.
        sample_fraction: share of the items to evaluate, in (0, 1]; which ones depends on their path and ``seed`` alone.
        max_samples: evaluate at most so many items, the first ones that come.
        seed: decides which items are taken, and what `Draw` draws.
        draws: how many timesteps to evaluate each item at.
        paired: require ``loss_empty`` in every record, for caption_mismatch; it takes 4 draws or more to decide.
        rivals: with ``paired``, compare each caption with those of so many rivals too: the other captions that its
            picture fits best. Then the dataloader is read once before, for captions and pictures (``pixel_values``, or
            image files at the paths), and batches have ``rivals``, lists of captions. Or `Rivals` that were found.
        out_csv: write one row per item there.
        out_json: write the JSON report there.
        job_name: names the report; by default that of ``config`` with "-evaluation", or "evaluation".
        step: the training step that the model is from; 0 by default.
        save_root: where to keep the JSON and the log, as in training; nowhere by default. Under a URL an interrupted
            evaluation can be continued on another machine.
        config: a TrainConfig to take the rest from, the loggers too; its sampling is for training and not used.
        progress: show a progress bar on standard error: items, and an estimate of the time left.
        resume: False begins anew where an interrupted evaluation could be continued, after the model has changed.
        only: compute a part of the items, and keep the figures that the last evaluation of ``job_name`` has of the
            others: ``"changed"``, those that are new or whose caption is another one than in that report;
            ``"excluded"``, those that a decision excludes; or a collection of paths, as the report has them. Noise and
            timesteps are those of the whole evaluation, and so are the figures. The report's ``warnings`` say how many
            were computed again, and of when the others are.
        model_id: names the model and what else the losses depend on; an interrupted evaluation of another one is not
            continued, nor are its figures kept with ``only``.
        engine: "local" evaluates in this process; "ray", or a `RayConfig` with its options, on a Ray cluster, where the
            dataloader is a ``ray.data.Dataset`` with a column ``path`` and batches are mappings of its columns:
            docs/evaluate.md. The records are the same, and one engine goes on where the other was interrupted.

    Returns:
        The LossReport, with the figures of every item in ``datasets[name].item_stats``.

    Raises:
        ConfigError: an argument is impossible; or ``only`` is given, and the last evaluation had another ``model_id``,
            ``seed``, ``draws`` or ``paired``, or nothing says what a batch holds.
        LossLoggingError: ``save_root`` holds a training run named ``job_name``; Ray could not finish; or with ``only``
            there is no finished evaluation, or none of the paths in the dataset.
        MissingExtraError: ``engine`` is Ray's, which is not installed.
        ValueError: a record lacks a key, or ``loss_empty`` with ``paired``, or ``loss_rival`` with ``rivals``; or a
            call's records are not about the items of its batch, or not those of the other draws.

    Example:
        >>> batches = [{"paths": ["1.png", "2.png"]}, {"paths": ["3.png"]}]
        >>> def compute(batch):
        ...     return [{"path": p, "dataset": "d", "caption": "a number", "loss": int(p[0])} for p in batch["paths"]]
        >>> evaluate_dataset(compute, batches, progress=False).datasets["d"].item_stats["3.png"].average_loss
        3.0
    """
    computation = Computation(compute_fn, seed, draws, paired)
    step = index(step or 0)
    _check_arguments(computation, sample_fraction, max_samples, step)
    evaluate = _engine(engine)
    only = None if only is None else _check_part(only, evaluate, save_root, config)
    if rivals:
        computation = computation._replace(rivals=_rivals(rivals, dataloader, paired, evaluate, progress))
    fixed = {"sample_fraction": sample_fraction, "max_samples": max_samples, "seed": seed, "draws": draws}
    with ExitStack() as stack:
        if save_root is None and config is None:
            save_root = stack.enter_context(tempfile.TemporaryDirectory(prefix="loss_logging-"))
        config = _run_config(config, job_name, save_root)
        if computation.rivals is not None:  # those, and not what the configuration has for training
            config = msgspec.structs.replace(config, rivals="auto")
        if not config.enabled:
            raise ConfigError("config: log_per_example and log_per_dataset are both false; there is nothing to report")
        losses = stack.enter_context(LossLogger.for_evaluation(config))
        arguments = fixed | {
            "rivals": None if computation.rivals is None else computation.rivals.digest,
            "paired": paired,
            "step": step,
            "model_id": model_id,
        }
        again = None if only is None else stack.enter_context(_again(only, config, arguments))
        journal = Journal(
            config.paths.evaluation,
            arguments | ({} if again is None else again.arguments),
            resume=resume,
            flush_seconds=config.timeouts.flush,
            memory_limit=config.memory_limit,
        )
        selection = Selection(sample_fraction, max_samples, seed, again)
        with uploading(losses.config):
            warnings = evaluate(computation, dataloader, selection, journal, progress)
        warnings = [*(again.sentences() if again is not None else ()), *warnings]
        for columns in journal.ordered(again.records() if again is not None else ()):
            losses.log_records(step, pa.Table.from_batches([columns]))
        if computation.rivals is not None and not len(computation.rivals):
            warnings = [*warnings, f"captions are compared with no rivals: {computation.rivals.reason}"]
        for sentence in warnings:
            losses.add_warning(sentence)
        if computation.rivals is not None:
            computation.rivals.save(config.paths.rivals)
        path = losses.save_step(step).result()
        assert path is not None
        report = read_report(path)
        if out_csv is not None:
            write_csv(out_csv, report.datasets)
        if out_json is not None:
            with path.open("rb") as written, whole_file(Path(out_json)) as file:
                shutil.copyfileobj(written, file)
            report = msgspec.structs.replace(report, json_path=str(out_json))
        note_finished(config.paths, arguments)
        journal.remove()
    return report


# Sampling and dropping are for training, and the order in which threads add up decides the last digits.
_OURS: dict[str, Any] = {
    "reporter": "inline",
    "sample_fraction": 1.0,
    "max_records_per_step": None,
    "threads": 1,
}


def _run_config(config: TrainConfig | None, job_name: str | None, save_root: str | Path | None) -> TrainConfig:
    given = {"job_name": job_name, "save_root": save_root}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if config is not None:
        changes = {"job_name": f"{config.job_name}-evaluation"} | changes  # the training run's own files stay
        items = {"parquet": "both", "auto": "json"}.get(config.items, config.items)  # the caller gets them
        return msgspec.structs.replace(config, **changes, **_OURS, items=items)
    return TrainConfig(**{"job_name": "evaluation", "loggers": [], "items": "json"} | _OURS | changes)


def _engine(engine: str | RayConfig | Engine) -> Callable[..., list[str]]:
    """What computes: called with computation, dataloader, selection, journal and progress."""
    if isinstance(engine, RayConfig):
        return make_engine(
            "ray", {key: value for key, value in msgspec.structs.asdict(engine).items() if value is not None}
        )
    if callable(engine) and not isinstance(engine, type):
        return engine
    name = check_engine_name(engine, str, "engine")
    return evaluate_locally if name == LOCAL else make_engine(name, {})


def _check_part(only: Only, evaluate: object, save_root: object, config: TrainConfig | None) -> Only:
    if evaluate is not evaluate_locally:
        raise ConfigError('only: just engine="local" computes a part; leave engine out, or evaluate everything')
    if save_root is None and config is None:
        raise ConfigError("only: without a save_root no figures of before are kept; give that of the last evaluation")
    if config is not None and not config.log_per_example:
        raise ConfigError("only: log_per_example is false, so that figures of items are not kept; evaluate everything")
    return check_only(only)


@contextmanager
def _again(only: Only, config: TrainConfig, arguments: Mapping[str, Any]) -> Iterator[Again]:
    with closing(Earlier(config.paths, arguments, config.memory_limit)) as earlier:
        yield Again(only, earlier, config.decisions)


def _rivals(
    rivals: int | Rivals, dataloader: Iterable[Any], paired: bool, evaluate: Callable[..., Any], progress: bool
) -> Rivals:
    if not paired:
        raise ConfigError("rivals is given and paired is False; allowed: with paired=True, which a verdict takes")
    if isinstance(rivals, Rivals):
        return rivals
    if rivals < 0:
        raise ConfigError(f"rivals is {rivals!r}; allowed: 0 and more, or a Rivals")
    if evaluate is not evaluate_locally:
        raise ConfigError(
            f"rivals is {rivals!r} and engine another than 'local'; allowed: there, what find_rivals() found"
        )
    from loss_logging.evaluation.rivals import rivals_of_batches  # the extra evidence

    return rivals_of_batches(dataloader, rivals, progress=progress)


def _check_arguments(computation: Computation, fraction: float, most: int | None, step: int) -> None:
    draws = computation.draws
    if not 0 < fraction <= 1:
        raise ConfigError(f"sample_fraction is {fraction!r}; allowed: above 0 and up to 1")
    if most is not None and most < 1:
        raise ConfigError(f"max_samples is {most!r}; allowed: None, or 1 and more")
    if draws < 1:
        raise ConfigError(f"draws is {draws!r}; allowed: 1 and more")
    if draws > 1 and not computation.takes_draw:
        raise ConfigError(f"draws is {draws} but compute_fn has no parameter 'draw', so that all draws would be equal")
    whole_step(step)
