"""What the page of two reports says: findings, notes, and cards of items, for the template."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from loss_logging.evidence.verdict import VERDICTS
from loss_logging.pages.answer import Answer
from loss_logging.pages.content import Piece
from loss_logging.pages.sentences import file_name
from loss_logging.pages.word_changes import word_changes
from loss_logging.reports.compare import CLEAR, Comparison, DatasetChange, ItemChange
from loss_logging.support.thumbnails import Thumbnail

__all__ = ["comparison_sections"]

_VERDICT_COLUMNS = ("verdict_before", "verdict_after")
_LEAST_SHARE = 0.005  # of the loss before; less reads as 0%


class _Card(msgspec.Struct, frozen=True):
    """An item. ``before`` are the words that its caption had, None where it is the same."""

    item: ItemChange
    name: str
    picture: Thumbnail
    before: list[Piece] | None
    after: list[Piece]
    loss: str
    tone: str


class _Gallery(msgspec.Struct, frozen=True):
    """Cards; ``of`` so many items, and what stands there when there is none."""

    name: str
    title: str
    help: str
    of: int
    cards: list[_Card]
    nothing: str

    @property
    def missing(self) -> str:
        """Why no card has a picture; "" where one has."""
        reasons = [card.picture.reason for card in self.cards]
        return reasons[0] if reasons and all(reasons) else ""


def comparison_sections(
    comparison: Comparison,
    names: tuple[str, str],
    table: pa.Table,
    picture: Callable[[str], Thumbnail],
) -> dict[str, Any]:
    """What the template shows of a comparison.

    Args:
        comparison: of two reports.
        names: of their runs.
        table: of `loss_logging.reports.compare.changed_items`.
        picture: the picture of the image at a path.
    """
    return {
        "answers": list(_answers(comparison, table)),
        "notes": list(_notes(comparison, names)),
        "galleries": _galleries(comparison, picture),
        "rows": [*comparison.datasets, *([comparison.overall] if len(comparison.datasets) > 1 else [])],
        "change": _change,
        "tone": _tone,
        "clear": CLEAR,
    }


def _answers(comparison: Comparison, table: pa.Table) -> Iterator[Answer]:
    overall, counts = comparison.overall, comparison.overall.items
    yield _loss_answer(overall)
    if of := counts.better + counts.worse + counts.unclear:
        detail = f"beyond chance, of {of:,} in both; for {counts.unclear:,} the change may be chance"
        yield Answer(
            "#better" if counts.better >= counts.worse else "#worse",
            f"{counts.better:,} better, {counts.worse:,} worse",
            detail,
            _fewer_is_good(counts.better, counts.worse) if counts.better + counts.worse else "open",
        )
    if counts.recaptioned:
        yield _captions_answer(counts.recaptioned, table)
    before, after = overall.wrong_before, overall.wrong_after
    if before is not None and after is not None:
        title = f"{before:,} → {after:,} very likely wrong"
        yield Answer("#datasets", title, "captions, before and after", _fewer_is_good(before, after))


def _fewer_is_good(before: int, after: int) -> str:
    return "good" if after < before else "error" if after > before else "open"


def _loss_answer(row: DatasetChange) -> Answer:
    if row.change is None or row.before is None or row.after is None:
        return Answer("#datasets", "Losses cannot be compared", "a report has none", "open")
    tone = _tone(row)
    share = abs(row.change / row.before) if row.before else 0.0
    title = f"Loss {share:.1%} {'lower' if row.change < 0 else 'higher'}" if tone else "Loss about the same"
    detail = f"{_short(row.before)} → {_short(row.after)}; change {_change(row)}"
    return Answer("#datasets", title, detail if tone else f"{detail}, which may be chance", tone or "open")


def _captions_answer(n: int, table: pa.Table) -> Answer:
    changed = table.filter(pc.is_valid(table["caption_before"]))
    fall = pc.less(changed["p_wrong_after"], changed["p_wrong_before"])
    rise = pc.greater(changed["p_wrong_after"], changed["p_wrong_before"])
    fell, rose = (int(pc.sum(side).as_py() or 0) for side in (fall, rise))
    known = f"the chance of being wrong fell for {fell:,} and rose for {rose:,}"
    title = f"{n:,} caption{'s' if n > 1 else ''} changed"
    if fell + rose:
        return Answer("#recaptioned", title, known, "good" if fell > rose else "open")
    was, are = (int(pc.sum(pc.equal(changed[name], VERDICTS[0])).as_py() or 0) for name in _VERDICT_COLUMNS)
    return Answer("#recaptioned", title, f"{was:,} were very likely wrong, {are:,} are now", _fewer_is_good(was, are))


def _notes(comparison: Comparison, names: tuple[str, str]) -> Iterator[str]:
    """What a reader must know to trust the comparison."""
    counts = comparison.overall.items
    first, second = comparison.before.step, comparison.after.step
    if comparison.continues:
        yield f"One run: losses up to step {first:,} are compared with those of steps {first + 1:,} to {second:,}."
    elif first != second:
        yield f"The steps differ, {first:,} and {second:,}: what trained longer has lower losses for that alone."
    sides = (comparison.before, comparison.after)
    if all(side.has_items for side in sides) and not counts.better + counts.worse + counts.unclear:
        yield "No item is in both reports: only datasets are compared. Items are told apart by dataset and path."
    for name, side in zip(names, sides, strict=True):
        if not side.has_items:
            yield f"{name} has no figures per item: only datasets are compared."
    yield from _only(names[0], counts.only_before, comparison.only_before)
    yield from _only(names[1], counts.only_after, comparison.only_after)


def _only(name: str, n: int, some: list[tuple[str, str]]) -> Iterator[str]:
    if n:
        named = ", ".join(file_name(path) for _, path in some[:3])
        yield f"Only in {name}: {n:,} item{'s' if n > 1 else ''} ({named}{', …' if n > 3 else ''})."


def _galleries(comparison: Comparison, picture: Callable[[str], Thumbnail]) -> list[_Gallery]:
    counts = comparison.overall.items

    def cards(items: list[ItemChange]) -> list[_Card]:
        return [_card(item, picture(item.path)) for item in items]

    better, worse = (
        [item for item in side if _tone(item) and item.caption_before is None]  # the others are shown already
        for side in (comparison.better, comparison.worse)
    )
    words = "Each is compared with what it was before; the words that differ are marked."
    beyond = f"Their loss changed by {CLEAR:g} standard errors or more: by chance alone one item in 16,000 does."
    same = "No caption is another one than before."
    return [
        _Gallery("recaptioned", "Captions changed", words, counts.recaptioned, cards(comparison.recaptioned), same),
        _Gallery("better", "Got better", beyond, counts.better, cards(better), "No item got better beyond chance."),
        _Gallery("worse", "Got worse", beyond, counts.worse, cards(worse), "No item got worse beyond chance."),
    ]


def _card(item: ItemChange, picture: Thumbnail) -> _Card:
    before, after = word_changes(item.caption if item.caption_before is None else item.caption_before, item.caption)
    old = None if item.caption_before is None else before
    return _Card(item, file_name(item.path), picture, old, after, _loss_sentence(item), _tone(item))


def _loss_sentence(item: ItemChange) -> str:
    share = abs(item.change) / item.before if item.before > 0 else None
    if share is None:
        how = f"changed by {_change(item)}"
    elif share < _LEAST_SHARE:
        how = "nearly the same"
    else:
        how = f"{share:.0%} {'lower' if item.change < 0 else 'higher'}"
    if item.z is None:
        return f"Loss {how}."
    return f"Loss {how}, beyond chance." if _tone(item) else f"Loss {how}; that may be chance."


def _tone(row: DatasetChange | ItemChange) -> str:
    """ "good" or "error" where the change is beyond chance, else ""."""
    if row.change is None or row.z is None or abs(row.z) < CLEAR:
        return ""
    return "good" if row.change < 0 else "error"


def _change(row: DatasetChange | ItemChange) -> str:
    if row.change is None:
        return "–"
    error = "" if row.error is None else f" ± {_short(row.error, 2)}"
    return f"{'+' if row.change >= 0 else ''}{_short(row.change, 3)}{error}"


def _short(value: float, digits: int = 4) -> str:
    """
    >>> _short(-0.123456), _short(1234.5)
    ('−0.1235', '1,234')
    """
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
    return text.replace("-", "\u2212", 1) if text.startswith("-") else text
