"""Repairs caption files on disk, where the repair is safe."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import msgspec

from loss_logging.captions.fix import MOST_CHARACTERS, fixed
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.image_suffixes import TEXTS
from loss_logging.captions.folder.kept_files import ConflictError, KeptFiles, NotWrittenError
from loss_logging.captions.folder.problems import FolderProblems

__all__ = ["Repair", "Repairer"]

_MARK = "\ufeff"


class Repair(msgspec.Struct, frozen=True):
    """A caption file, and its text before and after."""

    path: str
    before: str
    after: str


class Repairer:
    """Repairs the captions of a folder in place, each file completely or not at all, with a backup of the old files.

    It repairs mojibake, HTML entities, invisible characters and white space, see `loss_logging.captions.fix.fixed`,
    and removes a byte order mark. It changes only caption files in UTF-8: no tables, no JSON, and no text whose
    encoding was guessed.

    Args:
        root: the folder; backups go to ``.captions-backup-TIME`` in it.
        problems: takes the files that could not be written.
        write: False only notes the changes that True would make.
    """

    def __init__(self, root: Path, problems: FolderProblems, *, write: bool) -> None:
        self.repairs: list[Repair] = []
        self.in_tables = 0
        self._files = KeptFiles(root)
        self.backup = self._files.backup
        self._problems = problems
        self._write = write
        self._targets = set[Path]()

    def repaired(self, file: CaptionedFile) -> CaptionedFile:
        """The file with its current caption on disk."""
        if file.caption is None or file.source is None:
            return file
        if not file.source.lower().endswith(TEXTS):
            self.in_tables += fixed(file.caption) != file.caption
            return file
        try:
            repair = _repair(Path(file.source))
            if repair is None:
                return file
            target, _ = self._files.replaceable(Path(file.source))
            if not self._write and target in self._targets:  # a link to a text that would be repaired by then
                return file
            self._targets.add(target)
            if self._write:
                self._files.replace(Path(file.source), lambda old, out: _rewrite(repair, old, out))
        except (OSError, NotWrittenError) as error:
            self._problems.add("not_repaired", file.source, getattr(error, "strerror", None) or str(error))
            return file
        self.repairs.append(repair)
        return msgspec.structs.replace(file, caption=_without_end(repair.after)[0]) if self._write else file


def _rewrite(repair: Repair, old: IO[Any], out: IO[Any]) -> None:
    if old.read() != repair.before.encode():
        raise ConflictError(f"{repair.path} was changed meanwhile")
    out.write(repair.after.encode())


def _repair(path: Path) -> Repair | None:
    """The repair of a file; None if it needs none."""
    if path.stat().st_size > 4 * MOST_CHARACTERS:
        return None
    try:
        before = path.read_bytes().decode()
    except UnicodeDecodeError:
        return None
    text, end = _without_end(before.removeprefix(_MARK))
    if "\n" in text or "\r" in text:
        end = end[-1:]  # the same as the other line ends
    after = fixed(text) + end
    return None if after == before else Repair(str(path), before, after)


def _without_end(text: str) -> tuple[str, str]:
    """A text and its last line end."""
    end = "\r\n" if text.endswith("\r\n") else "\n" if text.endswith("\n") else ""
    return text.removesuffix(end), end
