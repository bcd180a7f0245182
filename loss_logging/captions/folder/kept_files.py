"""KeptFiles: replaces files below a folder completely or not at all, and keeps a backup of each."""

from __future__ import annotations

import errno
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
    """A caption was not written and its file is unchanged; the message says why and what to do."""


class ConflictError(NotWrittenError):
    """A file has changed since it was read: somebody else has written it."""


def changed() -> ConflictError:
    """The error about a file that has changed since it was read; the message follows the file's name."""
    return ConflictError("was changed by somebody else since it was read")


class KeptFiles:
    """Replaces files below a folder. Before the first replacement of a file, ``backup`` gets a copy of it.

    Args:
        root: the folder; no file outside it is written, even if a path or a link leads there.

    Attributes:
        backup: the folder ``.captions-backup-TIME`` in ``root``, which exists after the first replacement.

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
        """Let ``edit`` read the old file and write the new one; if it raises, the file stays as it was.

        Raises:
            ConflictError: the file is gone, or was changed in the meantime.
            NotWrittenError: the file is read-only, or is outside the folder.
            OSError: the file cannot be read or written, for example on a full disk.
        """
        target, before = self.replaceable(path)
        with target.open("rb") as old, whole_file(target) as out:
            edit(old, out)
            Path(out.name).chmod(before.st_mode)
            self._keep(target)
            if _identity(target.stat()) != _identity(before):
                raise ConflictError(f"{path} was changed by somebody else just now; read the folder again")

    def replaceable(self, path: Path) -> tuple[Path, os.stat_result]:
        """The file behind ``path`` and its state, if `replace` would write it; it raises the same errors otherwise."""
        target = self._inside(path)
        try:
            before = target.stat()
        except FileNotFoundError as error:
            raise ConflictError(f"{path} is no longer there; read the folder again") from error
        if not before.st_mode & 0o222:
            raise NotWrittenError(f"{path} is read-only; allow writing (chmod u+w) first")
        if not os.access(target.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target.parent))
        return target, before

    def create(self, path: Path, data: bytes) -> None:
        """Write a new file.

        Raises:
            ConflictError: the file exists.
            NotWrittenError: the path is outside the folder.
            OSError: the file cannot be written.
        """
        target = self._inside(path)
        if target.exists():
            raise ConflictError(f"{path} exists by now; read the folder again")
        with whole_file(target) as out:
            out.write(data)

    def _inside(self, path: Path) -> Path:
        target = path.resolve()
        if not target.is_relative_to(self._root.resolve()):
            raise NotWrittenError(f"{path} leads to {target}, outside {self._root}; open the folder that holds it")
        return target if path.is_symlink() else path

    def _keep(self, target: Path) -> None:
        """Back up a file: as a hard link if the file system supports it, which is fast for any size."""
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
