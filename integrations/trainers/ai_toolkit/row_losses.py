"""One loss per row, seen where ai-toolkit's ``calculate_loss`` reduces them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["RowLosses"]


class RowLosses(TorchFunctionMode):
    """Around ``calculate_loss``: its unreduced loss (B, C, H, W), or (B, C, T, H, W) of videos, as (B,).

    ``calculate_loss`` takes the mean over all dimensions but the first, multiplies the (B,) by ``loss_multiplier`` and
    SNR weights, adds the prior loss of inverted masks, and takes the mean. Terms of the whole batch come after that.
    Other means over all dimensions but the first (that prior loss) come before. Nothing is changed, and nothing waits
    for the device.

    Args:
        rows: B.

    Attributes:
        losses: (B,) what the first mean gave, detached; None when there was none.
        weighted: (B,) what the second mean is taken over, detached; None when there was none.

    Example:
        >>> losses, multipliers = torch.ones(2, 4, 8, 8), torch.tensor([1.0, 3.0])
        >>> with RowLosses(2) as rows:
        ...     loss = (losses.mean([1, 2, 3]) * multipliers).mean()
        >>> loss, rows.losses, rows.weighted
        (tensor(2.), tensor([1., 1.]), tensor([1., 3.]))
    """

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._rows = rows
        self.losses: torch.Tensor | None = None
        self.weighted: torch.Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call ``func``, and look at means."""
        result = func(*args, **(kwargs or {}))
        if func in (torch.Tensor.mean, torch.mean) and not torch.compiler.is_compiling():
            self._see_mean(result, *args, **(kwargs or {}))
        return result

    def _see_mean(self, mean: torch.Tensor, input: torch.Tensor, dim: Any = None, **_: Any) -> None:  # noqa: A002
        if self.weighted is not None:
            return
        of_each_row = isinstance(dim, (list, tuple)) and list(dim) == list(range(1, input.dim()))
        if of_each_row and mean.shape == (self._rows,):
            self.losses = mean.detach()
        elif self.losses is not None and input.shape == (self._rows,) and mean.dim() == 0:
            self.weighted = input.detach()
