"""Rankings of the items, worst first: those of loss_logging, from its reports, and those that one has without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from benchmarks.detection.data import Digits, Flags
from benchmarks.detection.training import Objective, evaluation
from loss_logging import LossReport, TrainConfig, evaluate_dataset
from loss_logging.cli.demo.model import CaptionedFlow
from loss_logging.records.log import RecordLog

__all__ = ["Scores", "auroc", "by_cleanlab", "figure", "offline", "precision", "small_loss", "spread"]

Scores: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
"""(N,), in the order of the dataset; the highest is the worst, NaN is undecided."""

TOP = 0.1


def offline(model: CaptionedFlow, objective: Objective, digits: Digits, draws: int) -> LossReport:
    """What evaluate_dataset reports, with and without the caption at ``draws`` timesteps."""
    batches = [{"paths": digits.paths[start : start + 256]} for start in range(0, len(digits.paths), 256)]
    return evaluate_dataset(evaluation(model, objective, digits), batches, draws=draws, paired=True, progress=False)


def figure(report: LossReport, digits: Digits, name: str) -> Scores:
    """A figure of the report's ``item_stats``."""
    items = report.datasets["digits"].item_stats
    return np.array([getattr(items[path], name) for path in digits.paths], np.float64)


def small_loss(config: TrainConfig, digits: Digits) -> Scores:
    """How often small-loss selection would have passed an item over: the share of its records among the tenth of their
    batch with the highest loss. Our own statement of the criterion of Han et al., "Co-teaching" (2018)."""
    frame = pd.read_parquet(RecordLog(config.records_dir).files(), columns=["step", "path", "loss"])
    passed_over = frame.groupby("step")["loss"].rank(pct=True) > 1 - TOP
    share: Any = passed_over.groupby(frame["path"]).mean()
    return np.asarray(share[digits.paths], np.float64)


def by_cleanlab(digits: Digits) -> Scores:
    """cleanlab's label quality under out-of-sample predictions of a classifier of the digit that captions name.

    It needs captions that are labels, and a classifier that is trained for the purpose.
    """
    from cleanlab.rank import get_label_quality_scores
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from threadpoolctl import threadpool_limits

    classifier = LogisticRegression(max_iter=1000)
    with threadpool_limits(1):
        predicted = cross_val_predict(classifier, digits.images.numpy(), digits.labels, cv=5, method="predict_proba")
    return np.asarray(-get_label_quality_scores(digits.labels, predicted), np.float64)


def auroc(scores: Scores, planted: Flags) -> float:
    """The chance that a planted item stands before one that is not.

    >>> auroc(np.array([0.9, 0.4, 0.5, 0.1]), np.array([True, True, False, False]))
    0.75
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(planted, _in_the_middle(scores)))


def precision(scores: Scores, planted: Flags) -> float:
    """The share of planted items in the first tenth of the ranking.

    >>> precision(np.arange(20.0), np.arange(20) == 19)
    0.5
    """
    first = np.argsort(-_in_the_middle(scores), kind="stable")[: int(len(scores) * TOP)]
    return float(planted[first].mean())


def _in_the_middle(scores: Scores) -> Scores:
    """Undecided items stand at the median, or all of them where none is decided."""
    decided = scores[~np.isnan(scores)]
    return np.where(np.isnan(scores), np.median(decided) if len(decided) else 0.0, scores)


def spread(values: Sequence[float]) -> str:
    """Mean and range.

    >>> spread([0.5, 0.75, 1.0]), spread([0.5])
    ('0.75 (0.50..1.00)', '0.50')
    """
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f}..{max(values):.2f})"
