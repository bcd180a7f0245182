"""The Trackio backend."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loss_logging.integrations.loggers.cells import clean_name, markdown_text
from loss_logging.reports.report import LossReport, Table
from loss_logging.trackers.backends import Requirements

if TYPE_CHECKING:
    from loss_logging.runs.config import TrainConfig

__all__ = ["TrackioBackend"]

_SENT_SECONDS = 2.0
"""Seconds after which Trackio has sent its data; it sends every half second."""


class TrackioBackend:
    """Writes scalars, histograms, curves (as histograms) and tables to a Trackio run.

    An existing run with that name is continued, also a run of the trainer. Trackio itself reports errors as Python
    warnings and raises none, so lost data are not sent again.

    Args:
        project: Trackio project.
        run_name: name of the run in the project.
        group: name of a group of runs.
        space_id: a Hugging Face Space to write to; else TRACKIO_SPACE_ID, or the local folder (TRACKIO_DIR).
        server_url: a Trackio server to write to; else TRACKIO_SERVER_URL.
    """

    name = "trackio"

    def __init__(
        self,
        *,
        project: str,
        run_name: str,
        group: str | None = None,
        space_id: str | None = None,
        server_url: str | None = None,
    ) -> None:
        self.project = project
        self._init = {"project": project, "name": run_name, "group": group}
        self._init |= {"space_id": space_id, "server_url": server_url}
        self._run: Any = None
        self._written: list[float] = []

    @classmethod
    def from_config(
        cls,
        config: TrainConfig,
        *,
        project: str | None = None,
        run_name: str | None = None,
        group: str | None = None,
        space_id: str | None = None,
        server_url: str | None = None,
    ) -> TrackioBackend:
        """``project`` and ``run_name`` default to the job's name."""
        return cls(
            project=project or config.job_name,
            run_name=run_name or config.job_name,
            group=group,
            space_id=space_id,
            server_url=server_url,
        )

    @classmethod
    def requirements(cls, **_: Any) -> Requirements:
        """The trackio package."""
        return Requirements({"trackio": "loss-logging[trackio]"})

    def write(self, report: LossReport) -> None:
        """Log one row with all data of the report."""
        import trackio

        run = self._open()
        row: dict[str, Any] = dict(report.scalars)
        for name, histogram in report.histograms.items():
            row[name] = trackio.Histogram(np_histogram=(histogram.counts, histogram.edges))
        for name, curve in report.curves.items():
            row[name] = trackio.Histogram(np_histogram=([mean or 0.0 for mean in curve.means], curve.edges))
        for name, table in report.tables.items():
            row[name] = trackio.Table(columns=table.columns, data=_rows(table))
        self._log(run, row, report.job.step)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Log one row."""
        self._log(self._open(), scalars, step)

    def forget_after(self, step: int) -> bool:  # noqa: ARG002
        """False: Trackio cannot hide later steps."""
        return False

    def unsettled(self) -> Sequence[int]:
        """The most recent calls, whose data Trackio may still hold in memory."""
        now = time.monotonic()
        return [call for call, at in enumerate(self._written) if now - at < _SENT_SECONDS]

    def close(self) -> None:
        """Send the remaining data, and end the run."""
        if self._run is not None:
            self._run.finish()
            self._run = None

    def _log(self, run: Any, row: Mapping[str, Any], step: int) -> None:
        run.log({clean_name(name): value for name, value in row.items()}, step=step)
        self._written.append(time.monotonic())

    def _open(self) -> Any:
        if self._run is None:
            import trackio

            self._run = trackio.init(**self._init, resume="allow", embed=False, auto_log_gpu=False, auto_log_cpu=False)
        return self._run


def _rows(table: Table) -> list[list[Any]]:
    """The rows with escaped texts, as Trackio renders text as markdown."""
    return [[markdown_text(value) if isinstance(value, str) else value for value in row] for row in table.rows]
