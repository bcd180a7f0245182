"""``loss-logging evaluate CONFIG``: captioned images and a model in, a report out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeAlias

import msgspec
from msgspec import Meta

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.problems import PROBLEMS, FolderProblems, ProblemKind, there_is
from loss_logging.captions.folder.read import read_captioned_folder
from loss_logging.captions.folder.trainer_settings import trainer_settings
from loss_logging.captions.folder.webdataset import ArchivedImage, find_shards, read_shard
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.again import Only
from loss_logging.evaluation.draw import Draw
from loss_logging.evaluation.engines import LOCAL, check_engine_name, make_engine
from loss_logging.evaluation.evaluate import evaluate_dataset
from loss_logging.evaluation.image_batches import ImageBatches, image_row
from loss_logging.evaluation.pipelines import ModelConfig, PipelineOnImages, Positive
from loss_logging.evaluation.tensor_cache import TensorCache
from loss_logging.evidence.rivals import Rivals
from loss_logging.records.record import SampleRecord
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig, check_job_name, check_save_root
from loss_logging.support.chance import uniform_of
from loss_logging.support.checked_config import (
    Check,
    CheckedConfig,
    Count,
    Fraction,
    JobName,
    Seed,
    check_section,
    shown,
)

__all__ = ["EvaluateConfig", "run_evaluation"]

Data: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        description="the path of a folder of images or of tar files, or of a CSV, JSONL, Parquet or tar file",
    ),
]
Pipeline: TypeAlias = Annotated[str, Meta(min_length=1, description="the path of a folder with a diffusers pipeline")]
Folder: TypeAlias = Annotated[str, Meta(min_length=1, description="the path of a folder")]
Few: TypeAlias = Annotated[int, Meta(ge=0, le=16, description="a whole number from 0 to 16")]
Step: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1, description="a whole number, 0 or more")]

_TOLD: tuple[ProblemKind, ...] = ("left_out", "unknown_suffix", "not_understood")  # images that are not evaluated

_SMALL = 64
"""Width and height that are enough to compare pictures."""


class EvaluateConfig(CheckedConfig, frozen=True, kw_only=True):
    """What to evaluate, with which model, and where to report it. Built as a TrainConfig is.

    Args:
        data: a folder of images with captions beside them (.txt, .caption, .json, metadata.jsonl, metadata.csv, ...)
            and of tar files of a WebDataset, which need the package webdataset; or one table of file names and
            captions, or one tar file. An image without a caption has the empty one, one with several is evaluated
            with each.
        pipeline: a folder that holds a diffusers pipeline, with its model_index.json.
        save_root: everything is written to ``save_root/loss_logging``. ``~`` is expanded.
        job_name: names the report.
        step: the training step that the model is from.
        loggers: trackers to write the report to, as in a TrainConfig.
        draws: how many noises and timesteps to evaluate each image at; fewer than 4 leave caption_mismatch undecided.
        paired: compute each loss with the empty caption too, for caption_mismatch; takes twice the time.
        rivals: with how many other captions each is compared too: those of all images that its picture fits best. They
            are in one batch with the others, so that it takes ``2 + rivals`` times the memory; needs the extra
            ``evidence``.
        sample_fraction: share of the images to evaluate, above 0 and up to 1; the same ones whenever the seed is.
        max_samples: evaluate at most so many images, the first ones that open; None for all.
        seed: decides noise, timesteps and which images are taken.
        batch_size: images at a time.
        model: how the pipeline computes, a mapping with keys of `ModelConfig`, such as ``resolution`` and ``device``.
        engine: ``"local"`` computes in this process; another name is that of an installed engine, such as ``"ray"``.
        engine_options: a mapping of the engine's own options, for Ray the keys of a `RayConfig`; its batch_size is the
            one above by default.
        cache: a folder for the encodings of captions and images, which the next evaluation with the same text encoders
            or VAE then reads; none if None. Evaluations may share it.
        cache_gigabytes: the most that the files of ``cache`` take; those used longest ago go.
        captions: what counts as a bad caption; its ``trainer`` says what is a caption of ``data``, too.
        top_k: highest losses kept per dataset, and items per ranking.

    Raises:
        ConfigError: a key is unknown, or its value has the wrong type or is impossible; says what is allowed.

    Example:
        >>> EvaluateConfig(data="photos", pipeline="models/sdxl", save_root="runs/sdxl").draws
        4
        >>> EvaluateConfig.from_dict({"data": "photos", "pipeline": "models/sdxl", "save_root": "runs", "draw": 8})
        Traceback (most recent call last):
        loss_logging.errors.ConfigError: $.draw is no configuration key; did you mean draws?
    """

    data: Data
    pipeline: Pipeline
    save_root: str | Path
    job_name: JobName = "evaluation"
    step: Step = 0
    loggers: list[Any] = msgspec.field(default_factory=list)
    draws: Count = 4
    paired: bool = True
    rivals: Few = 0
    sample_fraction: Fraction = 1.0
    max_samples: Count | None = None
    seed: Seed = 0
    batch_size: Count = 4
    model: ModelConfig = msgspec.field(default_factory=ModelConfig)
    engine: str = "local"
    engine_options: dict[str, Any] = msgspec.field(default_factory=dict)
    cache: Folder | None = None
    cache_gigabytes: Positive = 20.0

    _old_keys: ClassVar[Mapping[str, str]] = {
        "ray": "engine_options",
        **{key: f"model.{key}" for key in ModelConfig.__struct_fields__ if key != "library"},
    }

    @classmethod
    def _checks(cls) -> Mapping[str, Check]:
        return {
            "job_name": check_job_name,
            "save_root": check_save_root,
            "captions": check_section,
            "model": check_section,
            "engine": check_engine_name,
            "engine_options": _check_options,
        }

    captions: CaptionConfig = msgspec.field(default_factory=CaptionConfig)
    top_k: Count = 10


def run_evaluation(config: EvaluateConfig, progress: bool = True, only: Only | None = None) -> LossReport:
    """Evaluate the pipeline on the images: the report, as JSON and CSV under ``save_root`` and in the loggers.

    Args:
        config: what to evaluate.
        progress: show how far it is and an estimate of the time left, on standard error.
        only: which images to compute, as in `evaluate_dataset`; the figures of the others are kept.

    Raises:
        ConfigError: a value does not fit the pipeline or this machine.
        LossLoggingError: there are no images, none opens, or the pipeline cannot encode the empty caption.
    """
    images = _Images.read(config)
    report_config = TrainConfig(
        job_name=config.job_name,
        save_root=config.save_root,
        loggers=config.loggers,
        captions=config.captions,
        top_k=config.top_k,
        timestep_scale=1000,
        seed=config.seed,
        reporter="inline",
        images=images.folder.absolute(),
    )
    evaluate: Callable[..., LossReport] = partial(
        evaluate_dataset,
        # Which files are taken is decided by their place in the folder, before one is opened.
        sample_fraction=config.sample_fraction if images.shards else 1.0,
        max_samples=config.max_samples,  # of files too: an engine goes on only with the arguments of the other
        seed=config.seed,
        draws=config.draws,
        paired=config.paired,
        rivals=_rivals(config, images, progress),
        job_name=config.job_name,
        step=config.step,
        config=report_config,
        out_csv=report_config.report_path(config.step).with_suffix(".csv"),
        progress=progress,
        model_id=_model_id(config),
        only=only,
    )
    if config.engine != LOCAL:
        return _elsewhere(evaluate, config, images)
    most = None if images.shards else config.max_samples
    compute = _WhenNeeded(config)
    if only is None:
        _ = compute.pipeline  # what is wrong with it is said first
    files = images if images.shards else images.files
    return evaluate(
        compute, ImageBatches(files, images.folder, compute.resolution, config.batch_size, most, images.warnings)
    )


class _WhenNeeded:
    """The pipeline as a compute function, loaded for the first image: where nothing changed it takes no time."""

    def __init__(self, config: EvaluateConfig) -> None:
        self._config = config

    @cached_property
    def pipeline(self) -> PipelineOnImages:
        config = self._config
        return PipelineOnImages(config.pipeline, config.model, config.paired, _cache(config))

    def resolution(self) -> int:
        return self.pipeline.resolution

    def __call__(self, batch: Mapping[str, Any], draw: Draw) -> list[SampleRecord]:
        return self.pipeline(batch, draw)


class _Images(msgspec.Struct, frozen=True):
    """The images of a folder, and those in the tar files of a WebDataset, as often as they are asked for.

    Args:
        root: the folder, table or tar file.
        files: the images that are files, with their captions.
        shards: the tar files.
        warnings: sentences about captions that could not be read, and images that were left out.
    """

    root: Path
    files: list[CaptionedFile]
    shards: list[Path]
    warnings: list[str]

    @classmethod
    def read(cls, config: EvaluateConfig) -> _Images:
        """What the configuration says."""
        root = Path(config.data).expanduser()
        shards = find_shards(root)
        problems = FolderProblems()
        files: list[CaptionedFile] = []
        if root.is_dir() or not shards:
            inside = tuple(f"{shard}/" for shard in shards)  # of which a table beside a tar file speaks
            trainer = trainer_settings(config.captions)
            found = (_as_trained(file) for file in read_captioned_folder(root, problems=problems, trainer=trainer))
            files = [
                file
                for file in found
                if file.path != file.source and not file.path.startswith(inside) and file.not_trained is None
            ]
        if not files and not shards:
            raise LossLoggingError(f"{root} holds no images{there_is(problems)}")
        if not shards and config.sample_fraction < 1:
            files = _sample(files, root, config.sample_fraction, config.seed)
        return cls(root, files, shards, _warnings(problems))

    @property
    def folder(self) -> Path:
        """What names of images are relative to."""
        return self.root if self.root.is_dir() else self.root.parent

    def __iter__(self) -> Iterator[CaptionedFile | ArchivedImage]:
        yield from self.files
        for shard in self.shards:
            yield from read_shard(shard, self.root)


def _rivals(config: EvaluateConfig, images: _Images, progress: bool) -> Rivals | int:
    """From small copies of the images, before the model is loaded."""
    if not config.rivals:
        return 0
    if not config.paired:
        raise ConfigError("$.rivals: got a number and $.paired is false; allowed: with paired, which a verdict takes")
    from loss_logging.evaluation.rivals import rivals_of_batches  # the extra evidence

    batches = ImageBatches(images if images.shards else images.files, images.folder, _SMALL, 64, config.max_samples)
    return rivals_of_batches(batches, config.rivals, progress=progress)


def _elsewhere(evaluate: Callable[..., LossReport], config: EvaluateConfig, images: _Images) -> LossReport:
    """By an engine: each of its processes loads the pipeline, and opens its images."""
    engine = make_engine(config.engine, {"batch_size": config.batch_size} | config.engine_options, "$.engine_options")
    pipeline = str(Path(config.pipeline).expanduser().absolute())
    compute = partial(PipelineOnImages, pipeline, config.model, config.paired, _cache(config))
    rows = (image_row(file, images.folder) for file in images.files)
    with engine.images(rows, images.shards, images.root, images.warnings) as dataset:
        return evaluate(compute, dataset, engine=engine)


def _cache(config: EvaluateConfig) -> TensorCache | None:
    if config.cache is None:
        return None
    return TensorCache(Path(config.cache).expanduser().absolute(), int(config.cache_gigabytes * 1e9))


def _check_options(value: Any, _hint: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{where}: got {shown(value)}; allowed: a mapping of the engine's options to their values")
    return {key: given for key, given in value.items() if given is not None}


def _model_id(config: EvaluateConfig) -> str:
    """What the losses depend on besides the images: the settings, and when the pipeline's files were last written."""
    model = config.model
    settings = (model.resolution, model.dtype, model.snr_gamma, model.guidance_scale, model.max_sequence_length)
    folder = Path(config.pipeline).expanduser().resolve()
    written = max((file.stat().st_mtime_ns for file in folder.rglob("*")), default=0)
    return f"{folder} of {written}, {settings}"


def _as_trained(file: CaptionedFile) -> CaptionedFile:
    """With what the trainer makes of the caption; of several choices, the first."""
    return msgspec.structs.replace(file, caption=file.trained[0]) if file.trained else file


def _sample(files: list[CaptionedFile], root: Path, fraction: float, seed: int) -> list[CaptionedFile]:
    """A share of the files, decided before an image is opened, by its place in the folder alone."""
    names = [os.path.relpath(file.path, root).encode("utf-8", "surrogateescape") for file in files]
    taken = [uniform_of("sample", seed, name) < fraction for name in names]
    files = [file for file, wanted in zip(files, taken, strict=True) if wanted]
    if not files:
        raise LossLoggingError(f"$.sample_fraction: {fraction} of the images in {root} is none; take more")
    return files


def _warnings(problems: FolderProblems) -> list[str]:
    first = {problem.kind: problem for problem in reversed(problems.kept)}
    return [
        f"{problems.counts[kind]} times: {PROBLEMS[kind][1]} The first: {problem.path} {problem.message}"
        for kind, problem in first.items()
        if problem.severity == "error" or kind in _TOLD
    ]
