"""How well rankings find wrong captions and noisy images that were planted, beside what one has without loss_logging.

    python -m benchmarks.detection [--quick] [--json FILE]

A small captioned diffusion model is trained on 1,797 digits. A tenth of them has a wrong caption and, where it says so,
another tenth is noise over the image: then a high loss means noise, and only the difference that the caption makes can
tell. Every figure of loss_logging is read from the report that a LossLogger or evaluate_dataset wrote. The spread is
over seeds, of model and faults.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

from tqdm import tqdm

from benchmarks.detection import rankings
from benchmarks.detection.data import Captions, Digits, load_digits
from benchmarks.detection.rankings import Scores
from benchmarks.detection.training import Objective, train
from benchmarks.table import Results, arguments
from loss_logging import LossLogger, read_report

HARD = "hard"
PAIRED = {
    1.0: "caption_mismatch, all records",
    0.25: "caption_mismatch, 25% of records",
    0.1: "caption_mismatch, 10% of records",
}
OFFLINE = {4: "caption_mismatch, evaluate_dataset, 4 draws", 16: "caption_mismatch, evaluate_dataset, 16 draws"}
CLEANLAB = f"cleanlab {version('cleanlab')}, logistic regression on digits"
WRONG, NOISY = "wrong captions", "noisy images"


@dataclass(frozen=True)
class Setting:
    """What is trained; ``epochs`` are those at which the rankings are looked at."""

    objective: Objective
    captions: Captions
    noisy: bool
    epochs: tuple[int, ...] = (10, 30, 100)


SETTINGS = (
    Setting("flow", "digit", noisy=True),
    Setting("flow", "digit", noisy=False),
    Setting("epsilon", "digit", noisy=True),
    Setting("epsilon", "digit", noisy=False),
    Setting("flow", "one word", noisy=True),
    Setting("flow", "unique", noisy=True, epochs=(10, 30, 100, 300)),
)
QUICK_EPOCHS = (30,)

Ranked: TypeAlias = tuple[dict[str, Scores], set[str]]
"""The scores by ranking, and the rankings whose report came with a warning."""


def rank(setting: Setting, digits: Digits, seed: int, epochs: tuple[int, ...]) -> Iterator[tuple[int, Ranked]]:
    """Train once; at each of the epochs, the scores of every ranking and the warnings of the reports behind them."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        loggers = {
            fraction: LossLogger(
                job_name="digits",
                save_root=Path(folder, str(fraction)),
                loggers=[],
                reporter="inline",
                paired_fraction=fraction,
                seed=seed,
            )
            for fraction in PAIRED
        }
        for logger in loggers.values():
            stack.enter_context(logger)
        by_cleanlab = rankings.by_cleanlab(digits)
        for epoch, model in train(digits, setting.objective, epochs, list(loggers.values()), seed):
            logged = {
                name: read_report(loggers[fraction].config.report_paths()[-1]) for fraction, name in PAIRED.items()
            }
            offline = {
                name: rankings.offline(model, setting.objective, digits, draws) for draws, name in OFFLINE.items()
            }
            first = logged[PAIRED[1.0]]
            scores = {
                "mean of the logged loss": rankings.figure(first, digits, "average_loss"),
                "loss of the last epoch": rankings.figure(first, digits, "last_loss"),
                "small-loss selection": rankings.small_loss(loggers[1.0].config, digits),
                CLEANLAB: by_cleanlab,
                HARD: rankings.figure(first, digits, "hard"),
            }
            reports = logged | offline
            scores |= {name: rankings.figure(report, digits, "caption_mismatch") for name, report in reports.items()}
            yield epoch, (scores, {name for name, report in reports.items() if report.warnings})


class Found:
    """What the rankings found, by setting, ranking, what was planted and epoch: one value per seed."""

    def __init__(self) -> None:
        self.precision: defaultdict[tuple[Any, ...], list[float]] = defaultdict(list)
        self.auroc: defaultdict[tuple[Any, ...], list[float]] = defaultdict(list)
        self.warned: set[tuple[Any, ...]] = set()

    def add(self, setting: Setting, digits: Digits, epoch: int, ranked: Ranked) -> None:
        scores, warned = ranked
        self.warned |= {(setting, ranking, WRONG, epoch) for ranking in warned}
        for ranking, values in scores.items():
            planted = {WRONG: digits.wrong, NOISY: digits.noisy}
            for fault in (WRONG, NOISY) if setting.noisy and ranking == HARD else (WRONG,):
                key = (setting, ranking, fault, epoch)
                self.precision[key].append(rankings.precision(values, planted[fault]))
                self.auroc[key].append(rankings.auroc(values, planted[fault]))
            if setting.captions == "one word":
                for word in ("digit", "stroke", "place"):
                    counted = ~digits.wrong | (digits.word == word)
                    key = (setting, ranking, word, epoch)
                    self.auroc[key].append(rankings.auroc(values[counted], digits.wrong[counted]))

    def rows(self) -> list[dict[str, Any]]:
        """A line for each ranking in each setting; the epochs stand side by side."""
        epochs = sorted({key[-1] for key in self.precision})
        return [
            {
                "objective": setting.objective,
                "captions": setting.captions,
                "images": "10% noisy" if setting.noisy else "clean",
                "ranking": ranking,
                "finds": fault,
            }
            | {
                f"{name}, {epoch} epochs": rankings.spread(found[setting, ranking, fault, epoch])
                + (" !" if (setting, ranking, fault, epoch) in self.warned else "")
                if (setting, ranking, fault, epoch) in found
                else None
                for name, found in (("precision", self.precision), ("AUROC", self.auroc))
                for epoch in epochs
            }
            for setting, ranking, fault in dict.fromkeys(key[:-1] for key in self.precision)
        ]

    def words(self) -> list[dict[str, Any]]:
        """AUROC by the word that is wrong, at the last epoch."""
        lines: defaultdict[tuple[int, str], dict[str, str]] = defaultdict(dict)
        for (_, ranking, word, epoch), values in self.auroc.items():
            if word not in (WRONG, NOISY):
                lines[epoch, ranking][word] = rankings.spread(values)
        return [{"epochs": epoch, "ranking": ranking, **words} for (epoch, ranking), words in sorted(lines.items())]


def main() -> None:
    options = arguments(__doc__)
    results = Results("detection", ["torch", "scikit-learn", "cleanlab"], options)
    found = Found()
    seeds = range(1 if options.quick else 3)
    start = time.perf_counter()
    for setting, seed in tqdm(list(product(SETTINGS, seeds)), unit="training"):
        digits = load_digits(setting.captions, noisy=setting.noisy, seed=seed)
        for epoch, ranked in rank(setting, digits, seed, QUICK_EPOCHS if options.quick else setting.epochs):
            found.add(setting, digits, epoch, ranked)
    note = (
        f"{time.perf_counter() - start:.0f} s in all. {len(seeds)} seeds: mean (lowest..highest). Precision is that of "
        "the first tenth of the ranking; 0.1 is chance. The first four rankings are what one has without loss_logging. "
        "Where a report of any seed came with a warning, there is a !."
    )
    results.table("Planted faults found", found.rows(), note)
    results.table("AUROC of partly wrong captions, by the word that is wrong", found.words(), "Chance is 0.5.")
    results.finish()


if __name__ == "__main__":
    main()
