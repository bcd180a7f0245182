from __future__ import annotations

import numpy as np

from loss_logging.support.chance import uniform


def test_uniform_is_uniform() -> None:
    """Neighbouring keys spread evenly over [0, 1), and the columns of keys are independent of each other."""
    numbers = uniform(3, np.arange(100)[:, None], np.arange(100))
    assert numbers.shape == (100, 100)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts, _ = np.histogram(numbers, bins=10, range=(0, 1))
    assert abs(counts - 1000).max() < 5 * 1000**0.5
    assert abs(np.corrcoef(numbers[:, :-1].ravel(), numbers[:, 1:].ravel())[0, 1]) < 0.05
