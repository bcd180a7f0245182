"""ReportMaker: the report of a step of a run, from its log; in the reporter, or after the run has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path

import msgspec
import pyarrow as pa

from loss_logging.captions.reason import DatasetCaptions, FlaggedCaption
from loss_logging.records.log import RecordLog
from loss_logging.reports.artifact import write_items, write_report
from loss_logging.reports.decided import DecidedItems
from loss_logging.reports.item_texts import item_texts
from loss_logging.reports.names import items_path
from loss_logging.reports.paired_warnings import paired_warnings
from loss_logging.reports.report import DatasetReport, Job, LossReport, Summary, Verdicts, Worst
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.facts import RunFacts
from loss_logging.statistics.captions import CaptionStatistics
from loss_logging.statistics.run import RunStatistics

__all__ = ["ReportMaker"]

_MOST_ITEMS_IN_JSON = 1_000_000
"""Half a gigabyte; what reads a JSON needs that much memory and more."""
_MOST_NAMED = 3


class ReportMaker:
    """Makes reports of one run.

    Args:
        config: of the run, in the folder where it is.
        log: the run's records.
        facts: what the run began with, which reports show.
    """

    def __init__(self, config: TrainConfig, log: RecordLog, facts: RunFacts) -> None:
        self._config = config
        self._log = log
        self._facts = facts
        self.statistics = RunStatistics.of(config, log, config.paths.spill)
        self._decisions = config.decisions
        self._decided = DecidedItems(self._decisions)
        self.captions = CaptionStatistics(self.statistics.queries, log, config.captions, self._decisions)

    def close(self) -> None:
        """Give the memory back."""
        self.statistics.close()

    def report(
        self,
        step: int,
        recent: dict[str, float],
        warnings: Iterable[str],
        excluded: Mapping[str, int] | None = None,
    ) -> LossReport:
        """The report of everything up to ``step``.

        Args:
            step: of the report.
            recent: mean loss per dataset since the last time.
            warnings: what a reader must know that the log does not tell.
            excluded: how many items of each dataset were left out of the training; as at its beginning when None.
        """
        config, statistics = self._config, self.statistics
        statistics.advance(step)
        summaries = statistics.summaries(config.top_k if config.log_per_example else 0)
        if not config.log_per_dataset:
            summaries = {name: _without_figures(summary) for name, summary in summaries.items()}
        overall = summaries.pop(None)
        paired = statistics.paired_items() if config.log_per_example else {}
        verdicts = statistics.verdicts() if config.log_per_example else {}
        distinct = statistics.distinct_captions() if any(counts.decided for counts in paired.values()) else {}
        captions: dict[str, DatasetCaptions] = {}
        flagged: list[FlaggedCaption] = []
        flagged_summary: dict[str, int] = {}
        if config.log_per_example:
            self.captions.check()
            captions = {name: self.captions.dataset(name) for name in paired}
            flagged, flagged_summary = self.captions.flagged(config.max_table_rows)
        self._decided = DecidedItems(self._decisions)
        judged = any(counts.judged for counts in verdicts.values())
        if judged and self._decided.are_about(statistics.folders):
            self._decided.look(statistics.items(by_dataset=False))
        more = config.top_k + self._decided.settled  # which are taken out again
        report = LossReport(
            job=Job(
                name=config.job_name,
                step=step,
                created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                world_size=self._facts.world_size,
                resumed_from=self._facts.resumed_from,
            ),
            config=self._facts.config,
            global_=overall,
            verdicts=sum(verdicts.values(), Verdicts()) if verdicts else None,
            datasets={
                name: DatasetReport(summary, paired.get(name), captions.get(name), verdicts.get(name))
                for name, summary in ((str(name), summary) for name, summary in summaries.items())
            },
            flagged=flagged,
            flagged_summary=flagged_summary,
            worst=Worst(statistics.worst_hard(config.top_k), statistics.worst_caption_mismatch(more))
            if config.log_per_example
            else Worst(),
            timestep_scale=statistics.timestep_scale,
            recent=recent,
            excluded=dict(self._facts.excluded if excluded is None else excluded),
            warnings=[*warnings, *self._warnings(summaries), *paired_warnings(paired, distinct, judged=judged)],
            json_path=str(config.report_path(step)),
        )
        decided = self._decided.report(report)
        worst = Worst(decided.worst.hard, decided.worst.caption_mismatch[: config.top_k])
        return msgspec.structs.replace(decided, worst=worst)

    def trained_although_excluded(self, begun: str) -> list[str]:
        """A sentence where items of the report that was made last had been excluded before the training.

        Args:
            begun: when it began, ISO 8601 in UTC.
        """
        folders = self.statistics.folders
        if not self._config.log_per_example or self.statistics.count_items() > _MOST_ITEMS_IN_JSON:
            return []
        if not self._decisions.are_about(folders):
            return []
        decided = self._decisions.among(folders).items()
        names = [name for name, one in decided if one.decision == "exclude" and (one.when or begun) <= begun]
        found = [path for (path,) in self.statistics.queries.rows("items_named", names=names)]
        if not found:
            return []
        are = "1 item is" if len(found) == 1 else f"{len(found):,} items are"
        return [
            f"{are} excluded and trained on all the same, such as {found[0]}: this training does not ask what a person "
            "has decided; make its dataset with LossLogger.exclusions.subset, or a folder with loss-logging apply"
        ]

    def write(self, report: LossReport) -> Path:
        """Write the report that was made last as JSON, and its items there or beside it; returns where it is.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        path = self._config.report_path(report.job.step)
        places = self._places_of_items()
        if "parquet" in places:
            write_items(items_path(path), self.items(by_dataset=False))
        write_report(path, report, self._texts() if "json" in places else ())
        return path

    def items(self, *, by_dataset: bool = True) -> Iterable[pa.RecordBatch]:
        """The figures of every item in the report that was made last; see `RunStatistics.items`."""
        if not self._config.log_per_example:
            return ()
        items = self.statistics.items(by_dataset=by_dataset)
        return self._decided.marked(items) if self._decided.are_about(self.statistics.folders) else items

    def _texts(self) -> Iterable[tuple[str, bytes]]:
        if self._decided.are_about(self.statistics.folders):
            return item_texts(self.items())
        return self.statistics.item_texts()

    def _places_of_items(self) -> set[str]:
        items = self._config.items
        if not self._config.log_per_example:
            return set()
        if items == "auto":
            return {"json" if self.statistics.count_items() <= _MOST_ITEMS_IN_JSON else "parquet"}
        return {"json", "parquet"} if items == "both" else {items}

    def _warnings(self, summaries: Mapping[str | None, Summary]) -> list[str]:
        sentences = [f"{path.name} is left out of the log: {reason}" for path, reason in self._log.unreadable.items()]
        if (outside := self.statistics.timesteps_outside()) is not None:
            n, low, high = outside
            sentences.append(
                f"{n} timesteps lie outside {low:g} to {high:g} and count to the nearest bin; set timestep_scale in "
                "the configuration"
            )
        if self.statistics.timesteps_are_mixed():
            sentences.append(
                "timesteps from 0 to 1 and timesteps of hundreds share one curve; log all of them on the same scale"
            )
        sentences += [*_non_finite(summaries), *_beyond_sums(summaries)]
        if not self._config.log_per_example:
            return sentences
        return [*sentences, *self.statistics.unjudged, *self.captions.warnings]


def _non_finite(summaries: Mapping[str | None, Summary]) -> list[str]:
    """A sentence where losses are in no figure, as trackers show no number of them."""
    found = sorted((-one.non_finite, str(name), one.count) for name, one in summaries.items() if one.non_finite)
    if not found:
        return []
    shown = ", ".join(f"{-lost} of {count} of {name}" for lost, name, count in found[:_MOST_NAMED])
    others = f", and of {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return [f"losses are NaN or infinite, and in no figure but their number: {shown}{others}"]


def _beyond_sums(summaries: Mapping[str | None, Summary]) -> list[str]:
    """A sentence where losses are finite, and their sum or that of their squares is not."""
    numbers = {name: one for name, one in summaries.items() if one.count > one.non_finite}
    found = sorted(str(name) for name, one in numbers.items() if one.mean is None or one.std is None)
    if not found:
        return []
    others = f", and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return [
        "losses are so large that a sum of them is infinite, and have no mean or spread: "
        f"{', '.join(found[:_MOST_NAMED])}{others}"
    ]


def _without_figures(summary: Summary) -> Summary:
    return msgspec.structs.replace(summary, histogram=None, loss_by_timestep=None)
