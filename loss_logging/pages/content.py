"""What the page says of one save step, from its report: plain data for the templates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from loss_logging.captions.reason import SEVERITIES, FlaggedCaption, Reason, Severity
from loss_logging.pages.answer import Answer, answers, bin_of, drags, is_odd
from loss_logging.pages.charts import shown_datasets
from loss_logging.pages.item_counts import ItemCounts
from loss_logging.pages.sentences import caption_sentence, file_name, odd_sentence, told_apart
from loss_logging.reports.report import LossReport, PairedItems, Summary, WorstItem
from loss_logging.support.thumbnails import Thumbnail

__all__ = ["Piece", "Section", "listed_items", "marked", "rules_of", "sections", "severities_of"]

_LABELS = {"average_loss": "mean loss", "robust_z": "robust z", "std_z": "std of z"}
MOST_FLAGGED = 60
TEXT_LENGTH = 1_500
_AROUND = 160
_GALLERIES = {
    "caption_mismatch": (
        "Captions to look at",
        "The loss is higher with the caption than with the empty one, by more than chance: the caption may be wrong.",
        "No caption stands out: none raises the loss by more than chance.",
    ),
    "hard": (
        "Odd images",
        "The loss is far above that of other images at the same timestep, whatever the caption: the image may be odd.",
        "No image stands out by its loss.",
    ),
}
_BY_PICTURES = (
    "Captions to look at",
    "The picture and the loss, together, say that the caption may be another picture's.",
    "No caption stands out, neither by its picture nor by its loss.",
)
"""Where pictures were compared: a caption that the picture contradicts need not raise the loss."""


class Piece(msgspec.Struct, frozen=True):
    """A part of a caption; ``marked`` when a rule objects to it."""

    text: str
    marked: bool = False


class Card(msgspec.Struct, frozen=True):
    """One item of a gallery. ``badge`` says in which bin it is, ``reasons`` are rules with their severity."""

    item: WorstItem
    picture: Thumbnail
    name: str
    caption: str
    sentence: str
    badge: str
    figures: list[tuple[str, float | int | None]]
    reasons: list[tuple[str, str]]


class Gallery(msgspec.Struct, frozen=True):
    """One ranking, worst first: the items that stand out, and those ``next`` in it, which do not.

    ``all`` is how many items stand out, listed or not. ``missing`` says why there is no picture at all; None where
    there is one, or no item.
    """

    name: str
    title: str
    help: str
    nothing: str
    cards: list[Card]
    next: list[Card]
    all: int
    missing: str | None


class Section(msgspec.Struct, frozen=True):
    """The captions that one rule objects to. ``count`` is over all items, ``listed`` over those the report lists."""

    rule: str
    count: int
    listed: int
    severity: str
    message: str
    captions: list[tuple[FlaggedCaption, list[Piece], str]]


class DatasetRow(msgspec.Struct, frozen=True):
    """A dataset in the ranking. ``share`` is by how much its mean loss differs from the others', ``error`` the standard
    error of that; ``captions`` says what its captions are, ``reasons`` what is wrong with all of them."""

    name: str
    summary: Summary
    share: float | None
    error: float | None
    drags: bool
    flagged: int
    paired: PairedItems | None
    captions: str
    reasons: list[Reason]


def listed_items(report: LossReport) -> list[WorstItem | FlaggedCaption]:
    """The items of all galleries and the flagged ones."""
    return [*(item for name in _GALLERIES for item in getattr(report.worst, name)), *report.flagged]


def rules_of(report: LossReport) -> dict[str, str]:
    """The severity of each rule that objects to a caption: the highest that the report has of it."""
    return dict.fromkeys(report.flagged_summary, "info") | severities_of(report.flagged)


def severities_of(flagged: Iterable[FlaggedCaption]) -> dict[str, Severity]:
    """The highest severity of each rule that objects to some captions."""
    found: dict[str, Severity] = {}
    for flag in flagged:
        for detail in flag.details:
            found[detail.rule] = max(found.get(detail.rule, "info"), detail.severity, key=_rank)
    return found


def marked(flag: FlaggedCaption, rule: str) -> tuple[list[Piece], str]:
    """A caption in pieces, of which what a rule objects to is marked, and what the rule says."""
    return _pieces(flag, rule), _message(flag, rule)


def _rank(severity: str) -> int:
    return [str(known) for known in SEVERITIES].index(severity)


def sections(
    report: LossReport | None,
    pictures: Callable[[str], Thumbnail],
    counts: ItemCounts | None = None,
    tries: Mapping[tuple[str, str], tuple[int, int]] | None = None,
    *,
    most_cards: int | None = None,
    most_flagged: int = MOST_FLAGGED,
) -> dict[str, Any]:
    """Everything that the templates show of one save step, or before the first one.

    Args:
        report: of the save step.
        pictures: the picture of the image at a path.
        counts: over every item; None where the report's lists are all there is.
        tries: of some items, by dataset and path: how often the loss was higher with the caption, and of how many.
        most_cards: of each gallery; None for all that the report lists.
        most_flagged: captions of each rule.
    """
    if report is None:
        return {"report": None, "answers": [_NOTHING_YET], "galleries": [], "flagged": [], "datasets": [], "paired": {}}
    return {
        "report": report,
        "answers": answers(report, counts),
        "galleries": [_gallery(name, report, pictures, counts, tries or {}, most_cards) for name in _GALLERIES],
        "flagged": _by_rule(report, most_flagged),
        "datasets": _ranking(report, counts),
        "paired": {
            name: sum(getattr(d.paired_items, name) for d in report.datasets.values() if d.paired_items is not None)
            for name in ("decided", "undecided", "unpaired")
        },
    }


_NOTHING_YET = Answer("#items", "Nothing checked yet", "what stands out is known from the first save step on", "open")


def _gallery(
    name: str,
    report: LossReport,
    pictures: Callable[[str], Thumbnail],
    counts: ItemCounts | None,
    tries: Mapping[tuple[str, str], tuple[int, int]],
    most: int | None,
) -> Gallery:
    items: list[WorstItem] = getattr(report.worst, name)[:most]
    by_pictures = name == "caption_mismatch" and any(item.p_wrong is not None for item in items)
    title, text, nothing = _BY_PICTURES if by_pictures else _GALLERIES[name]
    names = told_apart([item.path for item in items])
    rules = rules_of(report)
    flags = {(flag.dataset, flag.path): flag.reasons for flag in report.flagged}
    first, rest = list[Card](), list[Card]()
    for item, shown in zip(items, names, strict=True):
        reasons = [(rule, rules.get(rule, "info")) for rule in flags.get((item.dataset, item.path), [])]
        if name == "hard":
            stands_out, badge = is_odd(item, counts), ""
            sentence = odd_sentence(item, report, stands_out=stands_out)
        else:
            bin_ = bin_of(item)
            stands_out, badge = bool(bin_), _badge(item) if bin_ == "likely" else ""
            sentence = caption_sentence(item, tries.get((item.dataset, item.path)))
        card = _card(item, pictures(item.path), shown, sentence, badge, reasons)
        (first if stands_out else rest).append(card)
    reasons_without = {card.picture.reason for card in (*first, *rest) if card.picture.uri is None}
    pictured = any(card.picture.uri is not None for card in (*first, *rest))
    missing = None if pictured or not items else min(reasons_without)
    every = 0 if counts is None else counts.odd if name == "hard" else counts.likely + counts.look
    return Gallery(name, title, text, nothing, first, rest, every, missing)


def _badge(item: WorstItem) -> str:
    p_wrong = getattr(item, "p_wrong", None)
    return "very likely wrong" if p_wrong is None else f"very likely wrong ({p_wrong:.0%})"


def _card(
    item: WorstItem, picture: Thumbnail, name: str, sentence: str, badge: str, reasons: list[tuple[str, str]]
) -> Card:
    figures = [
        (_LABELS.get(name, name.replace("_", " ")), value)
        for name, value in msgspec.structs.asdict(item).items()
        if name not in ("score", "standard_error", "count", "p_wrong") and isinstance(value, (int, float))
    ]
    return Card(
        item=item,
        picture=picture,
        name=name or file_name(item.path),
        caption=_shortened(item.caption),
        sentence=sentence,
        badge=badge,
        figures=[("records" if item.standard_error is None else "pairs", item.count), *figures],
        reasons=reasons,
    )


def _shortened(text: str) -> str:
    left = len(text) - TEXT_LENGTH
    return text if left <= 0 else f"{text[:TEXT_LENGTH]}… ({left:,} more characters)"


def _by_rule(report: LossReport, most: int) -> list[Section]:
    """What rules object to, the most severe first."""
    grouped: defaultdict[str, list[FlaggedCaption]] = defaultdict(list)
    for flag in report.flagged:
        for rule in flag.reasons:
            grouped[rule].append(flag)
    severities = rules_of(report)
    found = []
    for rule, count in report.flagged_summary.items():
        flags = grouped[rule]
        details = [detail for flag in flags[:1] for detail in flag.details if detail.rule == rule]
        captions = [(flag, _pieces(flag, rule), _message(flag, rule)) for flag in flags[:most]]
        message = details[0].message if details else ""
        found.append(Section(rule, count, len(flags), severities[rule], message, captions))
    return sorted(found, key=lambda section: (-_rank(section.severity), -section.count, section.rule))


def _message(flag: FlaggedCaption, rule: str) -> str:
    return " ".join(detail.message for detail in flag.details if detail.rule == rule)


def _pieces(flag: FlaggedCaption, rule: str) -> list[Piece]:
    """The caption around what the rule objects to, which is marked."""
    spans = [detail.span for detail in flag.details if detail.rule == rule and detail.span is not None]
    if not spans:
        return [Piece(_shortened(flag.caption))]
    start, end = spans[0]
    start, end = max(0, min(start, len(flag.caption))), max(0, min(end, len(flag.caption)))
    before, after = flag.caption[:start], flag.caption[end:]
    pieces = [
        Piece(before if len(before) <= _AROUND else f"…{before[-_AROUND:]}"),
        Piece(_shortened(flag.caption[start:end]), marked=True),
        Piece(after if len(after) <= _AROUND else f"{after[:_AROUND]}…"),
    ]
    return [piece for piece in pieces if piece.text]


def _ranking(report: LossReport, counts: ItemCounts | None) -> list[DatasetRow]:
    """The datasets, those whose loss lies highest above the others' first."""
    compared = {drag.dataset: drag for drag in drags(report, counts)}
    flagged: defaultdict[str, int] = defaultdict(int)
    for flag in report.flagged:
        flagged[flag.dataset] += 1
    rows = []
    for name in shown_datasets(report):
        dataset, drag = report.datasets[name], compared.get(name)
        about = dataset.captions
        kind = "" if about is None else f"{about.profile or 'mixed'}{' (guessed)' if about.profile_is_guessed else ''}"
        rows.append(
            DatasetRow(
                name=name,
                summary=dataset.summary,
                share=drag.share if drag else None,
                error=drag.error if drag else None,
                drags=drag is not None and drag.beyond_chance,
                flagged=flagged[name],
                paired=dataset.paired_items,
                captions=kind,
                reasons=[] if about is None else sorted(about.reasons, key=lambda reason: -_rank(reason.severity)),
            )
        )
    return sorted(rows, key=lambda row: -(row.share if row.share is not None else float("-inf")))
