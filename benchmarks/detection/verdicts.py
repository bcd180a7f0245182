"""Which evidence finds wrong captions, alone and together, whether said chances are true, and what peers find.

    python -m benchmarks.detection.verdicts [--sets NAME ...] [--seeds N] [--epochs N] [--wrong SHARE ...]
                                            [--objective flow|epsilon] [--fractions SHARE ...] [--no-training]
                                            [--json FILE]

Digits (scikit-learn's) and two sets of icons, whose pictures npm brings; see ``SETS`` in ``sets.py``. The features, how
the share is estimated and how much the losses count were chosen on digits and lucide, none of it by fluent emoji.
Training pairs each step's captions with the empty one and with the rival's. What is called a report is read from that
of a LossLogger, on shares of the steps, by turns at random as it asks for them, with and without what pictures say of
the captions; the other figures are made up from the records of the same run. With 100% wrong, captions of icons have
nothing to do with their pictures.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.detection.icons import PACKAGES
from benchmarks.detection.online import Online, train_online
from benchmarks.detection.peers import by_aum, by_cleanlab, by_neighbours
from benchmarks.detection.rankings import Scores, auroc, precision, spread
from benchmarks.detection.sets import SETS, CaptionedSet, load_set
from benchmarks.table import Results
from loss_logging import LossLogger, TrainConfig, read_report
from loss_logging.evidence.features import picture_features
from loss_logging.evidence.judge import VERDICTS, Judgement, Verdict, judge
from loss_logging.evidence.pictures import PictureEvidence, picture_evidence
from loss_logging.evidence.planted import WrongCaptions, calibrated
from loss_logging.evidence.rivals import Rivals
from loss_logging.evidence.seen import SeenCaptions
from loss_logging.evidence.words import caption_words
from loss_logging.reports.report import ItemStats

EDGES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
FORWARDS: dict[str, float] = {"rival, 25% of steps": 0.25, "empty": 1, "rival": 1, "half empty, half rival": 1}
DEFAULT = TrainConfig(job_name="default", save_root=".").paired_fraction


class Found:
    """What was found, by set, share of wrong captions and ranking; one value for each seed."""

    def __init__(self) -> None:
        self.ranked: defaultdict[tuple[Any, ...], list[tuple[float, float]]] = defaultdict(list)
        self.said: defaultdict[tuple[Any, ...], list[Any]] = defaultdict(list)
        self.bins: defaultdict[tuple[Any, ...], list[tuple[int, int, int, float]]] = defaultdict(list)
        self.words: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self.forwards = dict(FORWARDS)

    def rank(self, data: CaptionedSet, share: float, name: str, scores: Scores) -> None:
        if 0 < data.wrong.mean() < 1:
            value = precision(scores, data.wrong), auroc(scores, data.wrong)
            self.ranked[data.name, share, name].append(value)

    def counted(
        self, data: CaptionedSet, share: float, name: str, verdict: Sequence[Verdict | None], said: float | None = None
    ) -> None:
        first = np.array([each == VERDICTS[0] for each in verdict])
        counted = int(first.sum()), int(data.wrong[first].sum()), sum(each == VERDICTS[1] for each in verdict)
        self.bins[data.name, share, name].append((*counted, np.nan if said is None else said))

    def judged(self, data: CaptionedSet, share: float, name: str, found: Judgement) -> None:
        self.counted(data, share, name, found.verdict, found.share)
        self.chances(data, share, name, found.p_wrong)

    def chances(self, data: CaptionedSet, share: float, name: str, p_wrong: Scores) -> None:
        known = np.isfinite(p_wrong)
        if known.any():
            self.said[data.name, share, name].append((p_wrong[known], data.wrong[known]))

    def single_words(self, data: CaptionedSet, seen: PictureEvidence) -> None:
        known = [item for item, right in enumerate(data.right) if right]
        pointed = np.mean([seen.worst_word[item] == data.word[item] for item in known])
        right = np.mean([seen.suggested_word[item] == data.right[item] for item in known])
        self.words[data.name].append((float(pointed), float(right)))

    def tables(self, results: Results, note: str) -> None:
        rows = [
            {
                "set": name,
                "wrong": share,
                "ranking": ranking,
                "forwards more": self.forwards.get(ranking.removesuffix(", single words").split(" & ")[-1], 0),
            }
            | {"precision": spread([p for p, _ in values]), "AUROC": spread([a for _, a in values])}
            for (name, share, ranking), values in self.ranked.items()
        ]
        if rows:
            results.table("Wrong captions found", rows, note)
        results.table("The first bin", [_bin_row(key, values) for key, values in self.bins.items()])
        if self.said:
            rows = [_said_row(*each) for each in self.said.items()]
            results.table("Said chances and how often they are true", rows)
        if self.words:
            rows = [
                {
                    "set": name,
                    "wrong word pointed at": spread([p for p, _ in each]),
                    "suggestion right": spread([r for _, r in each]),
                }
                for name, each in self.words.items()
            ]
            results.table("Single words, of the captions that are wrong in one", rows)


def _bin_row(key: tuple[Any, ...], values: list[tuple[int, int, int, float]]) -> dict[str, Any]:
    first, true, look, share = np.array(values, float).sum(0)
    row = dict(zip(("set", "wrong", "evidence"), key, strict=True))
    row |= {"items in the first bin": first / len(values), "of them wrong": true / first if first else None}
    return row | {"look at these": look / len(values), "share said": share / len(values)}


def _said_row(key: tuple[Any, ...], values: list[Any]) -> dict[str, Any]:
    p, wrong = (np.concatenate(part) for part in zip(*values, strict=True))
    row = dict(zip(("set", "wrong", "evidence"), key, strict=True))
    for low, high in pairwise(EDGES):
        inside = (p > low) & (p <= high) if low else p <= high
        said = f"{p[inside].mean():.2f} true {wrong[inside].mean():.2f} ({inside.sum()})" if inside.any() else None
        row[f"{low:g} to {high:g}"] = said
    return row


def look(data: CaptionedSet, share: float, seed: int, options: argparse.Namespace, found: Found) -> None:
    """Everything about one set under one seed."""
    features = picture_features(data.pictures, progress=False).features
    words = caption_words(data.captions)
    seen = picture_evidence(features, words, seed=seed, progress=False)
    known = calibrated(seen, seed=seed)
    alone = judge(known)
    found.rank(data, share, "pictures: whole caption", seen.whole)
    found.rank(data, share, "pictures: single words", seen.word)
    found.rank(data, share, "pictures: calibrated", alone.score)
    found.judged(data, share, "pictures", alone)
    labels = caption_words(data.labels)
    for name, peer in (("cleanlab", by_cleanlab), ("kNN", by_neighbours), ("AUM", by_aum)):
        found.rank(data, share, f"peer: {name}", peer(features, labels))
    if data.one_word and data.wrong.any():
        found.single_words(data, seen)
    if not options.no_training:
        _trained(data, share, seed, options, found, seen, known)


def _trained(
    data: CaptionedSet,
    share: float,
    seed: int,
    options: argparse.Namespace,
    found: Found,
    seen: PictureEvidence,
    known: WrongCaptions,
) -> None:
    rivals = [data.captions[rival] if rival >= 0 else "" for rival in seen.rival.tolist()]
    said = SeenCaptions.of(_keys(data), data.captions, known, seen.worst_word, seen.suggested_word, seen.word)
    run = _logged(data, share, rivals, seed, options, found, said)
    found.rank(data, share, "peer: raw loss", run.loss.mean(0))
    found.rank(data, share, "peer: loss of the last epoch", run.loss[-1])
    for name, losses in run.evidence().items():
        found.rank(data, share, name, losses.mean)
        kind = "dropped" if name.startswith("dropped") else "empty" if name == "empty" else "rival"
        both = judge(known, **{kind: losses})
        found.rank(data, share, f"judge: pictures & {name}", both.score)
        if data.one_word and kind == "rival":
            words = judge(seen, **{kind: losses}, seed=seed).word_score
            found.rank(data, share, f"judge, single words: pictures & {name}", words)
        found.judged(data, share, f"pictures & {name}", both)
    without = judge(empty=run.evidence()["empty"])
    found.judged(data, share, "empty alone", without)


def _logged(
    data: CaptionedSet,
    share: float,
    rivals: list[str],
    seed: int,
    options: argparse.Namespace,
    found: Found,
    seen: SeenCaptions,
) -> Online:
    """Train, with loggers that compare with the empty caption alone, by turns, and with pictures; rank and count by
    their reports."""
    named = {key: (rival,) for key, rival in zip(_keys(data), rivals, strict=True) if rival}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        file, both = (str(Path(folder, name)) for name in ("rivals.parquet", "both.parquet"))
        Rivals(named).save(file)
        Rivals(named, seen=seen).save(both)
        loggers = {
            f"report: {name}, {fraction:.0%} of steps": stack.enter_context(
                LossLogger(
                    job_name=data.name.replace(" ", "-"),
                    save_root=Path(folder, name, str(fraction)),
                    loggers=[],
                    reporter="inline",
                    paired_fraction=fraction,
                    rivals=source,
                    seed=seed,
                )
            )
            for name, source in (("empty", "none"), ("by turns", file), ("by turns, pictures", both))
            for fraction in dict.fromkeys(options.fractions)
        }
        found.forwards |= {name: logger.config.paired_fraction for name, logger in loggers.items()}
        run = train_online(data, rivals, options.objective, options.epochs, seed, list(loggers.values()))
        for name, logger in loggers.items():
            items = read_report(logger.config.report_paths()[-1]).datasets[data.name].item_stats
            figures = [items[str(item)] for item in range(len(data.captions))]
            found.rank(data, share, name, _ranked(figures))
            words = np.array([item.word_score for item in figures], np.float64)
            if data.one_word and np.isfinite(words).any():
                found.rank(data, share, f"{name}, single words", words)
            found.counted(data, share, name, [item.verdict for item in figures])
            found.chances(data, share, name, np.array([item.p_wrong for item in figures], np.float64))
    return run


def _keys(data: CaptionedSet) -> list[tuple[str, str]]:
    return [(data.name, str(item)) for item in range(len(data.captions))]


def _ranked(items: Sequence[ItemStats]) -> Scores:
    """As reports rank: by the chance where there is one, then by the mean of the mismatches."""
    chance, empty, rival = (
        np.array([getattr(item, name) for item in items], np.float64)
        for name in ("p_wrong", "caption_mismatch", "rival_mismatch")
    )
    mismatch: Scores = (empty + np.where(np.isnan(rival), empty, rival)) / 2
    known = np.isfinite(chance)
    if not known.any():
        return mismatch
    places = np.empty(len(items))
    places[np.lexsort((np.nan_to_num(mismatch), np.where(known, chance, -1)))] = np.arange(len(items))
    return np.where(known, places, np.nan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--wrong", nargs="+", type=float, default=[0.1])
    parser.add_argument("--objective", choices=("flow", "epsilon"), default="flow")
    parser.add_argument(
        "--fractions", nargs="+", type=float, default=[1.0, 0.25, DEFAULT], help="shares of the steps that reports pair"
    )
    parser.add_argument("--no-training", action="store_true", help="pictures and peers alone")
    parser.add_argument("--quick", action="store_true", help="a smoke test: digits, one seed, no training")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.quick:
        options.sets, options.seeds, options.no_training = ["digits"], 1, True
    results = Results("detection: verdicts", ["torch", "scikit-learn", "cleanlab"], options)
    found, start = Found(), time.process_time()
    for name, share, seed in tqdm(list(product(options.sets, options.wrong, range(options.seeds))), unit="run"):
        if "-word" not in name or share in (0.0, 0.1):
            look(load_set(name, share=share, seed=seed), share, seed, options, found)
    trained = "no training" if options.no_training else f"{options.epochs} epochs, {options.objective}"
    note = (
        f"{options.seeds} seeds, {trained}, {time.process_time() - start:.0f} s of CPU in all: mean (lowest..highest). "
        f"Icons: {'; '.join(f'{name}, {licence}' for name, (_, licence) in PACKAGES.items())}."
    )
    found.tables(results, note)
    results.finish()


if __name__ == "__main__":
    main()
