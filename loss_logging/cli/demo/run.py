"""The demo from data to summary."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from loss_logging.captions.config import CaptionConfig, CaptionRules
from loss_logging.cli.demo.data import Fault, Sample, load_samples, write_samples
from loss_logging.cli.demo.evaluation import save
from loss_logging.cli.demo.train import train
from loss_logging.cli.tables.report import print_report
from loss_logging.evaluation.config import EvaluateConfig, run_evaluation
from loss_logging.reports.artifact import read_report
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import Timeouts, TrainConfig

__all__ = ["run"]

JOB = "digits"
LISTED = 20


class Found(msgspec.Struct, frozen=True):
    """The number of planted faults of one kind among the items of the report's ``ranking``."""

    fault: Fault
    planted: int
    ranking: str
    listed: int
    found: int
    by_chance: float

    def __str__(self) -> str:
        return (
            f"{self.planted} x {self.fault}: {self.found} of the {self.listed} {self.ranking} "
            f"(by chance: {self.by_chance:.1f})"
        )


def run(out: Path, loggers: list[str], steps: int, seed: int, console: Console | None) -> list[Found]:
    """Train and return the faults that the report lists; print them unless ``console`` is None. W&B runs offline."""
    config = TrainConfig(
        job_name=JOB,
        save_root=out,
        loggers=[_offline_wandb() if name == "wandb" else name for name in loggers],
        log_every=20,
        save_every=400,
        top_k=LISTED,
        html=True,
        captions=CaptionConfig(rules=CaptionRules(disabled=("duplicate",))),  # the captions are made from six templates
        seed=seed,
        timeouts=Timeouts(close=600),  # without a report there is nothing to show, on a busy machine too
    )
    samples = load_samples(out / "images", seed)
    write_samples(samples)
    save(train(samples, config, steps), out / "model")
    _evaluate(out, config.captions)
    report = read_report(config.report_path(steps))
    found = _found(samples, report)
    if console is not None:
        print_report(report, console)
        lines = ["Planted faults, and the rankings that list them:", *(f"  {one}" for one in found)]
        for line in (*lines, *_next_steps(out, config, steps)):
            console.print(Text(line), soft_wrap=True)
    return found


def _evaluate(out: Path, captions: CaptionConfig) -> None:
    """Evaluate the trained model, and leave the configuration for `loss-logging evaluate` after corrections."""
    settings = {
        "data": str(out / "images"),
        "pipeline": str(out / "model"),
        "model": {"library": "demo"},
        "save_root": str(out / "evaluation"),
        "draws": 16,
        "batch_size": 256,
        "captions": {"rules": {"disabled": list(captions.rules.disabled)}},
    }
    (out / "evaluate.yaml").write_bytes(msgspec.yaml.encode(settings))
    report = run_evaluation(EvaluateConfig.from_dict(settings))
    shutil.copyfile(str(report.json_path), out / "before.json")  # the next evaluation replaces it


def _offline_wandb() -> dict[str, str]:
    return {"name": "wandb", "project": "loss-logging-demo", "mode": "offline"}


def _found(samples: list[Sample], report: LossReport) -> list[Found]:
    """For each kind of fault, the number of planted faults that the report lists."""
    lists: dict[Fault, tuple[str, list[str]]] = {
        "wrong caption": ("worst by caption_mismatch", [item.path for item in report.worst.caption_mismatch[:LISTED]]),
        "noise image": ("worst by hard", [item.path for item in report.worst.hard[:LISTED]]),
        "damaged caption": ("flagged captions", [item.path for item in report.flagged]),
    }
    found = []
    for fault, (ranking, paths) in lists.items():
        planted = {sample.path for sample in samples if sample.fault == fault}
        by_chance = len(planted) / len(samples) * len(paths)
        found.append(Found(fault, len(planted), ranking, len(paths), len(planted.intersection(paths)), by_chance))
    return found


def _next_steps(out: Path, config: TrainConfig, steps: int) -> list[str]:
    names = [logger if isinstance(logger, str) else logger["name"] for logger in config.loggers]
    commands = [
        f"loss-logging view {shlex.quote(str(out))} --edit --open",
        f"open {shlex.quote(str(config.page_path))} in a browser",
        f"loss-logging show {shlex.quote(str(config.report_path(steps)))} --rows 40",
    ]
    if "tensorboard" in names:
        folder = shlex.quote(str(config.out_dir / "tensorboard"))
        # Without this option, TensorBoard keeps a random ten of all save steps of texts and images.
        commands.append(f"tensorboard --logdir {folder} --samples_per_plugin text=1000,images=1000")
    if "wandb" in names:
        commands.append(f"wandb sync {shlex.quote(str(config.out_dir / 'wandb'))}/offline-run-*")
    return ["Next commands:", *(f"  {command}" for command in commands)]
