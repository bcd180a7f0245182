"""Packs figures into few bytes, for a page that holds them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["NO_FIGURE", "packed_figures"]

NO_FIGURE = -(2**15)
"""The code of NaN, infinite and missing figures."""


def packed_figures(values: npt.NDArray[np.float64], digits: int, decimals: int = 300) -> bytes:
    """Figures with ``digits`` significant digits, each as two signed 16-bit integers: its digits and a power of ten.

    The bytes are in four planes of n bytes: low and high bytes of the digits, low and high bytes of the powers. Bytes
    of one kind compress best together.

    Args:
        values: (n,) figures; NaN and infinity are allowed.
        digits: number of significant digits, 1 to 4.
        decimals: largest number of decimals.

    Example:
        >>> packed_figures(np.array([0.25, -1.5]), digits=2).hex(" ")
        '19 f1 00 ff fe ff ff ff'
    """
    finite = np.isfinite(values)
    size = np.log10(np.abs(np.where(finite & (values != 0), values, 1.0)))
    powers = np.clip(np.floor(size) - digits + 1, -decimals, None)
    with np.errstate(over="ignore"):
        scaled = np.where(powers < 0, values * 10.0**-powers, values / 10.0**powers)
    integers = np.where(finite, np.round(scaled), NO_FIGURE)
    return b"".join(
        np.ascontiguousarray(column.astype("<i2")).view(np.uint8)[byte::2].tobytes()
        for column in (integers, powers)
        for byte in (0, 1)
    )
