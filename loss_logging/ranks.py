"""Which of several training processes this one is."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

__all__ = ["Rank"]


class Rank(NamedTuple):
    """The rank of this process and how many there are, as ``torch.distributed`` or RANK and WORLD_SIZE have it."""

    rank: int
    world_size: int

    @classmethod
    def current(cls) -> Rank:
        """Look it up, without importing torch.

        >>> Rank.current()
        Rank(rank=0, world_size=1)
        """
        distributed = sys.modules.get("torch.distributed")
        if distributed is not None and distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
