"""What one has without loss_logging, on the same features and words: higher is worse."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.detection.rankings import Scores
from loss_logging.evidence.words import CaptionWords

__all__ = ["by_aum", "by_cleanlab", "by_neighbours"]


def by_cleanlab(features: Any, words: CaptionWords) -> Scores:
    """cleanlab's label quality of captions as sets of words, under 5-fold ridge regression's chances of each word."""
    from cleanlab.multilabel_classification import get_label_quality_scores
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline

    held = words.matrix.toarray()
    apart = ((features[:-1] - features[1:]) ** 2).sum(1)
    model = make_pipeline(Nystroem(gamma=1 / (0.3 * np.median(apart)), n_components=500, random_state=0), Ridge(1.0))
    chance = cross_val_predict(model, features, held, cv=5).reshape(held.shape).clip(1e-3, 1 - 1e-3)
    labels = [np.flatnonzero(row).tolist() for row in held]
    return np.asarray(-get_label_quality_scores(labels, chance), np.float64)


def by_neighbours(features: Any, words: CaptionWords, k: int = 10) -> Scores:
    """How few words a caption shares with those of the ``k`` nearest pictures: one less the mean Jaccard index."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=k + 1).fit(features).kneighbors(features, return_distance=False)
    held = words.matrix.toarray() > 0
    shared = np.zeros(len(held))
    for column in near[:, 1:].T:
        both, either = (held & held[column]).sum(1), (held | held[column]).sum(1)
        shared += both / np.maximum(either, 1)
    return 1 - shared / k


def by_aum(features: Any, words: CaptionWords, epochs: int = 30) -> Scores:
    """Area under the margin (Pleiss et al., 2020): how far the logit of the caption's words lies below the highest
    other one, on average over the training of a small classifier."""
    torch.manual_seed(0)
    rows = torch.from_numpy((features - features.mean(0)) / (features.std(0) + 1e-6)).float()
    held = torch.from_numpy(words.matrix.toarray())
    model = torch.nn.Sequential(
        torch.nn.Linear(rows.shape[1], 128), torch.nn.ReLU(), torch.nn.Linear(128, held.shape[1])
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    margin = torch.zeros(len(rows))
    count = held.sum(1).clamp(min=1)
    for _ in range(epochs):
        for chosen in torch.randperm(len(rows)).split(64):
            logits = model(rows[chosen])
            own = held[chosen]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, own)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            given = (logits * own).sum(1) / count[chosen]
            margin[chosen] += (given - logits.masked_fill(own > 0, -torch.inf).amax(1)).detach()
    return -margin.double().numpy() / epochs
