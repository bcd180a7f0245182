"""Uploader: uploads the local files of a run to an object store, during the run.

The run itself writes only to its spool folder, so that it never waits for a network. A thread uploads the new files,
then the manifest, then removes the files that the manifest no longer names. Whenever it is killed, all files of the
manifest exist, and the next process that writes the run continues.
"""

from __future__ import annotations

import hashlib
import posixpath
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from loss_logging.errors import LossLoggingError
from loss_logging.records.log import RecordLog
from loss_logging.reports.names import items_path
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.paths import opened_run
from loss_logging.runs.store.manifest import Entry, Manifest, manifest_name, read_manifest
from loss_logging.support.files import whole_file
from loss_logging.support.object_store import ObjectStore, StoreError
from loss_logging.support.warn import LOGGER, warn_once

__all__ = ["Uploader", "digest_of", "forget_versions", "uploading", "versions", "write_versions"]

_EVERY_SECONDS = 10.0
_RETRY_SECONDS = 2.0
_MOST_RETRY_SECONDS = 60.0
_LEAVE_SECONDS = 10.0
_PATIENCE_SECONDS = 10.0  # of waiting for another process that uploads the same folder
_GROWING = ("delivered/", "tensorboard/")
_VERSIONS = 8  # earlier versions of the manifest that are stored: an upload that was given up may arrive late
_PIECE = 1 << 20


class Uploader:
    """Uploads the files of one run from its spool folder to its ``save_root``, in a thread of its own.

    Args:
        config: the configuration of the run; its ``save_root`` is a URL.
        run: the identity of the run that this process has opened; the uploader stops when another run has the folder.
            None if no run is open in the folder.
    """

    def __init__(self, config: TrainConfig, run: str | None) -> None:
        self._config = config
        self._run = run
        self._store = ObjectStore(str(config.save_root))
        self._version = secrets.token_hex(8)
        self._seen = ""  # the last known version of the manifest in the store
        # The files in the store, some of them not yet in a manifest, with size and time of the local file.
        self._known: dict[str, tuple[tuple[int, int], Entry]] = {}
        self._loose: set[str] = set()  # keys to remove once no manifest names them
        self._trouble = ""
        self._done = False
        self._closing = False
        self._wake = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._loop, name="loss_logging-mirror", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Start an upload now; without this call it starts a little later."""
        self._wake.set()

    def close(self, timeout: float) -> list[str]:
        """Upload the rest within ``timeout`` seconds; returns sentences about files that were not uploaded."""
        self._deadline = time.monotonic() + max(timeout, 0.0)
        self._closing = True
        self._wake.set()
        self._thread.join(max(timeout, 0.0))
        if self._done:
            return []
        return [
            f"some files are not in {self._store.url} ({self._trouble or 'it took too long'}); they are in "
            f"{self._config.local_root}: upload them with loss-logging upload {self._store.url}"
        ]

    def _loop(self) -> None:
        pause = _RETRY_SECONDS
        while True:
            self._wake.clear()
            closing = self._closing  # read first, so that all files before closing are uploaded
            try:
                self.upload()
                self._trouble, pause = "", _RETRY_SECONDS
                if closing:
                    self._done = True
                    return
                self._wake.wait(_EVERY_SECONDS)
            except Exception as error:  # noqa: BLE001 the thread must not end unseen with files not uploaded
                known = isinstance(error, (LossLoggingError, OSError))
                self._trouble = str(error) if known else f"{type(error).__name__}: {error}"
                warn_once(
                    f"mirror {self._store.url}",
                    f"{self._trouble}. Records and reports wait in {self._config.local_root}, and are uploaded once "
                    "that is possible. Training goes on.",
                )
                if closing and (time.monotonic() + pause > self._deadline or not getattr(error, "may_pass", False)):
                    return
                (time.sleep if closing else self._wake.wait)(pause)
                pause = min(2 * pause, _MOST_RETRY_SECONDS)

    def upload(self) -> None:
        """Upload all new files and the manifest, once.

        Raises:
            StoreError: the store refuses or does not answer.
            OSError: a local file cannot be read.
        """
        with self._alone():
            if self._is_superseded():
                return
            before = self._begun()
            files = dict(before.files)
            while self._send(files):
                pass
            if self._is_superseded():
                return
            if files != before.files:
                self._write(before, files)
            self._sweep(files)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from uploading the folder: a killed trainer's reporter, or loss-logging upload."""
        lock = FileLock(self._config.paths.uploading_lock)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._trouble = f"another process is uploading {self._config.records_dir}"  # if closed while waiting
            try:
                lock.acquire(timeout=_PATIENCE_SECONDS)
            except Timeout as error:
                raise StoreError(self._trouble, may_pass=True) from error
        try:
            yield
        finally:
            lock.release()

    def _write(self, before: Manifest, files: dict[str, Entry]) -> None:
        """Write the manifest that follows ``before``."""
        manifest = Manifest(job=before.job, version=self._version, created=_now(), files=files)
        # Note the version before the upload, beside the earlier ones: after a kill or a lost answer, one of them holds.
        certain = (before.version, manifest.version)
        late = [version for version in versions(self._config) if version not in certain]
        write_versions(self._config, *late[-_VERSIONS:], *certain)
        self._loose.update(entry.key for entry in before.files.values())
        self._store.write(manifest_name(self._config.job_name), msgspec.json.encode(manifest))
        self._seen = manifest.version
        self._version = secrets.token_hex(8)  # only now: failed attempts must not displace the version in the store

    def _sweep(self, files: dict[str, Entry]) -> None:
        """Remove files that the store's manifest, with ``files``, does not name; failures are tried again later."""
        self._known = {name: known for name, known in self._known.items() if name in files}
        self._loose.difference_update(entry.key for entry in files.values())
        while self._loose:
            key = next(iter(self._loose))
            self._store.remove(key)
            self._loose.remove(key)

    def _is_superseded(self) -> bool:
        """Whether another trainer now has the folder, and uploads."""
        return self._run is not None and opened_run(self._config.paths) != self._run

    def _send(self, files: dict[str, Entry]) -> bool:
        """Upload new files, and note them in ``files``; True if files disappeared meanwhile, so that it must repeat."""
        local = self._local()
        for name in set(files) - set(local):
            del files[name]
        for name, path in local.items():
            if (entry := self._sent(name, path, files.get(name))) is None:
                return True
            files[name] = entry
        return False

    def _sent(self, name: str, path: Path, before: Entry | None) -> Entry | None:
        """Upload a file, unless the store has it as ``before``; None if the local file disappeared meanwhile."""
        try:
            status = path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            known, entry = self._known.get(name, (None, None))
            if entry is None or known != stamp:
                source = self._still(path) if name.startswith(_GROWING) else path
                digest = digest_of(source)
                if before is not None and before.digest == digest:
                    entry = before
                else:
                    entry = Entry(_key(name, digest), source.stat().st_size, digest)
                    self._loose.add(entry.key)
                    self._store.upload(source, entry.key)
                self._known[name] = stamp, entry
        except FileNotFoundError:  # compacted; the list may lack the shard that replaced it
            return None
        return entry

    def _still(self, path: Path) -> Path:
        """A copy of a file that another process appends to, so that the digest matches the uploaded bytes."""
        return Path(shutil.copyfile(path, self._config.paths.growing))

    def _local(self) -> dict[str, Path]:
        """The files of the run for readers, by their names in the manifest."""
        config = self._config
        with RecordLog(config.records_dir).rewriting():  # list shards before or after a compaction, not during one
            found = [path for path in config.records_dir.rglob("*") if path.is_file()]
        reports = config.report_paths()
        found += [*reports, *map(items_path, reports), config.page_path]
        found += [*config.paths.delivered.glob("*.ledger"), *config.paths.tensorboard.rglob("*")]
        names = {str(path.relative_to(config.out_dir).as_posix()): path for path in found if path.is_file()}
        mark = config.paths.evaluation_mark.relative_to(config.out_dir).as_posix()
        return {name: path for name, path in sorted(names.items()) if "/." not in f"/{name}" or name == mark}

    def _begun(self) -> Manifest:
        """The manifest that this folder's run continues; the files of another run are moved away first.

        It is read each time, as the run may have continued on another machine while this one was suspended.
        """
        found = read_manifest(self._store, manifest_name(self._config.job_name))
        known = versions(self._config)
        if found is not None and known and found.version not in known:
            raise LossLoggingError(
                f"{self._store.url} holds a run {found.job!r} that another machine has continued since it was written "
                f"from {self._config.local_root}: call resume(step) to continue that run"
            )
        if found is not None and not known:
            self._archive(found)
            found = None
        begun = found or Manifest(job=self._config.job_name, version="", created=_now())
        if begun.version != self._seen:  # another process has uploaded, or somebody has removed all files
            self._known.clear()
            self._seen = begun.version
        return begun

    def _archive(self, manifest: Manifest) -> None:
        """Move another run's files to another place. Its log stays, as no key of a log is used twice."""
        folder = f"loss_logging/archive/{manifest.job}-{manifest.created.replace(':', '')}"
        files = {}
        for name, entry in manifest.files.items():
            if _is_log(name):
                key = f"../../../{entry.key}"
            else:
                key = f"loss_logging/{name}"
                self._store.move(entry.key, f"{folder}/{key}")
            files[name] = msgspec.structs.replace(entry, key=key)
        moved = msgspec.structs.replace(manifest, files=files)
        self._store.write(f"{folder}/{manifest_name(manifest.job)}", msgspec.json.encode(moved))
        self._store.remove(manifest_name(manifest.job))
        LOGGER.warning(
            "%s held an earlier run named %r; it was moved to %s/%s. To continue a run instead, call "
            "resume(step) before the first batch.",
            *(self._store.url, manifest.job, self._store.url, folder),
        )


@contextmanager
def uploading(config: TrainConfig) -> Iterator[None]:
    """Upload the files that a writer without a reporter writes meanwhile, if ``save_root`` is a URL."""
    mirror = Uploader(config, None) if config.url is not None else None
    try:
        yield
    finally:
        if mirror is not None:
            mirror.close(_LEAVE_SECONDS)  # the rest is uploaded with the report


def versions(config: TrainConfig) -> list[str]:
    """The versions of the manifest that a run's spool folder continues; empty for a run that is not uploaded."""
    try:
        return _versions_path(config).read_text("utf-8").split()
    except FileNotFoundError:
        return []


def write_versions(config: TrainConfig, *known: str) -> None:
    """Note that the spool folder continues one of these versions of the manifest."""
    with whole_file(_versions_path(config), text=True) as file:
        file.write(" ".join(known))


def forget_versions(config: TrainConfig) -> None:
    """Note that the spool folder begins a new run; the store holds another one."""
    _versions_path(config).unlink(missing_ok=True)


def _versions_path(config: TrainConfig) -> Path:
    return config.paths.uploaded


def digest_of(path: Path) -> str:
    """The BLAKE2b digest of a file, 128 bits, as hex."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        for piece in iter(lambda: file.read(_PIECE), b""):
            digest.update(piece)
    return digest.hexdigest()


def _is_log(name: str) -> bool:
    return name.startswith("records/")


def _key(name: str, digest: str) -> str:
    """The key of a file. A file of the log is never replaced, as a reader may be reading it, or an old manifest may
    name it. Two runs share no key, as the files of one of them will be removed."""
    if _is_log(name):
        stem, suffix = posixpath.splitext(name)
        name = f"{stem}.{digest[:16]}{secrets.token_hex(4)}{suffix}"
    return f"loss_logging/{name}"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
