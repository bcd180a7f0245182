"""Reads runs in an object store: copies the requested files to this machine, once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.reports.names import items_path, job_and_step
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.store.manifest import Entry, Manifest, jobs_in, manifest_name, read_manifest
from loss_logging.runs.store.upload import digest_of, versions, write_versions
from loss_logging.support.files import cache_dir
from loss_logging.support.object_store import ObjectStore, StoreError
from loss_logging.support.warn import warn_once

__all__ = ["StoredRun", "bring", "check_store", "fetch_report"]

_UNFINISHED = "unfinished"
_PROBE = "loss_logging/.writable"
_ATTEMPTS = 4
_PAUSE_SECONDS = 0.5


class StoredRun:
    """One run under ``url``, with the files in its manifest. They are copied below ``folder`` as in a ``save_root``.

    Args:
        url: a ``save_root`` in an object store, or one of its reports.
        job: the job's name; the job that was written last when None.
        folder: the target folder; a folder for this URL in the user's cache when None.

    Raises:
        LossLoggingError: there is no such run; the message lists the existing ones.
        StoreError: the store refuses or does not answer.
    """

    def __init__(self, url: str, job: str | None = None, folder: Path | None = None) -> None:
        self._store = ObjectStore(url.removesuffix("/loss_logging"))
        self.folder = folder or cache_dir() / "copies" / hashlib.blake2b(url.encode(), digest_size=8).hexdigest()
        self.manifest = self._find(job)

    @property
    def job(self) -> str:
        """The job's name."""
        return self.manifest.job

    def reports(self) -> dict[int, str]:
        """The names of the JSON reports by step."""
        steps = {}
        for name in self.manifest.files:
            if (named := job_and_step(name)) and named[0] == self.job:
                steps[named[1]] = name
        return dict(sorted(steps.items()))

    def fetch_report(self, step: int) -> Path:
        """Copy a report, and its file of items' figures if there is one; returns the path of the JSON."""
        name = self.reports()[step]
        names = {name, items_path(Path(name)).name}
        self._fetch(lambda: [wanted for wanted in self.manifest.files if wanted in names])
        return self.folder / "loss_logging" / name

    def fetch(self, *, reports: int | None = None, newer: bool = False) -> Path:
        """Copy the run: all files, or its records and its last ``reports`` reports; returns a ``save_root``.

        With ``newer``, files other than records may be newer than the manifest, if a process was killed before it
        wrote the manifest.
        """

        def wanted() -> list[str]:
            names = list(self.manifest.files)
            if reports is None:
                return names
            stems = [name.removesuffix("json") for name in list(self.reports().values())[-reports:]]
            return [name for name in names if name.startswith(("records/", *stems))]

        self._fetch(wanted, newer=newer)
        out_dir = self.folder / "loss_logging"
        # Shards of an earlier copy: since compacted, or of an earlier run, or of an evaluation that finished elsewhere.
        for path in (out_dir / "records" / self.job).rglob("rank*.parquet"):
            if path.relative_to(out_dir).as_posix() not in self.manifest.files:
                path.unlink()
        return self.folder

    def _find(self, job: str | None) -> Manifest:
        names = [job] if job is not None else jobs_in(self._store)
        manifests = [found for name in names if (found := read_manifest(self._store, manifest_name(name)))]
        if not manifests:
            there = ", ".join(jobs_in(self._store)) if job is not None else ""
            of = f" of the job {job!r}; there are: {there or 'none'}" if job is not None else ""
            raise LossLoggingError(
                f"{self._store.url} holds no run{of} (loss_logging/JOB.manifest.json); give the save_root of a run"
            )
        return max(manifests, key=lambda manifest: manifest.created)

    def _fetch(self, wanted: Callable[[], list[str]], *, newer: bool = False) -> None:
        """Copy the files of one manifest. If a file has changed since, read the next manifest and call ``wanted``
        again."""
        for attempt in range(_ATTEMPTS):
            files = self.manifest.files
            stale = [name for name in wanted() if not self._fetch_one(name, files[name])]
            if newer and attempt == _ATTEMPTS - 1:
                stale = [name for name in stale if name.startswith("records/") or not self._take(name, files[name])]
            if not stale:
                return
            time.sleep(_PAUSE_SECONDS * attempt)
            self.manifest = self._find(self.job)
        raise LossLoggingError(
            f"{self._store.url}: {stale[0]} differs from the manifest: it is missing or damaged, or the run "
            "changes very fast; try again"
        )

    def _take(self, name: str, entry: Entry) -> bool:
        """Copy a file from the store; remove the local copy if the store has none."""
        return self._fetch_one(name, entry, newer=True) or not (self.folder / "loss_logging" / name).exists()

    def _fetch_one(self, name: str, entry: Entry, *, newer: bool = False) -> bool:
        """Copy a file; False if the file in the store differs from the manifest."""
        target = self.folder / "loss_logging" / name
        if not target.resolve().is_relative_to(self.folder.resolve()):
            raise LossLoggingError(f"{self._store.url}: the manifest names {name!r}, which leads out of the run")
        if target.is_file() and target.stat().st_size == entry.size and digest_of(target) == entry.digest:
            return True
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        try:
            self._store.download(entry.key, part)
            if not newer and digest_of(part) != entry.digest:
                return False
            part.replace(target)
        except FileNotFoundError:
            return False
        finally:
            part.unlink(missing_ok=True)
        return True


def fetch_report(url: str, job: str | None = None) -> Path:
    """Copy the report that ``url`` names, by the rules of `loss_logging.runs.locate.find_report`.

    Raises:
        LossLoggingError: there is no such report; the message lists the existing ones.
        StoreError: the store refuses or does not answer.
    """
    place, _, step = url.rpartition("@")
    if not (place and step.isdecimal()):
        place, step = url, ""
    if url.endswith(".json"):
        place, _, name = url.rpartition("/")
        job, step = map(str, job_and_step(name) or ("", name))
    run = StoredRun(place, job or None)
    steps = run.reports()
    if not steps or (step and (not step.isdecimal() or int(step) not in steps)):
        listed = ", ".join(map(str, list(steps)[-10:])) or "none"
        raise LossLoggingError(f"{place} holds no report of step {step or 'any'}; the last ones are of: {listed}")
    return run.fetch_report(int(step) if step else max(steps))


def bring(config: TrainConfig) -> None:
    """Copy the run of ``config`` from the store to its spool folder, unless the run was uploaded from that folder.

    Raises:
        LossLoggingError: the run cannot be copied.
        StoreError: the store refuses or does not answer.
    """
    known, here = versions(config), any(config.records_dir.glob("rank*.parquet"))
    manifest = read_manifest(ObjectStore(str(config.save_root)), manifest_name(config.job_name))
    if manifest is None or manifest.version in known or (here and not known):
        return
    run = StoredRun(str(config.save_root), config.job_name, config.local_root)
    write_versions(config, _UNFINISHED)  # an interrupted copy is neither the run in the store nor a run of its own
    for path in config.report_paths():
        if path.name not in run.manifest.files:
            path.unlink()
    run.fetch(newer=True)
    write_versions(config, run.manifest.version)


def check_store(config: TrainConfig) -> None:
    """Try to write to the store of ``config`` at the start, while the user can correct the settings.

    If the store cannot be reached, a warning says so: the run begins without it, and uploads later.

    Raises:
        ConfigError: the store refuses.
        MissingExtraError: a package for this kind of URL is not installed.
    """
    url = str(config.save_root)
    store = ObjectStore(url)
    if url.startswith("memory:") and config.reporter == "process":
        raise ConfigError(f'save_root: {url} is in the memory of one process; set reporter="inline"')
    try:
        store.write(_PROBE, b"")
        store.remove(_PROBE)
    except StoreError as error:
        if not error.may_pass:
            raise ConfigError(f"save_root: {error}") from error
        warn_once(
            f"store {url}",
            f"{error}. The run is written to {config.local_root}, and uploaded once the store can be reached.",
        )
