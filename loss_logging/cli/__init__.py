"""The console script ``loss-logging``. Its commands are in :mod:`loss_logging.cli.commands`."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from loss_logging.errors import LossLoggingError

__all__ = ["main"]

_INTERRUPTED = 130
"""The exit status that shells use for a program that Ctrl-C has ended."""


def main() -> None:
    """Run the command line.

    The exit status is 0, or 1 if the command failed, 2 if it was called wrongly, 130 if Ctrl-C ended it.
    """
    with _ctrl_c():
        try:
            from loss_logging.cli.commands import app

            app()
        except LossLoggingError as error:
            sys.exit(f"loss-logging: {error}")
        except OSError as error:
            sys.exit(f"loss-logging: {_in_words(error)}")


@contextmanager
def _ctrl_c() -> Iterator[None]:
    """Exit with 130 after Ctrl-C, as libraries turn it into their own errors or exit with 1.

    An exit with 0 stays: the command is complete, such as a server that was told to end.
    """
    came = False

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread() and before is signal.default_int_handler
    if ours:  # a job in the background ignores it
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except SystemExit as ended:
        raise SystemExit(_INTERRUPTED if came and ended.code not in (None, 0) else ended.code) from None
    except Exception:
        if not came:
            raise
        sys.exit(_INTERRUPTED)
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _in_words(error: OSError) -> str:
    """The file and the error in words, without the system's error number.

    >>> _in_words(FileNotFoundError(2, "No such file or directory", "runs/cats"))
    'runs/cats: no such file or directory'
    """
    if error.strerror is None:
        return str(error)
    reason = f"{error.strerror[:1].lower()}{error.strerror[1:]}"
    files = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{files}: {reason}" if files else reason
