"""Files under a URL such as ``s3://bucket/run``, through fsspec, with errors that say what to do."""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.support.extras import is_installed, missing_package, require

__all__ = ["ObjectStore", "StoreError", "as_url", "read_file"]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+([^/].*)\Z", re.DOTALL)
_OPTIONS: dict[str, dict[str, Any]] = {
    "file": {"auto_mkdir": True},
    # A caller should not wait for minutes; the uploader tries again later.
    "s3": {"config_kwargs": {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 1}}},
}


class StoreError(LossLoggingError, OSError):
    """An operation on an object store failed. ``may_pass`` is True if a later attempt may succeed."""

    def __init__(self, message: str, *, may_pass: bool) -> None:
        super().__init__(message)
        self.may_pass = may_pass


def as_url(place: str | Path) -> str | None:
    """``place`` as a URL; None for the path of a file or folder. A Path of a URL, which has lost a slash, is a URL too.

    >>> as_url("s3://bucket/run/"), as_url(Path("s3://bucket/run")), as_url("runs/cats"), as_url("C:/runs")
    ('s3://bucket/run', 's3://bucket/run', None, None)
    """
    match = _URL.match(str(place))
    if match is None:
        return None
    scheme, rest = match.groups()
    return f"{scheme.lower()}://{'/' if scheme.lower() == 'file' else ''}{rest.rstrip('/')}"


class ObjectStore:
    """The files under ``url``. There is no rename; each file appears completely or not at all.

    Raises:
        MissingExtraError: the library for this kind of URL is not installed.
        ConfigError: the kind of URL is unknown.

    Example:
        >>> store = ObjectStore("memory://example")
        >>> store.write("a/b.txt", b"whole")
        >>> store.read("a/b.txt")
        b'whole'
        >>> ObjectStore("s4://bucket/run")
        Traceback (most recent call last):
        loss_logging.errors.ConfigError: s4://bucket/run: no kind of URL is called 's4'; known are s3, gs, az, ...
    """

    def __init__(self, url: str) -> None:
        self.url = url
        scheme = url.partition("://")[0]
        _require_library(url, scheme)
        from fsspec.core import url_to_fs

        # A cached listing hides the changes of other processes; a cached instance hides corrected credentials.
        fresh = {"use_listings_cache": False, "skip_instance_cache": True}
        self._files, self._root = url_to_fs(url, **fresh, **_OPTIONS.get(scheme, {}))

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: the file does not exist.
            StoreError: the store refuses or does not answer.
        """
        with self._asking("read", name, missing_is_an_answer=True):
            content: bytes = self._files.cat_file(self._path(name))
        return content

    def write(self, name: str, content: bytes) -> None:
        """Create or replace a small file.

        Raises:
            StoreError: the store refuses or does not answer.
        """
        with self._asking("write", name):
            self._files.pipe_file(self._path(name), content)

    def upload(self, source: Path, name: str) -> None:
        """Create or replace a file with a local one.

        Raises:
            FileNotFoundError: ``source`` does not exist.
            StoreError: the store refuses or does not answer.
        """
        with source.open("rb"):  # else a missing source looks like a missing bucket
            pass
        with self._asking("write", name):
            self._files.put_file(str(source), self._path(name))

    def download(self, name: str, target: Path) -> None:
        """Copy a file to a local one, and replace that.

        Raises:
            FileNotFoundError: the file does not exist.
            StoreError: the store refuses or does not answer.
        """
        with self._asking("read", name, missing_is_an_answer=True):
            self._files.get_file(self._path(name), str(target))

    def move(self, name: str, to: str) -> None:
        """Copy a file within the store and remove the original; a missing file is ignored."""
        with self._asking("move", name):
            if self._files.exists(self._path(name)):
                self._files.copy(self._path(name), self._path(to))
                self._files.rm_file(self._path(name))

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        with self._asking("remove", name):
            try:
                self._files.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def names(self, folder: str, suffix: str) -> list[str]:
        """The names in a folder that end with ``suffix``, sorted.

        Raises:
            StoreError: the store refuses or does not answer.
        """
        with self._asking("list", folder):
            try:
                found = self._files.ls(self._path(folder), detail=False, refresh=True)
            except FileNotFoundError as error:
                if _bucket_is_missing(error):
                    raise
                return []
        return sorted(Path(path).name for path in found if path.endswith(suffix))

    def _path(self, name: str) -> str:
        return posixpath.normpath(f"{self._root}/{name}")

    @contextmanager
    def _asking(self, what: str, name: str, *, missing_is_an_answer: bool = False) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if missing_is_an_answer and not _bucket_is_missing(error):
                raise
            reason = f"{error}; does the bucket exist? Create it, or give another URL"
            raise StoreError(f"{self.url}: cannot {what} {name}: {reason}", may_pass=False) from error
        except Exception as error:  # each library has its own exceptions, and most of them are no OSError
            may_pass = _may_pass(error)
            advice = "" if may_pass else "; check the credentials and their permissions"
            reason = f"{type(error).__name__}: {error}"
            raise StoreError(f"{self.url}: cannot {what} {name}: {reason}{advice}", may_pass=may_pass) from error


def read_file(url: str) -> bytes:
    """The content of the file at ``url``.

    Raises:
        FileNotFoundError: the file does not exist.
        StoreError: the store refuses or does not answer.
    """
    folder, _, name = url.rpartition("/")
    return ObjectStore(folder).read(name)


def _require_library(url: str, scheme: str) -> None:
    require("s3", "fsspec", subject=f"{url}: this")
    from fsspec.registry import known_implementations, registry

    if scheme in registry:
        return
    if scheme not in known_implementations:
        raise ConfigError(f"{url}: no kind of URL is called {scheme!r}; known are s3, gs, az, ...")
    package = known_implementations[scheme]["class"].partition(".")[0]
    if package == "s3fs":
        require("s3", package, subject=f"{url}: this")
    elif not is_installed(package):
        raise missing_package(package, package, subject=f"{url}: this")


def _bucket_is_missing(error: FileNotFoundError) -> bool:
    return "bucket" in str(error).lower() and "exist" in str(error).lower()


def _may_pass(error: Exception) -> bool:
    """Whether an error comes from the network, and is no answer of the store."""
    if isinstance(error, OSError):
        return not isinstance(error, PermissionError)
    botocore = sys.modules.get("botocore.exceptions")
    return botocore is not None and isinstance(error, (botocore.ConnectionError, botocore.HTTPClientError))
