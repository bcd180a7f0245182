"""One clear warning per kind of trouble and run, on the logger "loss_logging", from whatever thread it happens in."""

from __future__ import annotations

import logging
import os
import threading

__all__ = ["LOGGER", "begin_warnings", "warn_once"]

LOGGER = logging.getLogger("loss_logging")

_seen: set[str] = set()
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child that is forked while another thread warns must not wait for it for ever
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def begin_warnings() -> None:
    """A run begins in this process: every kind of trouble is said again. Runs that overlap share what was said."""
    with _lock:
        _seen.clear()


def warn_once(kind: str, message: str) -> None:
    """Log ``message`` as a warning the first time that a run meets ``kind``, and at the debug level later."""
    with _lock:
        first = kind not in _seen
        _seen.add(kind)
    LOGGER.log(logging.WARNING if first else logging.DEBUG, message)
