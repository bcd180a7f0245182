"""Missed: the data of a run that a backend's ledger lacks, with reports from JSON files and scalars from the log."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from loss_logging.records.log import RecordLog
from loss_logging.reports.artifact import ReportError, read_without_items
from loss_logging.reports.names import by_step
from loss_logging.reports.report import loss_scalar_name
from loss_logging.statistics.run import RunStatistics
from loss_logging.trackers.ledger import Ledger
from loss_logging.trackers.noted import Row

if TYPE_CHECKING:
    from loss_logging.runs.config import TrainConfig

__all__ = ["Missed", "all_missed", "missed_at_the_end"]

_MOST_LATE_REPORTS = 16


class Missed(msgspec.Struct, frozen=True):
    """``reports``: the JSON files of missing reports by step. ``scalars``: the missing rows of scalars. A row at the
    step of a missing report is part of that report, unless the report has no means."""

    reports: dict[int, Path]
    scalars: list[Row]

    @property
    def first(self) -> int | None:
        """The first step with missing data; None if none are missing."""
        return min([*self.reports, *(row.step for row in self.scalars)], default=None)

    def __len__(self) -> int:
        return len(self.reports) + len(self.scalars)

    def rows(self, unreadable: Callable[[int, str], object]) -> Iterator[Row]:
        """All missing rows by step. Each report is read in its turn; for an unreadable one, ``unreadable`` gets its
        step and the reason."""
        scalars = {row.step: row for row in self.scalars}
        for step in sorted({*scalars, *self.reports}):
            if step not in self.reports:
                yield scalars[step]
                continue
            try:
                report = read_without_items(self.reports[step])
            except (ReportError, OSError) as error:
                unreadable(step, str(error))
                continue
            if step in scalars and not report.recent:
                yield scalars[step]
            yield Row(step, report)


def all_missed(config: TrainConfig, ledger: Ledger) -> Missed:
    """All data that ``ledger`` lacks, by step."""
    reports = {step: path for step, path in _reports(config).items() if ledger.is_missing(step, is_report=True)}
    return Missed(reports, _missed_scalars(config, ledger, -1, RecordLog(config.records_dir).last_step_of_all()))


def missed_at_the_end(config: TrainConfig, ledger: Ledger, through: int) -> Missed:
    """The data that ``ledger`` lacks after its last entry: a killed process had not delivered them yet.

    Data older than a delivered entry are left out, as a tracker may show data in the order of their arrival.
    """
    last = ledger.last
    late = {step: path for step, path in _reports(config).items() if step > last}
    reports = dict(list(late.items())[:_MOST_LATE_REPORTS])
    if len(late) > len(reports):
        through = min(through, max(reports))
    return Missed(reports, _missed_scalars(config, ledger, last, through))


def _missed_scalars(config: TrainConfig, ledger: Ledger, after: int, through: int) -> list[Row]:
    """The rows of scalars of the run, one per window of ``log_every`` steps.

    A window also ends at a save step, whose report has the means, and at the step after which the run was resumed.
    """
    if not config.log_per_dataset or through <= after:
        return []
    ends = {*_reports(config), *ledger.reports, *ledger.resumed_from}
    # Multiples of log_every end a window anyway.
    cuts = sorted(step for step in ends if step % config.log_every and after < step < through)
    statistics = RunStatistics.of(config, RecordLog(config.records_dir), config.paths.spill)
    try:
        windows = [
            window
            for start, end in itertools.pairwise([after, *cuts, through])
            for window in statistics.recent(start, end, config.log_every)
        ]
    finally:
        statistics.close()
    return [
        Row(step, {loss_scalar_name(config.prefix, dataset): mean for dataset, mean in means.items()})
        for step, means in windows
        if ledger.is_missing(step, is_report=False) and ledger.is_missing(step, is_report=True)
    ]


def _reports(config: TrainConfig) -> dict[int, Path]:
    return by_step(config.report_paths())
