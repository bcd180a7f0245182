"""LossReport: the immutable, host-only snapshot that the JSON artifact, the backends and the pages show.

Tracker names are decided here, once, so that every tracker shows the same ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from loss_logging.captions.decisions import Choice
from loss_logging.captions.reason import DatasetCaptions, FlaggedCaption
from loss_logging.evidence.verdict import VERDICTS, Verdict
from loss_logging.support.extras import is_installed, missing_package

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = [
    "DECISIVE_PAIRS",
    "READABLE",
    "SCHEMA_NAME",
    "DatasetReport",
    "Histogram",
    "ItemStats",
    "Job",
    "LossReport",
    "PairedItems",
    "Picture",
    "Summary",
    "Table",
    "TimestepCurve",
    "TopRecord",
    "Verdicts",
    "Worst",
    "WorstItem",
    "loss_scalar_name",
]

SCHEMA_NAME = "loss_logging/report/2"
READABLE = ("loss_logging/report/1", SCHEMA_NAME)
"""The schemas that are read. A report of schema 1 has no verdicts, and is otherwise the same."""

DECISIVE_PAIRS = 4
"""The number of paired records from which an item's caption is decided; nothing follows from fewer."""


class Histogram(msgspec.Struct, frozen=True):
    """Counts of finite losses between consecutive ``edges``; ``len(edges) == len(counts) + 1``, edges ascend."""

    edges: list[float]
    counts: list[int]


class TimestepCurve(msgspec.Struct, frozen=True):
    """Mean loss per timestep bin; None for a bin without records. ``edges`` are in the trainer's own timestep scale.
    There are at most 20 bins: of equal width on a configured scale, otherwise with equal numbers of the run's first
    timesteps."""

    edges: list[float]
    counts: list[int]
    means: list[float | None]


class TopRecord(msgspec.Struct, frozen=True):
    """One of the highest losses of a dataset; at most one per item."""

    path: str
    caption: str
    loss: float
    step: int
    timestep: float | None = None


class Summary(msgspec.Struct, frozen=True):
    """The losses of one dataset, or of all.

    ``count`` counts every record, the ``non_finite`` ones (NaN, infinity) included; every other figure is over the
    finite ones and None where there are none. ``std`` is the population standard deviation. ``quantiles`` maps "0.05",
    "0.25", "0.5", "0.75", "0.95", "0.99" to values; ``quantile_method`` says whether they (and ``median``) are exact or
    read off bins at most 1.1% wide.
    """

    count: int
    mean: float | None
    median: float | None
    min: float | None
    max: float | None
    std: float | None
    non_finite: int
    quantiles: dict[str, float | None]
    quantile_method: Literal["exact", "binned"] = "exact"
    histogram: Histogram | None = None
    loss_by_timestep: TimestepCurve | None = None
    top_k: list[TopRecord] = []


class ItemStats(msgspec.Struct, frozen=True, omit_defaults=True):
    """The losses of one item over the whole run. ``count`` includes ``non_finite``; the rest is over finite losses.

    ``last_loss`` and ``caption`` are of the last step that has one; of several records at that step, of any.
    ``std_z`` is the population standard deviation of the standardised losses whose sum is behind ``hard``.

    ``caption_mismatch`` is the mean of ``(loss - loss_empty) / ((loss + loss_empty) / 2)``, from -2 to 2, over
    ``n_paired`` records: those with ``loss_empty`` whose caption is not empty and was not dropped, neither loss being
    negative nor both zero. ``standard_error`` is its standard error. An item with fewer than 4 of these records is
    undecided: do not rank by its ``caption_mismatch``. ``robust_z`` says how far the item lies above the median of its
    dataset, see `PairedItems`; it is None for an undecided item.

    ``rival_mismatch`` is the same of ``loss_rival``, over ``n_rival`` records, with the standard error ``rival_error``:
    how much higher the loss is with the caption than with its rival, the other caption that the picture fits best.
    ``evidence`` names what is behind the verdict: "pictures", "empty" and "rival", with commas between them.

    ``verdict`` is the verdict on the caption, see `Verdicts`; None is undecided. ``p_wrong`` is the probability, from 0
    to 1, that the caption belongs to another picture, from the pictures and, as far as they are found to know more, the
    losses. It is None where losses alone judge, because nothing calibrates it there. ``picture_odds`` and ``loss_odds``
    are the log odds that each adds to it; the rest is the share of wrong captions, the same for all. ``word`` is the
    word that the picture fits least, of a caption that may be wrong, and ``better_word`` the word that it fits best.
    ``word_score``, from 0 to 1, ranks captions of which a single word is wrong, among all items: the mean of the ranks
    by what pictures say of words and by the rival, where each is known. It is no probability.
    ``p_odd`` is the probability that the image is unlike the others of its dataset, harder or easier; None with fewer
    than 30 images. ``decision`` is a person's decision about the item with this caption; None where there is none.

    The JSON leaves out fields that have their default: there may be millions of items."""

    count: int
    average_loss: float | None
    min_loss: float | None
    max_loss: float | None
    std_loss: float | None
    last_loss: float | None
    hard: float | None
    caption_mismatch: float | None
    caption: str
    non_finite: int = 0
    std_z: float | None = None
    n_paired: int = 0
    standard_error: float | None = None
    robust_z: float | None = None
    p_wrong: float | None = None
    p_odd: float | None = None
    verdict: Verdict | None = None
    rival_mismatch: float | None = None
    n_rival: int = 0
    rival_error: float | None = None
    evidence: str | None = None
    picture_odds: float | None = None
    loss_odds: float | None = None
    word: str | None = None
    better_word: str | None = None
    word_score: float | None = None
    decision: Choice | None = None


class PairedItems(msgspec.Struct, frozen=True):
    """How many items of a dataset have enough paired records to judge their caption.

    ``decided`` items have 4 paired records or more and a caption_mismatch; ``undecided`` ones have fewer, or none that
    can be computed; ``unpaired`` ones have no paired record. ``median`` and ``mad`` (median absolute deviation) are of
    the decided items' caption_mismatch, and None without such items. An item's ``robust_z`` is ``(caption_mismatch -
    median) / (1.4826 * mad)``, the modified z-score of Iglewicz and Hoaglin, "How to Detect and Handle Outliers"
    (1993), who call 3.5 an outlier; it is None where ``mad`` is zero (below 1e-9). ``above_zero`` counts the decided
    items with a caption_mismatch above 0. ``median_method`` says whether ``median`` and ``mad`` are exact, or of values
    rounded to a multiple of 2^-16: off by at most that.
    """

    decided: int
    undecided: int
    unpaired: int
    median: float | None
    mad: float | None
    above_zero: int = 0
    median_method: Literal["exact", "binned"] = "exact"


class Verdicts(msgspec.Struct, frozen=True):
    """The number of captions with each verdict. Captions that a person has marked as fine and those of excluded images
    do not count.

    ``very_likely_wrong``: at most one in ten of them is expected to be right. ``look_at``: worth a look; a quarter of
    them or more may be right. ``no_sign``: nothing says that they are wrong. ``undecided``: they have too few paired
    records, or it cannot be told. With pictures, verdicts follow ``p_wrong``, and a caption that the losses alone would
    call very likely wrong is at least worth a look. From losses alone they are one-sided t tests that a caption does
    not hurt, with moderated standard errors (Smyth, 2004) and the false discoveries of all datasets together kept at
    10% (Benjamini and Yekutieli, 2001) and 25% (Benjamini and Hochberg, 1995).
    """

    very_likely_wrong: int = 0
    look_at: int = 0
    no_sign: int = 0
    undecided: int = 0

    @property
    def judged(self) -> int:
        """How many captions have a verdict.

        >>> Verdicts(2, 3, 40, 5).judged
        45
        """
        return self.very_likely_wrong + self.look_at + self.no_sign

    def __add__(self, other: Verdicts) -> Verdicts:
        """The sum of both, verdict by verdict.

        >>> Verdicts(1, 2) + Verdicts(1, no_sign=7)
        Verdicts(very_likely_wrong=2, look_at=2, no_sign=7, undecided=0)
        """
        ours, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Verdicts(*map(sum, zip(ours, theirs, strict=True)))


class DatasetReport(msgspec.Struct, frozen=True):
    """One dataset. ``verdicts`` is None where no record has a pair and no picture was compared. ``item_stats`` (by
    path) lives in the JSON artifact; it is empty in what backends receive."""

    summary: Summary
    paired_items: PairedItems | None = None
    captions: DatasetCaptions | None = None
    verdicts: Verdicts | None = None
    item_stats: dict[str, ItemStats] = {}


class WorstItem(msgspec.Struct, frozen=True):
    """An item in one of the two rankings. ``score`` is None for a caption that its picture alone contradicts, without a
    paired record. ``count`` is the number of records behind it; ``standard_error``, ``t`` and ``robust_z`` belong to
    caption_mismatch, ``std_z`` to hard; each is None in the other ranking. The rest is as in `ItemStats`."""

    dataset: str
    path: str
    caption: str
    score: float | None
    count: int
    average_loss: float | None
    standard_error: float | None = None
    t: float | None = None
    robust_z: float | None = None
    std_z: float | None = None
    verdict: Verdict | None = None
    p_wrong: float | None = None
    p_odd: float | None = None
    decision: Choice | None = None
    word: str | None = None
    better_word: str | None = None


class Worst(msgspec.Struct, frozen=True):
    """The two rankings, worst first. ``caption_mismatch`` lists captions that are very likely wrong first, then those
    to look at, then all others; within each group it is sorted by ``p_wrong``, then by the mean of caption_mismatch
    and, where there is one, rival_mismatch. An undecided item is in it only if its picture contradicts its caption:
    ``paired_items`` of each dataset counts them."""

    hard: list[WorstItem] = []
    caption_mismatch: list[WorstItem] = []

    def having(self, verdict: Verdict) -> list[WorstItem]:
        """The items of the ranking by caption_mismatch that have this verdict."""
        return [item for item in self.caption_mismatch if item.verdict == verdict]


class Picture(msgspec.Struct, frozen=True):
    """A small picture of an item: an encoded ``image`` (WebP), or None and the ``reason`` why there is none."""

    dataset: str
    path: str
    image: bytes | None
    reason: str = ""


class Job(msgspec.Struct, frozen=True):
    """The run and the save step of a report. ``created`` is ISO 8601 in UTC."""

    name: str
    step: int
    created: str
    world_size: int = 1
    resumed_from: int | None = None


class Table(msgspec.Struct, frozen=True):
    """A small table; each column holds one type (and None)."""

    columns: list[str]
    rows: list[list[Any]]


def loss_scalar_name(prefix: str, dataset: str) -> str:
    """The tracker name of a dataset's mean loss since the last time it was reported.

    >>> loss_scalar_name("loss_logging", "cats")
    'loss_logging/loss/cats'
    """
    return f"{prefix}/loss/{dataset}"


class LossReport(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema", "global_": "global"}):
    """All figures of one save step. The figures of the items are in the JSON file at ``json_path``.

    ``timestep_scale`` is the configured last timestep; None where the first timesteps made the bins. ``recent`` maps
    dataset names to the mean loss since the last reported scalar. ``excluded`` maps them to the number of items that
    were left out of the training by a person's decision. ``verdicts`` are of all datasets together. ``warnings`` are
    sentences that a reader needs before trusting the figures (dropped records, missing ranks). ``scalars``,
    ``histograms``, ``curves`` and ``tables`` are what a backend writes, by their names in the tracker.
    """

    schema_: str = SCHEMA_NAME
    job: Job
    config: dict[str, Any] = {}
    global_: Summary
    verdicts: Verdicts | None = None
    datasets: dict[str, DatasetReport] = {}
    flagged: list[FlaggedCaption] = []
    flagged_summary: dict[str, int] = {}
    worst: Worst = Worst()
    timestep_scale: float | None = None
    recent: dict[str, float] = {}
    excluded: dict[str, int] = {}
    warnings: list[str] = []
    json_path: str | None = None
    pictures: list[Picture] = []  # of items in the rankings, for trackers; not in the JSON

    def to_pandas(self) -> pd.DataFrame:
        """A table with one row for each item: its dataset, its path and the figures of `ItemStats`.

        Raises:
            LossLoggingError: pandas is not installed, or the JSON file with the items' figures is gone.

        Example:
            >>> stats = ItemStats(1, 0.5, 0.5, 0.5, 0.0, 0.5, None, None, "a cat")
            >>> summary = Summary(1, 0.5, 0.5, 0.5, 0.5, 0.0, 0, {})
            >>> datasets = {"cats": DatasetReport(summary, item_stats={"1.png": stats})}
            >>> report = LossReport(job=Job("job", 1, ""), global_=summary, datasets=datasets)
            >>> report.to_pandas()[["path", "average_loss"]].values.tolist()
            [['1.png', 0.5]]
        """
        from loss_logging.reports.notebook import item_table

        if not is_installed("pandas"):
            raise missing_package("pandas", "pandas", subject="to_pandas()")
        frame: pd.DataFrame = item_table(self).to_pandas()
        return frame

    def to_polars(self) -> pl.DataFrame:
        """A table with one row for each item: its dataset, its path and the figures of `ItemStats`.

        Raises:
            LossLoggingError: polars is not installed, or the JSON file with the items' figures is gone.
        """
        from loss_logging.reports.notebook import item_table

        if not is_installed("polars"):
            raise missing_package("polars", "polars", subject="to_polars()")
        import polars as pl

        frame = pl.from_arrow(item_table(self))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def _repr_html_(self) -> str:
        """The report as a notebook shows it."""
        from loss_logging.reports.notebook import report_html

        return report_html(self)

    @property
    def prefix(self) -> str:
        """The first part of every name in the trackers."""
        return str(self.config.get("prefix", "loss_logging"))

    @property
    def scalars(self) -> dict[str, float]:
        """The mean loss of each dataset since the last report; the number of its captions that are very likely wrong,
        to look at and undecided; the number of flagged captions of each rule.
        """
        losses = {loss_scalar_name(self.prefix, name): value for name, value in self.recent.items()}
        verdicts = {
            f"{self.prefix}/verdicts/{bin_}/{name}": float(getattr(dataset.verdicts, bin_))
            for bin_ in ("very_likely_wrong", "look_at", "undecided")
            for name, dataset in self.datasets.items()
            if dataset.verdicts is not None
        }
        rules = {f"{self.prefix}/rules/{reason}": float(n) for reason, n in self.flagged_summary.items()}
        return losses | verdicts | rules

    @property
    def suspects(self) -> list[WorstItem]:
        """The items of the ranking by caption_mismatch that are very likely wrong or to look at; all items where no
        caption of the report has a verdict."""
        if self.verdicts is None or not self.verdicts.judged:
            return self.worst.caption_mismatch
        return [item for verdict in VERDICTS[:2] for item in self.worst.having(verdict)]

    @property
    def histograms(self) -> dict[str, Histogram]:
        """The loss histogram of each dataset, over the whole run."""
        return {
            f"{self.prefix}/loss_histogram/{name}": dataset.summary.histogram
            for name, dataset in self.datasets.items()
            if dataset.summary.histogram is not None
        }

    @property
    def curves(self) -> dict[str, TimestepCurve]:
        """The mean loss by timestep of each dataset with a finite loss, over the whole run."""
        curves = {name: dataset.summary.loss_by_timestep for name, dataset in self.datasets.items()}
        return {
            f"{self.prefix}/loss_by_timestep/{name}": curve
            for name, curve in curves.items()
            if curve is not None and any(mean is not None for mean in curve.means)
        }

    @property
    def tables(self) -> dict[str, Table]:
        """The tables for trackers: the two rankings (the second with captions that are very likely wrong or to look
        at), the numbers of decided items, the flagged captions, each dataset's profile and findings, and the warnings.
        A table without rows is left out. A table is cut at the configuration's ``max_table_rows``."""
        tables = {
            f"{self.prefix}/worst/hard": _worst_table(self.worst.hard, "hard"),
            f"{self.prefix}/worst/caption_mismatch": _worst_table(self.suspects, "caption_mismatch"),
            f"{self.prefix}/paired_items": _paired_table(self.datasets),
            f"{self.prefix}/flagged_captions": _flagged_table(self.flagged),
            f"{self.prefix}/captions": _captions_table(self.datasets),
            f"{self.prefix}/warnings": Table(["warning"], [[sentence] for sentence in self.warnings]),
        }
        most = self.config.get("max_table_rows")
        return {name: Table(table.columns, table.rows[:most]) for name, table in tables.items() if table.rows}

    @property
    def galleries(self) -> dict[str, list[Picture | None]]:
        """The pictures of a ranking's items, by the name of its table and in the order of its rows.

        None for an item whose picture was not tried. A ranking without any picture is left out, as is what is beyond
        the configuration's ``max_table_rows``.
        """
        most = self.config.get("max_table_rows")
        pictures = {(picture.dataset, picture.path): picture for picture in self.pictures}
        rankings = {"worst/hard": self.worst.hard, "worst/caption_mismatch": self.suspects}
        galleries = {
            f"{self.prefix}/{name}": [pictures.get((item.dataset, item.path)) for item in items[:most]]
            for name, items in rankings.items()
        }
        return {name: gallery for name, gallery in galleries.items() if any(gallery)}


def _worst_table(items: list[WorstItem], score: str) -> Table:
    columns = ["dataset", "path", "caption", score, "count", "average_loss"]
    rows: list[list[Any]] = [[i.dataset, i.path, i.caption, i.score, i.count, i.average_loss] for i in items]
    if score == "caption_mismatch":
        columns += ["standard_error", "t", "robust_z", "verdict", "decision"]
        rows = [
            [*row, i.standard_error, i.t, i.robust_z, i.verdict, i.decision] for row, i in zip(rows, items, strict=True)
        ]
    else:
        columns += ["std_z", "decision"]
        rows = [[*row, i.std_z, i.decision] for row, i in zip(rows, items, strict=True)]
    return Table(columns, rows)


def _paired_table(datasets: dict[str, DatasetReport]) -> Table:
    paired = [(name, dataset.paired_items) for name, dataset in datasets.items() if dataset.paired_items is not None]
    rows = [[name, p.decided, p.undecided, p.unpaired, p.median, p.mad] for name, p in paired]
    if not any(decided or undecided for _, decided, undecided, *_ in rows):
        rows = []  # nobody asked whether captions are wrong
    return Table(["dataset", "decided", "undecided", "unpaired", "median", "mad"], rows)


def _captions_table(datasets: dict[str, DatasetReport]) -> Table:
    rows: list[list[Any]] = []
    for name, captions in ((name, dataset.captions) for name, dataset in datasets.items()):
        if captions is not None and (captions.profile or captions.reasons):
            profile = f"{captions.profile or 'mixed'}{' (guessed)' if captions.profile_is_guessed else ''}"
            rows += [[name, profile, r.severity, r.rule, r.message] for r in captions.reasons] or [
                [name, profile, None, None, None]
            ]
    return Table(["dataset", "captions", "severity", "rule", "message"], rows)


def _flagged_table(flagged: list[FlaggedCaption]) -> Table:
    rows = [[f.dataset, f.path, f.caption, ", ".join(f.reasons), f.severity, f.score, f.loss] for f in flagged]
    return Table(["dataset", "path", "caption", "reasons", "severity", "score", "loss"], rows)
