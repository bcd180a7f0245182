"""A comparison of a folder's pictures with their captions, before any training."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from loss_logging.captions.caption import READ_LIMIT, quote
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.read import read_captioned_folder
from loss_logging.captions.folder.trainer_settings import TrainerSettings
from loss_logging.captions.reason import Reason
from loss_logging.evidence.features import picture_features
from loss_logging.evidence.judge import Judgement, judge
from loss_logging.evidence.odd import near_duplicates
from loss_logging.evidence.pictures import PictureEvidence, picture_evidence
from loss_logging.evidence.words import caption_words

__all__ = ["RULE", "check_pictures"]

RULE = "picture"
"""The name of this check in counts and ignore lists, beside the names of the caption rules."""


class PictureCheck(msgspec.Struct, frozen=True):
    """The result of `check_pictures`.

    Args:
        captions: the number of judged captions.
        reasons: the findings, by path (in the folder), dataset and caption: a warning for a caption that is very likely
            wrong, an info for a caption to look at.
        suggestions: better captions, by the same keys: the caption with one word replaced.
        near_duplicates: groups of pictures that are nearly the same, by their paths.
        notes: sentences on what cannot be judged, and why.
    """

    captions: int
    reasons: dict[tuple[str, str, str], Reason]
    near_duplicates: list[list[str]]
    notes: list[str]
    suggestions: dict[tuple[str, str, str], str] = {}


def check_pictures(
    path: str | os.PathLike[str],
    *,
    trainer: TrainerSettings | None = None,
    path_column: str | None = None,
    caption_column: str | None = None,
    features: str = "pixels",
    progress: bool = True,
) -> PictureCheck:
    """Compare each picture of a folder with its caption, by a model that the other pictures and captions train.

    Args:
        path: a folder or table, as for `read_captioned_folder`; so are ``trainer`` and the columns.
        features: the features that represent a picture; see `loss_logging.evidence.features.picture_features`.
        progress: whether to show progress bars.

    Raises:
        LossLoggingError: ``path`` does not exist, or no picture of it opens.
        MissingExtraError: the extra ``evidence`` is not installed.
    """
    root = Path(path)
    folder = root if root.is_dir() else root.parent
    files = [
        file
        for file in read_captioned_folder(root, trainer=trainer, path_column=path_column, caption_column=caption_column)
        if file.caption and file.not_trained is None
    ]
    if not files:
        return PictureCheck(0, {}, [], ["Pictures say nothing of the captions: no picture has one."])
    read = picture_features([file.path for file in files], features, progress=progress)
    kept = [files[place] for place in read.kept]
    seen = picture_evidence(read.features, caption_words([file.caption for file in kept]), progress=progress)
    found = judge(seen)
    keys = [(_relative(file, folder), file.dataset, (file.caption or "")[:READ_LIMIT]) for file in kept]
    reasons = {
        keys[row]: reason for row, file in enumerate(kept) if (reason := _reason(file, row, seen, found)) is not None
    }
    suggestions = {
        keys[row]: suggestion
        for row, file in enumerate(kept)
        if keys[row] in reasons and (suggestion := _suggestion(file.caption or "", row, seen))
    }
    alike = near_duplicates(read.features).groups
    duplicates = [list(dict.fromkeys(_relative(kept[row], folder) for row in group)) for group in alike]
    notes = [
        *read.about_unread([_relative(file, folder) for file in files]),
        *([seen.reason] if seen.reason else []),
        *found.notes,
    ]
    groups = [names for names in duplicates if len(names) > 1]
    return PictureCheck(len(kept), reasons, groups, notes, suggestions)


def _suggestion(caption: str, row: int, seen: PictureEvidence) -> str:
    """The caption with its worst word replaced by the one that fits better; "" where neither is known."""
    word, better = seen.worst_word[row], seen.suggested_word[row]
    if not word or not better:
        return ""
    changed = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", lambda _: better, caption, flags=re.IGNORECASE)
    return changed if changed != caption else ""


def _reason(file: CaptionedFile, row: int, seen: PictureEvidence, found: Judgement) -> Reason | None:
    verdict = found.verdict[row]
    if verdict is None or verdict == "no sign of it":
        return None
    caption, word, better = file.caption or "", seen.worst_word[row], seen.suggested_word[row]
    chance = float(found.p_wrong[row])
    known = f" ({chance:.0%})" if chance == chance else ""
    start = caption.casefold().find(word) if word else -1
    instead = f"; {quote(better)} fits it better than {quote(word)}" if word and better else ""
    subject = "The picture contradicts this caption" if verdict == "very likely wrong" else "The picture may not fit"
    return Reason(
        RULE,
        "warning" if verdict == "very likely wrong" else "info",
        min(max(chance, 0.01), 1.0) if chance == chance else 0.5,
        f"{subject}{known}{instead}. Look at them together.",
        (start, start + len(word)) if word and start >= 0 and len(caption) == len(caption.casefold()) else None,
    )


def _relative(file: CaptionedFile, folder: Path) -> str:
    return file.path.removeprefix(str(folder).rstrip("/") + "/")
