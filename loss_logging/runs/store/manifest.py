"""The manifest of a run in an object store: a list of its files, all of them complete.

An object store has no rename, so several files change together through one file: a reader trusts the manifest alone.
Each file is uploaded before the manifest that names it, and removed after a manifest that no longer names it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from loss_logging.errors import LossLoggingError
from loss_logging.support.object_store import ObjectStore

__all__ = ["Entry", "Manifest", "jobs_in", "manifest_name", "read_manifest"]

_SUFFIX = ".manifest.json"


class Entry(msgspec.Struct, frozen=True):
    """One file: its key, relative to the manifest's ``save_root``, its size in bytes, and its BLAKE2b digest (128 bits,
    hex)."""

    key: str
    size: int
    digest: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The files of a run by their names in ``save_root/loss_logging``. ``version`` is a new random name in each
    manifest; ``created`` is ISO 8601 in UTC."""

    schema_: Literal["loss_logging/manifest/1"] = "loss_logging/manifest/1"
    job: str
    version: str
    created: str
    files: dict[str, Entry] = {}


def manifest_name(job: str) -> str:
    """
    >>> manifest_name("cats")
    'loss_logging/cats.manifest.json'
    """
    return f"loss_logging/{job}{_SUFFIX}"


def read_manifest(store: ObjectStore, name: str) -> Manifest | None:
    """The manifest of that name; None if there is none.

    Raises:
        LossLoggingError: the manifest is damaged or of a later version, or the store does not answer.
    """
    try:
        return msgspec.json.decode(store.read(name), type=Manifest)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise LossLoggingError(f"{store.url}/{name} is no manifest that this version can read: {error}") from error


def jobs_in(store: ObjectStore) -> list[str]:
    """The jobs that have a manifest in the store.

    Raises:
        StoreError: the store refuses or does not answer.
    """
    return [name.removesuffix(_SUFFIX) for name in store.names("loss_logging", _SUFFIX)]
