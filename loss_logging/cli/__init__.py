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
"""What shells give for a program that Ctrl-C has ended."""


def main() -> None:
    """Run the command line.

    Exits with 0, with 1 when the command failed, with 2 when it was called wrongly, with 130 when Ctrl-C ended it.
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
    """Exit with 130 where Ctrl-C came, whatever became of it: libraries make errors of theirs of it, or exit with 1.

    What ends with 0 nevertheless is done, as a server is that was told to end.
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
    """What went wrong with which file, without the number that the system gives it.

    >>> _in_words(FileNotFoundError(2, "No such file or directory", "runs/cats"))
    'runs/cats: no such file or directory'
    """
    if error.strerror is None:
        return str(error)
    reason = f"{error.strerror[:1].lower()}{error.strerror[1:]}"
    files = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{files}: {reason}" if files else reason
