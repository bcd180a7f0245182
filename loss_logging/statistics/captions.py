"""CaptionStatistics: the flags on the captions of a run, over a growing log."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loss_logging.captions.checker import CaptionChecker
from loss_logging.captions.comparison import CaptionComparison, same_image
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.decisions import Decisions
from loss_logging.captions.ignore import Accepted, IgnoreList
from loss_logging.captions.names import Style
from loss_logging.captions.reason import SEVERITIES, DatasetCaptions, FlaggedCaption, Reason
from loss_logging.captions.style import STYLES, common_style, styles_alone
from loss_logging.captions.verdict import Verdict, flagged_caption, without_accepted
from loss_logging.records.log import FOREVER
from loss_logging.statistics.queries import Queries, parts_of, sql
from loss_logging.support.warn import LOGGER

if TYPE_CHECKING:
    from loss_logging.records.log import RecordLog

__all__ = ["CaptionStatistics"]

_CHECKED = pa.schema({"caption_hash": pa.uint64(), "dataset": pa.uint32(), "style": pa.int8()})
_VERDICT = {
    "reasons": pa.list_(pa.string()),
    "severity": pa.int64(),
    "score": pa.float64(),
    "verdict": pa.binary(),
}
_FLAGGED_CAPTIONS = pa.schema({"dataset": pa.string(), "caption": pa.string(), **_VERDICT})
_FLAGGED_ITEMS = pa.schema({"path": pa.string(), "dataset": pa.string(), **_VERDICT})
_COMPARED = pa.schema({"item_hash": pa.uint64(), "number": pa.int64()})
_ROWS = 32_768
_MOST_COMPARED = 250_000  # items: a comparison keeps about 1 kB per item in memory
_MOST_GONE = 0.5  # share of replaced captions at which the comparison starts anew


class CaptionStatistics:
    """Applies the rules to the captions of a run: to each caption once, and to the captions of all items in comparison.

    It judges the last caption of each item. Hashes of the captions and the reasons are kept from one save step to the
    next.

    Args:
        queries: the queries with the tables of `RunStatistics`.
        log: the run's records.
        config: the settings of the rules.
        decisions: a person's decisions about items.

    Raises:
        ConfigError: a rule or a tokenizer that the configuration names does not exist.
    """

    def __init__(self, queries: Queries, log: RecordLog, config: CaptionConfig, decisions: Decisions) -> None:
        self._queries = queries
        self._log = log
        self._config = config
        self._accepted = Accepted([IgnoreList(config.ignore)], decisions)
        self._checker = CaptionChecker(config)
        self._styles: dict[str, Style | None] = {}
        self._told: dict[str, Style | None] = {}
        self._number_of: dict[str, int] = {}
        self._seen: defaultdict[str, Counter[Style]] = defaultdict(Counter)
        self._reasons: defaultdict[str, list[Reason]] = defaultdict(list)
        self._comparison: CaptionComparison | None = None
        self._gone: set[int] = set()  # numbers of replaced captions in the comparison
        self._early_through = -1
        self._checked: tuple[Any, ...] = ()
        for name, schema in (
            ("checked_captions", _CHECKED),
            ("flagged_captions", _FLAGGED_CAPTIONS),
            ("flagged_items", _FLAGGED_ITEMS),
            ("compared_items", _COMPARED),
        ):
            queries.insert(name, schema.empty_table())

    def check_early(self, through: int) -> None:
        """Check each caption up to step ``through`` by itself, so that the save step has less to do."""
        if through <= self._early_through:
            return
        steps = {"after": self._early_through, "through": through}
        self._queries.read(self._log.files())
        for shards, parts in self._pieces(**steps):
            with self._queries.reading(shards):
                for part in range(parts):
                    self._check(
                        self._queries.batches(sql("unchecked_captions"), _ROWS, parts=parts, part=part, **steps)
                    )
        self._early_through = through

    def check(self) -> None:
        """Check the present captions of all items, unless they are those of the last time."""
        now = self._queries.rows("captions_now")[0]
        if now == self._checked:
            return
        self._check_items()
        if self._guess():
            self._check_items()
        self._compare()
        self._checked = now

    def dataset(self, name: str) -> DatasetCaptions:
        """The profile of a dataset's captions, and the reasons against the dataset as a whole."""
        return DatasetCaptions(self._style(name), self._config.profile(name) == "auto", self._reasons.get(name, []))

    @property
    def warnings(self) -> list[str]:
        """Sentences on rules and items that the comparison leaves out."""
        items = self._queries.value("SELECT count(*) FROM item_statistics WHERE checkable")
        if not self._comparison or items <= _MOST_COMPARED:
            return []
        compared = f"captions were compared with one another among {len(self._comparison):,} of {items:,} items"
        return [f"{compared}; loss-logging check-captions compares all of a folder"]

    def flagged(self, k: int) -> tuple[list[FlaggedCaption], dict[str, int]]:
        """The first ``k`` items with a flagged caption, in `flagged_order`, and the number of items that each rule
        objects to, most frequent first; both without accepted captions."""
        if not self._accepted.about(folder for (folder,) in self._queries.rows("flagged_folders")):
            return list(self._flagged(k)), dict(self._queries.rows("flagged_summary"))
        flagged: list[FlaggedCaption] = []
        summary: Counter[str] = Counter()
        for one in self._flagged(FOREVER):
            verdict = without_accepted(Verdict(tuple(one.details)), one.path, one.caption, self._accepted)
            if verdict is not None:
                summary.update(verdict.rules)
                if len(flagged) < k:
                    flagged.append(flagged_caption(one.path, one.dataset, one.caption, one.loss, verdict))
        return flagged, dict(summary.most_common())

    def _flagged(self, k: int) -> Iterator[FlaggedCaption]:
        decode = msgspec.msgpack.Decoder(tuple[Reason, ...]).decode
        for path, dataset, caption, loss, alone, beside in self._queries.rows("flagged", k=k):
            reasons = tuple(reason for part in (alone, beside) if part is not None for reason in decode(part))
            yield flagged_caption(path, dataset, caption, loss, Verdict(reasons))

    def _style(self, dataset: str) -> Style | None:
        declared = self._config.profile(dataset)
        return self._styles.get(dataset) if declared == "auto" else declared

    def _check_items(self) -> None:
        parts = parts_of(self._queries.value("SELECT count(*) FROM items"))
        for part in range(parts):
            self._check(self._queries.batches(sql("unchecked_items"), _ROWS, parts=parts, part=part))

    def _pieces(self, after: int, through: int) -> Iterator[tuple[list[Path], int]]:
        """Groups of shards with about the records of one part, each with the number of parts to read it in."""
        shards = self._log.files()
        if parts_of(self._queries.count(after, through)) <= 1:
            yield shards, 1
            return
        held: list[Path] = []
        records = 0
        for shard in shards:
            held.append(shard)
            records += pq.read_metadata(shard).num_rows
            if (parts := parts_of(records)) > 1 or shard == shards[-1]:
                yield held, parts
                held, records = [], 0

    def _check(self, batches: Iterable[pa.RecordBatch]) -> None:
        for batch in batches:
            styles = styles_alone(*_text_and_ends(batch["caption"]))
            datasets = batch["dataset"].dictionary_encode()
            names, places = datasets.dictionary.to_pylist(), datasets.indices.to_numpy()
            self._foresee(names, places, styles)
            numbers = np.array([self._number_of.setdefault(name, len(self._number_of)) for name in names], np.uint32)
            self._insert("checked_captions", _CHECKED, batch["caption_hash"], numbers[places], styles)
            if self._checker.has_rules:
                self._judge(batch["dataset"].to_pylist(), batch["caption"].to_pylist())

    def _judge(self, datasets: Sequence[str], captions: Sequence[str]) -> None:
        styles = map(self._styles.__getitem__, datasets)
        verdicts = self._checker.check_all(zip(captions, datasets, styles, strict=True))
        flagged = [
            (dataset, caption, *_encoded(verdict))
            for dataset, caption, verdict in zip(datasets, captions, verdicts, strict=True)
            if verdict is not None
        ]
        self._insert("flagged_captions", _FLAGGED_CAPTIONS, *zip(*flagged, strict=True))

    def _foresee(self, names: Sequence[str], places: Any, styles: Any) -> None:
        """Guess the style of new datasets before all items are known; `_guess` decides later.

        Args:
            names: of datasets.
            places: (n,) the place of each caption's dataset among them.
            styles: (n,) the places of styles, as `styles_alone` gives them.
        """
        of_each = np.bincount(places * (1 + len(STYLES)) + styles + 1, minlength=len(names) * (1 + len(STYLES)))
        for name, (_, *counts) in zip(names, of_each.reshape(len(names), -1).tolist(), strict=True):
            self._seen[name].update({style: n for style, n in zip(STYLES, counts, strict=True) if n})
            if name not in self._styles:
                self._styles[name] = common_style(self._seen[name], 1)

    def _guess(self) -> bool:
        """Guess the style of each dataset. Returns whether a guess changed, so that captions must be judged again."""
        counts: defaultdict[str, Counter[Style]] = defaultdict(Counter)
        most_alike: Counter[str] = Counter()
        for dataset, style, count, most in self._queries.rows("caption_styles"):
            counts[dataset][STYLES[style]] = count
            most_alike[dataset] = max(most, most_alike[dataset])
        guessed = {name: common_style(styles, most_alike[name]) for name, styles in counts.items()}
        changed = [name for name, style in guessed.items() if style != self._styles[name]]
        again = [name for name in changed if self._config.profile(name) == "auto"]
        self._styles |= guessed
        for name in guessed:
            self._tell(name)
        if again:
            self._queries.delete("checked_captions", "dataset", [self._number_of[name] for name in again])
            self._queries.delete("flagged_captions", "dataset", again)
            self._comparison = None
        return bool(again)

    def _tell(self, dataset: str) -> None:
        """Log the guessed style of a dataset, once."""
        style = self._styles[dataset]
        if style != self._told.get(dataset) and self._config.profile(dataset) == "auto":
            LOGGER.info("the captions of %s are taken for %s; set captions.profiles if they are not", dataset, style)
        self._told[dataset] = style

    def _compare(self) -> None:
        """Compare the captions of the items with one another."""
        before = self._comparison, len(self._comparison or ()), self._gone
        comparison = self._up_to_date()
        if before != (comparison, len(comparison), self._gone):
            self._note(comparison)
        self._comparison = comparison  # only now: an interrupted comparison starts anew

    def _note(self, comparison: CaptionComparison) -> None:
        """Store the reasons for the report."""
        self._reasons.clear()
        by_item: defaultdict[int, list[Reason]] = defaultdict(list)
        for where, reason in comparison.found({name: self._style(name) for name in self._styles}, self._gone):
            (self._reasons[where] if isinstance(where, str) else by_item[where]).append(reason)
        items = [comparison.kept(number)[:2] for number in by_item]
        verdicts = [_encoded(Verdict(tuple(reasons))) for reasons in by_item.values()]
        self._queries.clear("flagged_items")
        self._insert("flagged_items", _FLAGGED_ITEMS, *zip(*items, strict=True), *zip(*verdicts, strict=True))

    def _up_to_date(self) -> CaptionComparison:
        """The comparison of the captions of all items."""
        comparison = self._comparison
        compares = comparison is not None and comparison.has_rules
        self._gone = {number for (number,) in self._queries.rows("gone_items")} if compares else set()
        if comparison is None or len(self._gone) > _MOST_GONE * len(comparison):
            comparison, self._gone = CaptionComparison(self._config), set()
            self._queries.clear("compared_items")
            for warning in comparison.warnings:
                LOGGER.info(warning)
        self._comparison = None
        room = _MOST_COMPARED - len(comparison) if comparison.has_rules else 0
        for batch in self._queries.batches(sql("uncompared_items"), _ROWS, room=room):
            columns = [batch[name].to_pylist() for name in ("path", "dataset", "caption")]
            numbers = []
            for item in zip(*columns, strict=True):
                path, dataset, _ = item
                numbers.append(comparison.keep(*item))
                comparison.add(numbers[-1], item, self._style(dataset), same_image(path))
            self._insert("compared_items", _COMPARED, batch["item_hash"], numbers)
        return comparison

    def _insert(self, name: str, schema: pa.Schema, *columns: Any) -> None:
        if columns:
            arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
            self._queries.insert(name, pa.Table.from_arrays(arrays, schema=schema))


def _text_and_ends(captions: pa.Array) -> tuple[Any, Any]:
    """The captions in UTF-8, one after the other, and where each begins and ends."""
    _, offsets, text = captions.cast(pa.large_string()).buffers()
    ends = np.frombuffer(offsets, np.int64)[captions.offset : captions.offset + len(captions) + 1]
    found = np.frombuffer(text or b"", np.uint8)[ends[0] : ends[-1]]
    return found, ends - ends[0]


def _encoded(verdict: Verdict) -> tuple[list[str], int, float, bytes]:
    """A verdict as the columns of a table."""
    return verdict.rules, SEVERITIES.index(verdict.severity), verdict.score, msgspec.msgpack.encode(verdict.reasons)
