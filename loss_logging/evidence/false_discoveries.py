"""False discoveries among many tests, as scipy.stats has them, which takes long to import."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

__all__ = ["false_discoveries"]

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def false_discoveries(p: Floats, *, dependent: bool = False) -> Floats:
    """The least share of false discoveries at which each hypothesis is still discovered.

    Args:
        p: (N,) p-values.
        dependent: holds for tests that depend on one another in any way (Benjamini and Yekutieli, 2001), not only for
            independent ones (Benjamini and Hochberg, 1995).

    Returns:
        (N,) from 0 to 1.

    Example:
        >>> false_discoveries(np.array([0.01, 0.5, 0.02])).round(3).tolist()
        [0.03, 0.5, 0.03]
    """
    count = len(p)
    order = np.argsort(-p, kind="stable")
    places = np.arange(count, 0, -1)
    factor = (1 / places).sum() if dependent else 1.0
    out = np.empty(count)
    out[order] = np.minimum(1, np.minimum.accumulate(p[order] * count * factor / places))
    return out
