"""What people decided about the items of a report: which of them are no longer shown as wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from loss_logging.captions.decisions import SETTLED, Choice, Decision, Decisions, is_caption_in
from loss_logging.captions.ignore import Accepted
from loss_logging.captions.reason import FlaggedCaption
from loss_logging.captions.verdict import Verdict as CaptionVerdict
from loss_logging.captions.verdict import flagged_caption, without_accepted
from loss_logging.evidence.verdict import VERDICTS
from loss_logging.reports.file_parts import ItemText
from loss_logging.reports.items import read_items
from loss_logging.reports.report import LossReport, Verdicts, WorstItem

__all__ = ["DecidedItems", "decided_report"]

_FOLDER = r"[^/]*$"
_FOLDERS = "SELECT DISTINCT left(path, length(path) - length(parse_filename(path, false, 'forward_slash'))) FROM {}"


def decided_report(report: LossReport, decisions: Decisions, texts: Mapping[str, ItemText] | None = None) -> LossReport:
    """A report that was read without its items, with what was decided since it was written.

    Items that are settled (found fine, or excluded) are not in the ranking of captions that may be wrong, nor in the
    counts of verdicts; all others that somebody decided about have it as their ``decision``.

    Args:
        report: with the path of its file.
        decisions: about images.
        texts: of the file, from `opened_report`; without them it is opened again where captions may be wrong.

    Raises:
        ReportError, OSError: the figures of its items cannot be read.
    """
    decided = DecidedItems(decisions)
    found = report.verdicts
    if report.json_path is not None and found is not None and found.very_likely_wrong + found.look_at:
        columns = ["dataset", "path", "caption", "verdict", "decision"]
        decided.look(read_items(Path(report.json_path), columns, texts=texts))
    return decided.report(report)


class DecidedItems:
    """The decisions as they are now, over those that a report has kept.

    Args:
        decisions: about images.
    """

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self._folders: set[str] = set()
        self._by_path: dict[str, Decision] = {}
        self._counts: Counter[tuple[str, int]] = Counter()
        self.settled = 0
        """Items that `look` found to be settled and that the report does not have as such."""

    def of(self, path: str, caption: str | None, kept: Choice | None = None) -> Choice | None:
        """What stands on an item with this caption, of which a report has kept ``kept``."""
        self._learn([path[: path.rfind("/") + 1]])
        found = self._by_path.get(path)
        return kept if found is None else found.on(caption)

    def are_about(self, folders: Iterable[str]) -> bool:
        """Whether anything was decided about images in some folders."""
        self._learn(folders)
        return bool(self._by_path)

    def marked(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The figures of items, with the column ``decision`` as it is now."""
        for batch in batches:
            rows = self._decided_rows(batch)
            if not rows:
                yield batch
                continue
            column = batch["decision"].cast(pa.string()).to_pylist()
            for row, choice in rows:
                column[row] = choice
            place = batch.schema.get_field_index("decision")
            yield batch.set_column(place, batch.schema.field(place), pa.array(column, batch.schema.field(place).type))

    def mark(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        """Set the column ``decision`` of a table with ``path`` and ``caption`` to what it is now."""
        self._learn(folder for (folder,) in connection.execute(_FOLDERS.format(table)).fetchall())
        if not self._by_path:
            return
        query = f"SELECT DISTINCT path, caption FROM {table} WHERE path IN (SELECT unnest($about))"
        rows = [
            {"path": path, "caption": caption, "decision": self._by_path[path].on(caption)}
            for path, caption in connection.execute(query, {"about": list(self._by_path)}).fetchall()
        ]
        schema = pa.schema({"path": pa.string(), "caption": pa.string(), "decision": pa.string()})
        connection.register("decided", pa.Table.from_pylist(rows, schema))
        connection.execute(
            f"UPDATE {table} SET decision = decided.decision FROM decided "
            f"WHERE {table}.path = decided.path AND {table}.caption = decided.caption"
        )
        connection.unregister("decided")

    def corrected_since(self, connection: duckdb.DuckDBPyConnection, table: str) -> pa.Table:
        """Paths and captions of the items of a marked table whose caption was corrected after the report."""
        query = f"SELECT DISTINCT path, caption FROM {table} WHERE decision = 'caption'"
        found = connection.execute(query).fetchall()
        since = [one for one in found if (now := self._by_path.get(one[0])) and not is_caption_in(one[1], now.caption)]
        columns = zip(*since, strict=True) if since else ((), ())
        return pa.table([pa.array(column, pa.string()) for column in columns], ["path", "caption"])

    def look(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Count the items that are settled, or no longer are, so that `report` leaves them out of its counts."""
        for batch in batches:
            for row, choice in self._decided_rows(batch):
                change = (choice in SETTLED) - (batch["decision"][row].as_py() in SETTLED)
                verdict = batch["verdict"][row].as_py()
                place = VERDICTS.index(verdict) if verdict in VERDICTS else len(VERDICTS)
                self._counts[batch["dataset"][row].as_py(), place] += change
                self.settled += change

    def report(self, report: LossReport) -> LossReport:
        """The report without what is settled, and with what else was decided."""
        datasets = {
            name: dataset
            if dataset.verdicts is None
            else msgspec.structs.replace(dataset, verdicts=self._without_settled(dataset.verdicts, [name]))
            for name, dataset in report.datasets.items()
        }
        worst = msgspec.structs.replace(
            report.worst,
            hard=[self._item(item) for item in report.worst.hard],
            caption_mismatch=[
                item for item in map(self._item, report.worst.caption_mismatch) if item.decision not in SETTLED
            ],
        )
        flagged, summary = self._flagged(report)
        return msgspec.structs.replace(
            report,
            datasets=datasets,
            verdicts=None if report.verdicts is None else self._without_settled(report.verdicts, list(datasets)),
            worst=worst,
            flagged=flagged,
            flagged_summary=summary,
        )

    def _item(self, item: WorstItem) -> WorstItem:
        return msgspec.structs.replace(item, decision=self.of(item.path, item.caption, item.decision))

    def _without_settled(self, verdicts: Verdicts, datasets: list[str]) -> Verdicts:
        counts = msgspec.structs.astuple(verdicts)
        off = [sum(self._counts[name, place] for name in datasets) for place in range(len(counts))]
        return Verdicts(*(max(0, n - fewer) for n, fewer in zip(counts, off, strict=True)))

    def _flagged(self, report: LossReport) -> tuple[list[FlaggedCaption], dict[str, int]]:
        """The flagged captions without those that were found fine or excluded since."""
        accepted = Accepted([], self._decisions)
        kept, summary = [], Counter(report.flagged_summary)
        for one in report.flagged:
            if self.of(one.path, one.caption) is None:
                kept.append(one)
                continue
            verdict = without_accepted(CaptionVerdict(tuple(one.details)), one.path, one.caption, accepted)
            left = verdict.rules if verdict is not None else []
            summary.subtract(rule for rule in one.reasons if rule not in left)
            if verdict is not None:
                kept.append(flagged_caption(one.path, one.dataset, one.caption, one.loss, verdict))
        return kept, {rule: n for rule, n in summary.items() if n > 0}

    def _decided_rows(self, batch: pa.RecordBatch) -> list[tuple[int, Choice | None]]:
        """The rows about which something was decided."""
        self._learn(pc.unique(pc.replace_substring_regex(batch["path"], _FOLDER, "")).to_pylist())
        if not self._by_path:
            return []
        known = pc.indices_nonzero(pc.is_in(batch["path"], pa.array(list(self._by_path), pa.string()))).to_pylist()
        rows: list[tuple[int, Any, Any]] = [
            (row, batch["path"][row].as_py(), batch["caption"][row].as_py()) for row in known
        ]
        return [(row, self._by_path[path].on(caption)) for row, path, caption in rows]

    def _learn(self, folders: Iterable[str]) -> None:
        """Read the decisions about images in folders that are new."""
        if new := set(folders) - self._folders:
            self._folders |= new
            self._by_path |= self._decisions.among(new, undone=True)
