"""One warning per kind of trouble and run, on the logger "loss_logging", from any thread."""

from __future__ import annotations

import logging
import os
import threading

__all__ = ["LOGGER", "begin_warnings", "warn_once"]

LOGGER = logging.getLogger("loss_logging")

_seen: set[str] = set()
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child that was forked while another thread warned must not wait for that thread
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def begin_warnings() -> None:
    """Begin a run in this process: each kind of trouble is warned about anew. Overlapping runs share the warnings."""
    with _lock:
        _seen.clear()


def warn_once(kind: str, message: str) -> None:
    """Log ``message`` as a warning at the first ``kind`` of trouble in a run, and at the debug level later."""
    with _lock:
        first = kind not in _seen
        _seen.add(kind)
    LOGGER.log(logging.WARNING if first else logging.DEBUG, message)
