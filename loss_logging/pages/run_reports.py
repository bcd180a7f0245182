"""The reports of one run, for a page that compares save steps."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from loss_logging.reports.artifact import ReportError, read_without_items
from loss_logging.reports.names import by_step
from loss_logging.reports.report import LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.support.progress_bar import progress_bar

__all__ = ["RunReports"]

_Key: TypeAlias = "tuple[Path, int, int]"


class RunReports:
    """The JSON reports of a run without the figures of the items; each file is decoded once.

    Args:
        config: the configuration of the run.
        through: the last save step to read; all when None.
        progress: show a progress bar if reading takes more than a second.
    """

    def __init__(self, config: TrainConfig, through: int | None = None, *, progress: bool = False) -> None:
        self._config = config
        self._through = through
        self._progress = progress
        self._read: dict[_Key, LossReport | str] = {}

    def add(self, report: LossReport) -> None:
        """Take a new report directly, instead of reading its file."""
        path = self._config.report_path(report.job.step)
        self._read[self._key(path)] = report

    def __call__(self) -> tuple[list[LossReport], list[str]]:
        """The reports by step, and a sentence for each file that is no readable report."""
        paths = self._config.report_paths()
        if self._through is not None:
            paths = [path for step, path in by_step(paths).items() if step <= self._through]
        self._read = dict(filter(None, map(self._entry, progress_bar("reading reports", paths, shown=self._progress))))
        reports = [report for report in self._read.values() if isinstance(report, LossReport)]
        return reports, [sentence for sentence in self._read.values() if isinstance(sentence, str)]

    def _entry(self, path: Path) -> tuple[_Key, LossReport | str] | None:
        try:
            key = self._key(path)
        except FileNotFoundError:
            return None  # removed after the listing of the folder
        try:
            return key, self._read.get(key) or read_without_items(path)
        except (ReportError, OSError) as error:
            return key, f"{path.name} is left out: {error}"

    @staticmethod
    def _key(path: Path) -> _Key:
        status = path.stat()
        return path, status.st_mtime_ns, status.st_size
