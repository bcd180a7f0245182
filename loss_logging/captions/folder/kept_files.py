"""KeptFiles: files below a folder are replaced whole or not at all, and what was there is kept."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from loss_logging.errors import LossLoggingError
from loss_logging.support.files import whole_file

__all__ = ["ConflictError", "KeptFiles", "NotWrittenError", "changed"]


class NotWrittenError(LossLoggingError):
    """A caption was not written, and its file is as it was; the message says why and what to do."""


class ConflictError(NotWrittenError):
    """What is on disk is not what was read: somebody else has changed it."""


def changed() -> ConflictError:
    """What is said of a file, behind its name, that does not hold what was read."""
    return ConflictError("was changed by somebody else since it was read")


class KeptFiles:
    """Replaces files below a folder. The first time that a file is replaced it is kept in ``backup``.

    Args:
        root: the folder; nothing outside it is written, wherever a path or a link leads.

    Attributes:
        backup: the folder ``.captions-backup-TIME`` in it, which is there once something was replaced.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> _ = (root / "1.txt").write_text("a dog")
        >>> files = KeptFiles(root)
        >>> files.replace(root / "1.txt", lambda old, out: out.write(old.read() + b" in the snow"))
        >>> (root / "1.txt").read_text(), (files.backup / "1.txt").read_text()
        ('a dog in the snow', 'a dog')
    """

    def __init__(self, root: Path) -> None:
        self.backup = root / time.strftime(".captions-backup-%Y%m%dT%H%M%S")
        self._root = root

    def replace(self, path: Path, edit: Callable[[IO[Any], IO[Any]], object]) -> None:
        """Let ``edit`` read the file and write what takes its place; where it raises, the file is as it was.

        Raises:
            ConflictError: the file is gone, or was changed meanwhile.
            NotWrittenError: it is read-only, or lies outside the folder.
            OSError: it cannot be read or written, such as on a full disk.
        """
        target = self._inside(path)
        try:
            before = target.stat()
        except FileNotFoundError as error:
            raise ConflictError(f"{path} is no longer there; read the folder again") from error
        if not before.st_mode & 0o222:
            raise NotWrittenError(f"{path} is read-only; allow writing (chmod u+w) first")
        with target.open("rb") as old, whole_file(target) as out:
            edit(old, out)
            Path(out.name).chmod(before.st_mode)
            self._keep(target)
            if _identity(target.stat()) != _identity(before):
                raise ConflictError(f"{path} was changed by somebody else just now; read the folder again")

    def create(self, path: Path, data: bytes) -> None:
        """Write a file where there is none.

        Raises:
            ConflictError: there is one.
            NotWrittenError: it would lie outside the folder.
            OSError: it cannot be written.
        """
        target = self._inside(path)
        if target.exists():
            raise ConflictError(f"{path} is there by now; read the folder again")
        with whole_file(target) as out:
            out.write(data)

    def _inside(self, path: Path) -> Path:
        target = path.resolve()
        if not target.is_relative_to(self._root.resolve()):
            raise NotWrittenError(f"{path} leads to {target}, outside {self._root}; open the folder that holds it")
        return target if path.is_symlink() else path

    def _keep(self, target: Path) -> None:
        """Keep what is there: as another name of the same bytes where the file system can, however many they are."""
        backup = self.backup / target.resolve().relative_to(self._root.resolve())
        if backup.exists():
            return
        backup.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(target, backup)
        except OSError:
            shutil.copy2(target, backup)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
