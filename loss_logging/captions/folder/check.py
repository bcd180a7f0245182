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
from loss_logging.captions.folder.read import CaptionedFile, class_tokens, read_captioned_folder
from loss_logging.captions.folder.repair import Repairer
from loss_logging.captions.folder.trainer_settings import TrainerSettings, trainer_settings
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

    def is_ignored(kind: ProblemKind, file: str) -> bool:
        return kind != "nothing_read" and accepted.accepts(kind, _relative(file, str(folder)))

    problems = FolderProblems(ignores=is_ignored)
    repairer = Repairer(folder, problems, write=repair == "write") if repair else None
    settings = trainer_settings(config, trainer)
    checker = DatasetChecker(_with_syntax(config, settings), accepted=accepted)
    places, tokens, left = _Places(), _ClassTokens(settings), _NotTrained()
    found = False
    files = read_captioned_folder(
        root, problems=problems, path_column=path_column, caption_column=caption_column, trainer=settings
    )
    for file in progress_bar("checking captions", files, shown=progress):
        found = True
        if file.not_trained is not None:
            left.add(file)
            continue
        if file.caption is None and file.source is not None and file.line is None:
            continue  # an unreadable file, which the problems already list
        current = repairer.repaired(file) if repairer else file
        caption = tokens.count(current)
        image = _relative(current.path, str(folder))
        fingerprint = _fingerprint(current.path)
        checker.add(image, current.dataset, caption, fingerprint)
        each(image, msgspec.structs.replace(current, caption=caption), fingerprint)
        places.add(image, current.dataset, caption, current.source or current.path, current.line)
    tokens.tell(folder, problems)
    left.tell(problems)
    if not found:
        problems.add("nothing_read", root, f"holds no images or captions of a known kind{there_is(problems)}")
    return FolderCheck(str(folder), checker.finish(), problems, repairer, places, accepted)


def _with_syntax(config: CaptionConfig, settings: TrainerSettings | None) -> CaptionConfig:
    """The configuration with the prompt syntax that the trainer resolves under its settings."""
    if settings is None:
        return config
    trainers = [settings.trainer, *settings.folders.values()]
    resolved = dict.fromkeys([*config.reading.syntax, *(name for trainer in trainers for name in trainer.resolves)])
    reading = msgspec.structs.replace(config.reading, syntax=tuple(resolved))
    return msgspec.structs.replace(config, reading=reading, trainer=settings.trainer.name)


class _NotTrained:
    """Images that the trainer leaves out, by reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, file: CaptionedFile) -> None:
        """Count one."""
        reason = file.not_trained or ""
        self._counts[reason] += 1
        self._first.setdefault(reason, file.path)

    def tell(self, problems: FolderProblems) -> None:
        """Add one problem per reason."""
        for reason, count in self._counts.items():
            images = f"{count:,} images are" if count > 1 else "an image is"
            problems.add("not_trained", self._first[reason], f"{images} not trained on: {reason}")


class _ClassTokens:
    """Images without a caption in kohya's folders; kohya trains them on the words in the folder's name."""

    def __init__(self, trainer: TrainerSettings | None) -> None:
        self._trainer = trainer
        self._all: Counter[str] = Counter()
        self._without: Counter[str] = Counter()

    def count(self, file: CaptionedFile) -> str | None:
        """The text that the image is trained on; None if there is none."""
        self._all[file.dataset] += 1
        if file.source is not None or (tokens := class_tokens(file.dataset)) is None:
            return file.caption
        if self._trainer is not None and file.caption != tokens:
            return file.caption  # of a trainer without class tokens
        self._without[file.dataset] += 1
        return tokens

    def tell(self, root: Path, problems: FolderProblems) -> None:
        for dataset, count in self._without.items():
            message = f"{count} of {self._all[dataset]} images have no caption: kohya uses {class_tokens(dataset)!r}"
            problems.add("class_tokens", str(root / dataset), message)


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
