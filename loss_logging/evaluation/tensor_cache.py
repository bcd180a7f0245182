"""TensorCache: tensors in a folder, by the digest of all that they depend on, from one evaluation to the next."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from loss_logging.support.files import whole_file
from loss_logging.support.warn import warn_once

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined, unused-ignore]

    import torch

__all__ = ["TensorCache", "digest"]

_NAMES = "[0-9a-f]" * 2 + "/" + "[0-9a-f]" * 32 + ".safetensors"
"""The pattern of the files' names in the folder."""
_SCANS = 10
"""The folder is looked through whenever this part of what it may hold was written: other processes write, too."""


def digest(*parts: str | Buffer) -> str:
    """A name for a sequence of parts: 128 bits of BLAKE2.

    >>> digest("a", "b") == digest("ab", "")
    False
    """
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        view = memoryview(part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part).cast("B")
        found.update(view.nbytes.to_bytes(8, "little"))
        found.update(view)
    return found.hexdigest()


class TensorCache:
    """Named tensors in files of their own. What was used longest ago goes where they are too many.

    Several processes may use one folder: a file appears whole or not at all. Trouble with the disk is warned about
    once; the tensors are then made anew, as those of a file that was cut are.

    Args:
        folder: where the files are; it is made if it is missing. Other files in it stay.
        most_bytes: the most that the files may take; a few processes may together be over it by a tenth each.

    Example:
        >>> import tempfile, torch
        >>> cache = TensorCache(Path(tempfile.mkdtemp()), most_bytes=1_000_000)
        >>> cache.put(digest("a cat"), {"embeds": torch.ones(2)})
        >>> cache.get(digest("a cat")), cache.get(digest("a dog"))
        ({'embeds': tensor([1., 1.])}, None)
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self._left = -1  # bytes that may be written before the folder is looked through

    def get(self, key: str) -> dict[str, torch.Tensor] | None:
        """The tensors, on the CPU; None where they have to be made."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        path = self._path(key)
        try:
            found: dict[str, torch.Tensor] = load(path.read_bytes())
            os.utime(path)  # used now
        except (FileNotFoundError, SafetensorError):  # cut by a disk that lost power, say: `put` replaces it
            return None
        except OSError as error:
            self._warn(error)
            return None
        return found

    def put(self, key: str, tensors: dict[str, torch.Tensor]) -> None:
        """Keep tensors, which must not share memory."""
        from safetensors.torch import save

        data = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as file:
                file.write(data)
            self._left -= len(data)
            if self._left < 0:
                self._make_room()
        except OSError as error:
            self._warn(error)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def _make_room(self) -> None:
        found = []
        for path in self.folder.glob(_NAMES):  # what else is in the folder is the user's
            with suppress(FileNotFoundError):  # another process made room
                about = path.stat()
                found.append((about.st_mtime_ns, about.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found) if total > self.most_bytes else ():
            path.unlink(missing_ok=True)
            total -= size
            if total <= self.most_bytes * (1 - 1 / _SCANS):
                break
        self._left = min(self.most_bytes - total, self.most_bytes // _SCANS)

    def _warn(self, error: OSError) -> None:
        warn_once(
            "tensor cache",
            f"the cache {self.folder} cannot be used: {error}. The evaluation goes on and encodes what is not in it.",
        )
