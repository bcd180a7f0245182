"""The demo from data to summary."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console
from rich.text import Text

from loss_logging.artifacts import read_report
from loss_logging.config import TrainConfig
from loss_logging.demo.data import Fault, Sample, load_samples, write_images
from loss_logging.demo.train import train
from loss_logging.report import LossReport
from loss_logging.show import print_report

__all__ = ["run"]

JOB = "digits"
LISTED = 20


def run(out: Path, loggers: list[str], steps: int, seed: int, console: Console) -> None:
    """Train and print what was found. ``loggers`` are names; W&B runs offline."""
    config = TrainConfig(
        job_name=JOB,
        save_root=out,
        loggers=[_offline_wandb() if name == "wandb" else name for name in loggers],
        log_every=20,
        save_every=400,
        top_k=LISTED,
        html=True,
        seed=seed,
    )
    samples = load_samples(out / "images", seed)
    write_images(samples)
    train(samples, config, steps)
    report = read_report(config.report_path(steps))
    print_report(report, console)
    for line in (*_found(samples, report), *_next_steps(config, steps)):
        console.print(Text(line), soft_wrap=True)


def _offline_wandb() -> dict[str, str]:
    return {"name": "wandb", "project": "loss-logging-demo", "mode": "offline"}


def _found(samples: list[Sample], report: LossReport) -> list[str]:
    """How many of the planted faults the report lists."""
    lists: dict[Fault, tuple[str, list[str]]] = {
        "wrong caption": ("worst by caption_mismatch", [item.path for item in report.worst.caption_mismatch[:LISTED]]),
        "noise image": ("worst by hard", [item.path for item in report.worst.hard[:LISTED]]),
        "damaged caption": ("flagged captions", [item.path for item in report.flagged]),
    }
    lines = ["What was planted, and where it was found:"]
    for fault, (name, paths) in lists.items():
        planted = {sample.path for sample in samples if sample.fault == fault}
        by_chance = len(planted) / len(samples) * len(paths)
        lines.append(
            f"  {len(planted)} x {fault}: {len(planted.intersection(paths))} of the {len(paths)} {name} "
            f"(by chance: {by_chance:.1f})"
        )
    return lines


def _next_steps(config: TrainConfig, steps: int) -> list[str]:
    names = [logger if isinstance(logger, str) else logger["name"] for logger in config.loggers]
    commands = [
        f"open {shlex.quote(str(config.page_path))} in a browser",
        f"loss-logging show {shlex.quote(str(config.report_path(steps)))} --rows 40",
    ]
    if "tensorboard" in names:
        commands.append(f"tensorboard --logdir {shlex.quote(str(config.out_dir / 'tensorboard'))}")
    if "wandb" in names:
        commands.append(f"wandb sync {shlex.quote(str(config.out_dir / 'wandb'))}/offline-run-*")
    return ["To look further:", *(f"  {command}" for command in commands)]
