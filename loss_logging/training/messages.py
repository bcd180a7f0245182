"""What the trainer's process and the reporter process say to each other: one JSON object a line."""

from __future__ import annotations

from typing import Any

import msgspec

from loss_logging.reports.report import LossReport
from loss_logging.trackers.backends import BackendSpec

__all__ = [
    "ALIVE_SECONDS",
    "Alive",
    "Close",
    "Closed",
    "Command",
    "Failed",
    "Notice",
    "Reply",
    "Save",
    "Saved",
    "Scalars",
    "Start",
]

ALIVE_SECONDS = 5.0


class Start(msgspec.Struct, frozen=True, tag=True):
    """The first line. ``run`` is the identity that other ranks have joined; ``scalars_through`` the last step whose
    scalars were reported before; ``forward`` asks for whole reports and scalars in the replies, for backends in the
    trainer's process."""

    config: dict[str, Any]
    backends: list[BackendSpec]
    world_size: int
    run: str
    resumed_from: int | None
    scalars_through: int
    forward: bool


class Notice(msgspec.Struct, frozen=True, tag=True):
    """The log holds records up to ``step``."""

    step: int


class Save(msgspec.Struct, frozen=True, tag=True):
    """Report on everything up to ``step``. ``warnings`` go into the report; the answer has the same ``serial``.

    ``excluded``: how many items of each dataset were left out of the training. ``rivals``: whether the trainer has
    asked for any, so that they are worth looking for.
    """

    step: int
    warnings: list[str] = []
    serial: int = 0
    excluded: dict[str, int] = {}
    rivals: bool = False


class Close(msgspec.Struct, frozen=True, tag=True):
    """Report the scalars up to ``step``, close the backends within ``timeout`` seconds, and end."""

    step: int
    timeout: float


class Scalars(msgspec.Struct, frozen=True, tag=True):
    """Means per tracker name of the windows of steps that end at each step, up to ``through``."""

    through: int
    rows: list[tuple[int, dict[str, float]]]


class Saved(msgspec.Struct, frozen=True, tag=True):
    """A save step is done and its JSON written to ``path``."""

    step: int
    path: str
    report: LossReport | None
    serial: int = 0


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A save step could not be done."""

    step: int
    reason: str
    serial: int = 0


class Closed(msgspec.Struct, frozen=True, tag=True):
    """The last line: what the backends could not deliver, in sentences."""

    undelivered: list[str]


class Alive(msgspec.Struct, frozen=True, tag=True):
    """Nothing new: said every `ALIVE_SECONDS`, so that a stopped process can be told from one that works."""


Command = Notice | Save | Close
Reply = Scalars | Saved | Failed | Closed | Alive
