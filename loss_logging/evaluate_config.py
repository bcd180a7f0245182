"""``loss-logging evaluate CONFIG``: captioned images and a model in, a report out."""

from __future__ import annotations

import importlib
import os
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from loss_logging.captioned_folder import CaptionedFile, read_captioned_folder
from loss_logging.captions.config import CaptionConfig
from loss_logging.config import CheckedConfig, Count, Fraction, JobName, Seed, TrainConfig
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluate import evaluate_dataset
from loss_logging.folder_problems import PROBLEMS, FolderProblems
from loss_logging.image_batches import ImageBatches
from loss_logging.report import LossReport
from loss_logging.sampling import uniform

__all__ = ["EvaluateConfig", "run_evaluation"]

Data: TypeAlias = Annotated[
    str, Meta(min_length=1, description="the path of a folder of images, or of a CSV, JSONL or Parquet file")
]
Pipeline: TypeAlias = Annotated[str, Meta(min_length=1, description="the path of a folder with a diffusers pipeline")]
Device: TypeAlias = Annotated[str, Meta(min_length=1, description='a device, such as "cuda", "cuda:1", "mps" or "cpu"')]
Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
Step: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1, description="a whole number, 0 or more")]
Positive: TypeAlias = Annotated[float, Meta(gt=0, le=1e9, description="a number above 0")]
Guidance: TypeAlias = Annotated[float, Meta(ge=0, le=1e9, description="a number, 0 or more")]

_LOADER = "loss_logging.integrations.trainers.diffusers_folder"  # by name: the core imports no integration


class EvaluateConfig(CheckedConfig, frozen=True, kw_only=True):
    """What to evaluate, with which model, and where to report it. Built as a TrainConfig is.

    Args:
        data: a folder of images with captions beside them (.txt, .caption, .json, metadata.jsonl, metadata.csv, ...),
            or one table of file names and captions. An image without a caption has the empty one.
        pipeline: a folder that holds a diffusers pipeline, with its model_index.json.
        save_root: everything is written to ``save_root/loss_logging``. ``~`` is expanded.
        job_name: names the report.
        step: the training step that the model is from.
        loggers: trackers to write the report to, as in a TrainConfig.
        draws: how many noises and timesteps to evaluate each image at; fewer than 4 leave caption_mismatch undecided.
        paired: compute each loss with the empty caption too, for caption_mismatch; takes twice the time.
        sample_fraction: share of the images to evaluate, above 0 and up to 1; the same ones whenever the seed is.
        max_samples: evaluate at most so many images, the first ones that open; None for all.
        seed: decides noise, timesteps and which images are taken.
        batch_size: images at a time.
        resolution: side of the square that each image is scaled and cropped to, in pixels; the pipeline's own if None.
        device: what to compute on; a GPU where there is one if None.
        dtype: precision of the model; bfloat16 on a GPU and float32 elsewhere if None. The VAE is in float32.
        snr_gamma: keep the min-SNR weight for this gamma as a component; no such weight if None.
        guidance_scale: what a model distilled for guidance (Flux) is told.
        max_sequence_length: tokens that T5 and language models see of a caption; the pipeline's own if None.
        captions: what counts as a bad caption.
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
    sample_fraction: Fraction = 1.0
    max_samples: Count | None = None
    seed: Seed = 0
    batch_size: Count = 4
    resolution: Count | None = None
    device: Device | None = None
    dtype: Precision | None = None
    snr_gamma: Positive | None = None
    guidance_scale: Guidance = 3.5
    max_sequence_length: Count | None = None
    captions: CaptionConfig = msgspec.field(default_factory=CaptionConfig)
    top_k: Count = 10


def run_evaluation(config: EvaluateConfig, progress: bool = True) -> LossReport:
    """Evaluate the pipeline on the images: the report, as JSON and CSV under ``save_root`` and in the loggers.

    Args:
        config: what to evaluate.
        progress: show how far it is and an estimate of the time left, on standard error.

    Raises:
        ConfigError: a value does not fit the pipeline or this machine.
        LossLoggingError: there are no images, none opens, or the pipeline cannot encode the empty caption.
    """
    report_config = TrainConfig(
        job_name=config.job_name,
        save_root=config.save_root,
        loggers=config.loggers,
        captions=config.captions,
        top_k=config.top_k,
        timestep_scale=1000,
        seed=config.seed,
        reporter="inline",
    )
    root = Path(config.data).expanduser()
    files, warnings = _files(root, config.sample_fraction, config.seed)
    compute = importlib.import_module(_LOADER).pipeline_loss(
        config.pipeline,
        device=config.device,
        dtype=config.dtype,
        paired=config.paired,
        snr_gamma=config.snr_gamma,
        guidance_scale=config.guidance_scale,
        max_sequence_length=config.max_sequence_length,
    )
    resolution = compute.resolution if config.resolution is None else config.resolution
    if resolution % compute.multiple:
        raise ConfigError(
            f"$.resolution: got {resolution}; allowed: a multiple of {compute.multiple} for this pipeline"
        )
    folder = root if root.is_dir() else root.parent
    return evaluate_dataset(
        compute,
        ImageBatches(files, folder, resolution, config.batch_size, config.max_samples, warnings),
        seed=config.seed,
        draws=config.draws,
        paired=config.paired,
        job_name=config.job_name,
        step=config.step,
        config=report_config,
        out_csv=report_config.report_path(config.step).with_suffix(".csv"),
        progress=progress,
        model_id=_model_id(config, resolution),
    )


def _model_id(config: EvaluateConfig, resolution: int) -> str:
    """What the losses depend on besides the images: the settings, and when the pipeline's files were last written."""
    settings = (config.dtype, config.snr_gamma, config.guidance_scale, config.max_sequence_length)
    folder = Path(config.pipeline).expanduser().resolve()
    written = max(file.stat().st_mtime_ns for file in folder.rglob("*"))
    return f"{folder} of {written}, {resolution} pixels, {settings}"


def _files(root: Path, fraction: float, seed: int) -> tuple[list[CaptionedFile], list[str]]:
    """The images to evaluate, and sentences about the captions that could not be read."""
    problems = FolderProblems()
    files = list(read_captioned_folder(root, problems=problems))
    if not files:
        raise LossLoggingError(f"{root} holds no images")
    if fraction < 1:
        # Decided before an image is opened, by its place in the folder alone.
        names = [os.path.relpath(file.path, root).encode("utf-8", "surrogateescape") for file in files]
        taken = uniform(seed, [zlib.crc32(name) for name in names]) < fraction
        files = [file for file, wanted in zip(files, taken, strict=True) if wanted]
        if not files:
            raise LossLoggingError(f"$.sample_fraction: {fraction} of the images in {root} is none; take more")
    return files, _warnings(problems)


def _warnings(problems: FolderProblems) -> list[str]:
    first = {problem.kind: problem for problem in reversed(problems.kept)}
    return [
        f"{problems.counts[kind]} times: {PROBLEMS[kind][1]} The first: {problem.path} {problem.message}"
        for kind, problem in first.items()
        if problem.severity == "error"
    ]
