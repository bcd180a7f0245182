"""The content of the page of a captioned folder, without any training: plain data for the templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from loss_logging.captions.folder.check import FolderCheck
from loss_logging.captions.reason import SEVERITIES, FlaggedCaption, Reason, Severity
from loss_logging.pages.answer import Answer, flags_answer
from loss_logging.pages.content import Piece, marked, severities_of
from loss_logging.pages.sentences import told_apart
from loss_logging.support.thumbnails import Thumbnail

__all__ = ["flagged_items", "folder_sections", "items_table", "ordered"]

MOST_CARDS = 60
_MOST_ALIKE = 6


class FlagCard(msgspec.Struct, frozen=True):
    """One flagged caption with its picture; ``suggestion`` is a better caption, "" if unknown."""

    flag: FlaggedCaption
    name: str
    picture: Thumbnail
    pieces: list[Piece]
    message: str
    suggestion: str


class RuleGallery(msgspec.Struct, frozen=True):
    """The captions that one rule objects to; ``count`` is their number, ``cards`` are the first of them."""

    rule: str
    severity: Severity
    count: int
    cards: list[FlagCard]


class FolderRow(msgspec.Struct, frozen=True):
    """A dataset of the folder: the number of its captions, their profile, and the reasons against the dataset."""

    name: str
    captions: int
    profile: str
    flagged: int
    reasons: list[Reason]


def ordered(flagged: Iterable[FlaggedCaption]) -> list[FlaggedCaption]:
    """The flagged captions in viewing order: by severity, then contradicted by the picture, then as given."""
    return sorted(flagged, key=lambda one: -SEVERITIES.index(one.severity))


def flagged_items(check: FolderCheck) -> dict[tuple[str, str], list[str]]:
    """The rules that object, by dataset and path."""
    return {(one.dataset, one.path): one.reasons for one in check.captions.flagged}


def items_table(rows: Sequence[tuple[str, str, str]]) -> pa.Table:
    """Dataset, path and caption of each image, in the form of the page's table."""
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    names = ("dataset", "path", "caption")
    return pa.table({name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)})


def folder_sections(
    name: str,
    check: FolderCheck,
    pictures: Callable[[str], Thumbnail],
    *,
    total: int,
    known: Callable[[str], tuple[str, str]],
    suggestions: Mapping[tuple[str, str], str],
    near_duplicates: Sequence[Sequence[str]],
) -> dict[str, Any]:
    """All data that the template of a folder shows.

    Args:
        name: the name of the folder.
        check: the result of the check.
        pictures: function from a path to the picture of its image.
        total: number of images.
        known: function from a path to dataset and caption of its image.
        suggestions: better captions by dataset and path.
        near_duplicates: groups of nearly equal images, by their paths.
    """
    captions = check.captions
    severities = severities_of(captions.flagged)
    galleries = [
        _gallery(rule, count, severities[rule], check, pictures, suggestions)
        for rule, count in captions.summary.items()
    ]
    galleries.sort(key=lambda one: (-SEVERITIES.index(one.severity), -one.count, one.rule))
    return {
        "name": name,
        "root": check.root,
        "total": total,
        "items_shown": total,
        "answers": _answers(check, near_duplicates),
        "galleries": galleries,
        "duplicates": [
            [(path, *known(path), pictures(path)) for path in group[:6]] for group in near_duplicates[:MOST_CARDS]
        ],
        "datasets": _datasets(check),
        "problems": [problem.sentence for problem in check.problems.kept],
        "notes": captions.warnings,
    }


def _gallery(
    rule: str,
    count: int,
    severity: Severity,
    check: FolderCheck,
    pictures: Callable[[str], Thumbnail],
    suggestions: Mapping[tuple[str, str], str],
) -> RuleGallery:
    flags = [flag for flag in check.captions.flagged if rule in flag.reasons][:MOST_CARDS]
    cards = []
    for flag, shown in zip(flags, told_apart([flag.path for flag in flags]), strict=True):
        pieces, message = marked(flag, rule)
        suggestion = suggestions.get((flag.dataset, flag.path), "")
        cards.append(FlagCard(flag, shown or flag.path, pictures(flag.path), pieces, message, suggestion))
    return RuleGallery(rule, severity, count, cards)


def _answers(check: FolderCheck, near_duplicates: Sequence[Sequence[str]]) -> list[Answer]:
    captions = check.captions
    found = [flags_answer(captions.flagged, captions.summary)]
    if near_duplicates:
        title = f"{len(near_duplicates):,} group{'s' * (len(near_duplicates) > 1)} of nearly equal images"
        found.append(Answer("#duplicates", title, "one of each may be enough", "warning"))
    if check.problems.kept:
        count = sum(check.problems.counts.values())
        title = f"{count:,} problem{'s' * (count > 1)} with files"
        found.append(Answer("#problems", title, check.problems.kept[0].sentence, "warning"))
    return found


def _datasets(check: FolderCheck) -> list[FolderRow]:
    rows = []
    for name, one in check.captions.datasets.items():
        kind = f"{one.profile or 'mixed'}{' (guessed)' if one.profile_is_guessed else ''}"
        flagged = sum(flag.dataset == name for flag in check.captions.flagged)
        rows.append(FolderRow(name, one.captions, kind, flagged, one.reasons))
    return sorted(rows, key=lambda row: -row.flagged)
