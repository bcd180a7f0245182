from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from loss_logging.evidence.ridge import PENALTIES, smoother


def data(count: int = 60) -> tuple[np.ndarray, csr_matrix, np.ndarray]:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(count, 4)).astype(np.float32)
    targets = np.stack([features[:, 0] > 0, rng.random(count) > 0.5], axis=1).astype(np.float32)
    return features, csr_matrix(targets), targets.mean(0)


def test_leverage_gives_what_a_row_would_get_without_itself() -> None:
    """Residual over (1 - leverage) is the residual of a fit that has not seen the row: the identity of ridges."""
    features, targets, means = data()
    whole = smoother(features)
    kept = whole.kept[PENALTIES.index(1.0)]
    dense = targets.toarray() - means
    row = 7
    hat = (whole.basis * kept) @ whole.basis.T
    others = [i for i in range(len(features)) if i != row]
    kernel = whole.basis @ np.diag(kept / (1 - kept)) @ whole.basis.T  # K / penalty, of the penalty 1
    alone = kernel[row, others] @ np.linalg.solve(kernel[np.ix_(others, others)] + np.eye(len(others)), dense[others])
    by_leverage = dense[row] - (dense[row] - hat[row] @ dense) / (1 - hat[row, row])
    assert by_leverage == pytest.approx(alone, abs=1e-3)
    rows = np.array([row])
    assert whole.leverage(rows, rows)[0, PENALTIES.index(1.0)] == pytest.approx(hat[row, row], abs=1e-5)


def test_a_target_that_features_do_not_tell_keeps_its_mean() -> None:
    """The one that they do tell is fitted; noise is not."""
    features, targets, means = data(200)
    fit = smoother(features).fit(targets, means)
    residuals = fit.residuals(np.arange(200), targets.toarray() - means)
    assert fit.penalty[0] >= 0
    assert residuals[:, 0].var() < 0.5 * 0.25
    assert residuals[:, 1].var() > 0.2


def test_many_rows_are_approximated() -> None:
    """With a few landmarks the fit is nearly the exact one."""
    features, targets, means = data(300)
    exact, rough = (smoother(features, exact=limit, landmarks=200).fit(targets, means) for limit in (300, 10))
    rows = np.arange(300)
    wanted = targets.toarray() - means
    assert np.corrcoef(exact.residuals(rows, wanted)[:, 0], rough.residuals(rows, wanted)[:, 0])[0, 1] > 0.95
