"""KeptDecisions: what was decided about each item, as the page asks for it."""

from __future__ import annotations

from loss_logging.pages.served.editor import State

__all__ = ["KeptDecisions"]


class KeptDecisions:
    def __init__(self) -> None:
        self._decided: dict[tuple[str, str], str] = {}

    def of(self, dataset: str, path: str) -> str:
        return self._decided.get((dataset, path), "")

    def keep(self, dataset: str, path: str, wanted: State, before: str | None) -> None:
        if wanted.decision:
            self._decided[dataset, path] = wanted.decision
        else:
            self._decided.pop((dataset, path), None)

    def all(self) -> dict[tuple[str, str], str]:
        return dict(self._decided)
