"""Checks the captions of a folder: its files, each caption, and all of them together."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from loss_logging.captions.caption import READ_LIMIT
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.dataset_checker import CheckedCaptions, DatasetChecker
from loss_logging.captions.decisions import Decisions
from loss_logging.captions.folder.image_suffixes import TEXTS
from loss_logging.captions.folder.problems import PROBLEMS, FolderProblem, FolderProblems, ProblemKind, there_is
from loss_logging.captions.folder.read import CaptionedFile, read_captioned_folder
from loss_logging.captions.folder.repair import Repairer
from loss_logging.captions.folder.trainer_settings import TrainerSettings, trainer_settings
from loss_logging.captions.folder.untrained import ClassTokens, NotTrained
from loss_logging.captions.ignore import Accepted, IgnoreList
from loss_logging.captions.reason import SEVERITIES, FlaggedCaption, Reason, Severity
from loss_logging.captions.text_store import TextStore
from loss_logging.captions.trainers import Trainer
from loss_logging.captions.verdict import Verdict, flagged_caption, flagged_order
from loss_logging.support.progress_bar import progress_bar

__all__ = ["IGNORE_FILE", "Finding", "FolderCheck", "check_folder"]

IGNORE_FILE = ".captions-ignore"
"""The file in the checked folder with accepted captions, in the lines of an `IgnoreList`."""

_COMPRESSED = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".jxl", ".heic", ".gif")
_BLOCK = 4_096


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding about a file, a dataset or a caption.

    Args:
        severity, rule, score, message: as in `Reason`; for a problem with a file, ``rule`` is the kind of the problem.
        path: the image, relative to the folder; for a problem with a file, that file; "" for a whole dataset.
        dataset: the name of the dataset; None for a problem with a file.
        caption: the text of the caption; None for a dataset or a file.
        span: ``(start, end)`` of the characters at fault in the caption.
        source: the path of the file to open.
        line, column, end_line, end_column: the position in ``source``, from 1; ``end_column`` is exclusive.
    """

    severity: Severity
    rule: str
    score: float
    message: str
    path: str
    source: str
    dataset: str | None = None
    caption: str | None = None
    span: tuple[int, int] | None = None
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None


class FolderCheck:
    """The result of the check of a folder.

    Args:
        root: the folder, or the folder of the single file.
        captions: the result of the rules.
        problems: the problems with files.
        repairer: the repairs that were or would be made; None if no repair was asked for.
        places: the file and line of each caption.
        accepted: the captions that a person accepted.
    """

    def __init__(
        self,
        root: str,
        captions: CheckedCaptions,
        problems: FolderProblems,
        repairer: Repairer | None,
        places: _Places,
        accepted: Accepted,
    ) -> None:
        self.root = root
        self.captions = captions
        self.problems = problems
        self.repairer = repairer
        self._places = places
        self._accepted = accepted

    @property
    def is_empty(self) -> bool:
        """Whether the folder held no captions to check."""
        return self.problems.counts["nothing_read"] > 0

    @property
    def counts(self) -> Counter[Severity]:
        """By severity: the number of captions with it as their highest, plus problems with datasets and files."""
        counts: Counter[Severity] = Counter(flagged.severity for flagged in self.captions.flagged)
        counts.update(reason.severity for dataset in self.captions.datasets.values() for reason in dataset.reasons)
        for kind, count in self.problems.counts.items():
            counts[PROBLEMS[kind][0]] += count
        return counts

    def findings(self) -> Iterator[Finding]:
        """All findings, highest severity first; for each severity: files, then datasets, then captions."""
        places = self._places.of(self.captions.flagged)
        for severity in reversed(SEVERITIES):
            yield from (self._about_file(problem) for problem in self.problems.kept if problem.severity == severity)
            for name, dataset in self.captions.datasets.items():
                yield from (self._about_dataset(name, r) for r in dataset.reasons if r.severity == severity)
            for flagged, place in zip(self.captions.flagged, places, strict=True):
                yield from (_about_caption(flagged, r, place) for r in flagged.details if r.severity == severity)

    def add(self, reasons: Mapping[tuple[str, str, str], Reason]) -> None:
        """Add reasons from another source about captions of the folder, except for accepted captions.

        Args:
            reasons: reasons by path (relative to the folder), dataset and caption.
        """
        wanted = {key: r for key, r in reasons.items() if not self._accepted.accepts(r.rule, key[0], key[2])}
        verdicts = {(one.path, one.dataset, one.caption): tuple(one.details) for one in self.captions.flagged}
        for key, reason in wanted.items():
            verdicts[key] = (*verdicts.get(key, ()), reason)
        flagged = [flagged_caption(*key, None, Verdict(found)) for key, found in verdicts.items()]
        summary = Counter(self.captions.summary) + Counter(reason.rule for reason in wanted.values())
        self.captions = msgspec.structs.replace(
            self.captions,
            flagged=sorted(flagged, key=flagged_order),
            summary=dict(summary.most_common()),
            ignored=self.captions.ignored + len(reasons) - len(wanted),
        )

    def _about_file(self, problem: FolderProblem) -> Finding:
        return Finding(
            severity=problem.severity,
            rule=problem.kind,
            score=1.0,
            message=problem.sentence,
            path=_relative(problem.path, self.root),
            source=problem.path,
            line=problem.line,
        )

    def _about_dataset(self, name: str, reason: Reason) -> Finding:
        return Finding(
            severity=reason.severity,
            rule=reason.rule,
            score=reason.score,
            message=reason.message,
            path="",
            source=self.root,
            dataset=name,
        )


def _about_caption(flagged: FlaggedCaption, reason: Reason, place: tuple[str, int | None]) -> Finding:
    source, line = place
    position: dict[str, int] = {} if line is None else {"line": line}
    if reason.span is not None and source.lower().endswith(TEXTS):
        position = _position(flagged.caption, reason.span, line or 1)
    return Finding(
        severity=reason.severity,
        rule=reason.rule,
        score=reason.score,
        message=reason.message,
        path=flagged.path,
        source=source,
        dataset=flagged.dataset,
        caption=flagged.caption,
        span=reason.span,
        **position,
    )


def _position(text: str, span: tuple[int, int], first: int) -> dict[str, int]:
    position = {}
    for name, place in zip(("", "end_"), span, strict=True):
        position[f"{name}line"] = text.count("\n", 0, place) + first
        position[f"{name}column"] = place - text.rfind("\n", 0, place)
    return position


def check_folder(
    path: str | os.PathLike[str],
    config: CaptionConfig | None = None,
    *,
    ignore: IgnoreList | None = None,
    path_column: str | None = None,
    caption_column: str | None = None,
    trainer: Trainer | TrainerSettings | None = None,
    repair: Literal["show", "write"] | None = None,
    each: Callable[[str, CaptionedFile, bytes | None], object] = lambda *_: None,
    progress: bool = False,
) -> FolderCheck:
    """Check the captions of a folder in one pass; memory does not grow with the length of their text.

    Args:
        path, path_column, caption_column: as for `read_captioned_folder`.
        config: the settings of the rules; the defaults when None.
        trainer: the settings of the configuration's trainer; its defaults when None.
        ignore: accepted captions, with images and files by their path below ``path``. Reasons that a person's
            decision about an image accepts (`Decisions`) are left out, too.
        repair: "write" repairs caption files (see `Repairer`), "show" only notes the repairs; None does neither.
        each: a function that is called for each checked caption with the image's path below ``path``, the captioned
            file, and a fingerprint that is equal for images with the same bytes.
        progress: show a progress bar on a terminal.

    Raises:
        LossLoggingError: ``path`` does not exist or holds no readable captions.
        ConfigError: a rule or tokenizer of the configuration does not exist.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for name, text in {"1.txt": "a red panda eats bamboo", "2.txt": "untitled"}.items():
        ...     _ = (folder / name).write_text(text)
        >>> [(finding.severity, finding.rule, finding.path) for finding in check_folder(folder).findings()]
        [('error', 'empty', '2.txt')]
    """
    root = os.path.normpath(path)
    folder = Path(root) if Path(root).is_dir() else Path(root).parent
    config = config or CaptionConfig()
    accepted = Accepted([IgnoreList(config.ignore), ignore or IgnoreList()], Decisions(folder))
    problems = FolderProblems(ignores=_ignores(accepted, folder))
    repairer = Repairer(folder, problems, write=repair == "write") if repair else None
    settings = trainer_settings(config, trainer)
    checker = DatasetChecker(_with_syntax(config, settings), accepted=accepted)
    checked = _Pass(folder, repairer, settings, checker, each)
    files = read_captioned_folder(
        root, problems=problems, path_column=path_column, caption_column=caption_column, trainer=settings
    )
    for file in progress_bar("checking captions", files, shown=progress):
        checked.add(file)
    checked.tell(root, problems)
    return FolderCheck(str(folder), checker.finish(), problems, repairer, checked.places, accepted)


def _ignores(accepted: Accepted, folder: Path) -> Callable[[ProblemKind, str], bool]:
    """Whether a person accepted a problem with a file; that nothing was read is always said."""

    def is_ignored(kind: ProblemKind, file: str) -> bool:
        return kind != "nothing_read" and accepted.accepts(kind, _relative(file, str(folder)))

    return is_ignored


def _with_syntax(config: CaptionConfig, settings: TrainerSettings | None) -> CaptionConfig:
    """The configuration with the prompt syntax that the trainer resolves under its settings."""
    if settings is None:
        return config
    trainers = [settings.trainer, *settings.folders.values()]
    resolved = dict.fromkeys([*config.reading.syntax, *(name for trainer in trainers for name in trainer.resolves)])
    reading = msgspec.structs.replace(config.reading, syntax=tuple(resolved))
    return msgspec.structs.replace(config, reading=reading, trainer=settings.trainer.name)


class _Pass:
    """The one pass: takes each file's caption to the rules, and notes what is told of the folder at the end."""

    def __init__(
        self,
        folder: Path,
        repairer: Repairer | None,
        settings: TrainerSettings | None,
        checker: DatasetChecker,
        each: Callable[[str, CaptionedFile, bytes | None], object],
    ) -> None:
        self.places = _Places()
        self._folder = folder
        self._repairer = repairer
        self._checker = checker
        self._each = each
        self._tokens = ClassTokens(settings)
        self._left_out = NotTrained()
        self._found = False

    def add(self, file: CaptionedFile) -> None:
        """Check the caption of a file, unless it is not trained on."""
        self._found = True
        if file.not_trained is not None:
            self._left_out.add(file)
        elif file.caption is not None or file.source is None or file.line is not None:
            self._check(self._repairer.repaired(file) if self._repairer else file)
        # else the file is unreadable, and the problems list it

    def _check(self, file: CaptionedFile) -> None:
        caption = self._tokens.count(file)
        image = _relative(file.path, str(self._folder))
        fingerprint = _fingerprint(file.path)
        self._checker.add(image, file.dataset, caption, fingerprint)
        self._each(image, msgspec.structs.replace(file, caption=caption), fingerprint)
        self.places.add(image, file.dataset, caption, file.source or file.path, file.line)

    def tell(self, root: str, problems: FolderProblems) -> None:
        """Add the problems that are known at the end only."""
        self._tokens.tell(self._folder, problems)
        self._left_out.tell(problems)
        if not self._found:
            problems.add("nothing_read", root, f"holds no images or captions of a known kind{there_is(problems)}")


class _Places:
    """The source of each caption: sixteen bytes of memory per caption, and a temporary file."""

    def __init__(self) -> None:
        self._keys = array("q")
        self._texts = TextStore()

    def add(self, path: str, dataset: str, caption: str | None, source: str, line: int | None) -> None:
        self._keys.append(hash((path, dataset, (caption or "")[:READ_LIMIT])))
        self._texts.append(f"{'' if line is None else line}:{source}")

    def of(self, flagged: Iterable[FlaggedCaption]) -> list[tuple[str, int | None]]:
        """The source and the line of each."""
        wanted = [hash((one.path, one.dataset, one.caption)) for one in flagged]
        among = set(wanted)
        place_of = {key: place for place, key in enumerate(self._keys) if key in among}
        places: list[tuple[str, int | None]] = []
        for key in wanted:
            line, _, source = self._texts[place_of[key]].partition(":")
            places.append((source, int(line) if line else None))
        return places


def _relative(path: str, folder: str) -> str:
    return path.removeprefix(folder.rstrip("/") + "/")


def _fingerprint(path: str) -> bytes | None:
    """A fingerprint that is equal for images with the same bytes, and almost never for others; None for other files.

    It uses size, middle and end of the file. For a compressed image that is as reliable as all bytes, in a hundredth of
    the time.
    """
    if not path.lower().endswith(_COMPRESSED):
        return None
    try:
        with Path(path).open("rb", buffering=0) as file:
            if not (size := os.fstat(file.fileno()).st_size):
                return None
            digest = hashlib.blake2b(size.to_bytes(8, "big"), digest_size=16)
            for start in (max(0, size // 2 - _BLOCK), max(0, size - _BLOCK)):
                file.seek(start)
                digest.update(file.read(_BLOCK))
            return digest.digest()
    except (OSError, ValueError):  # a row of a table whose image is missing
        return None
