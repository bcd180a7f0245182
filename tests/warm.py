"""A Python that has imported what takes seconds, and forks for each piece of work: a process each, without the wait."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from typing import IO

__all__ = ["WarmPython"]


class WarmPython:
    """Runs code as ``python -c`` does.

    Args:
        imports: the modules that are there from the beginning.
        path: folders that modules are looked for in, too.
    """

    def __init__(self, *imports: str, path: str = "") -> None:
        environment = os.environ | ({"PYTHONPATH": path} if path else {})
        command = [sys.executable, __file__, *imports]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, code: str, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What the code prints and exits with, in a folder; a warning is an error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([code, str(cwd), arguments]), file=self._process.stdin, flush=True)
        status, out, error = json.loads(self._process.stdout.readline())
        return subprocess.CompletedProcess([code, *arguments], status, out, error)

    def stop(self) -> None:
        """End it."""
        self._process.communicate(timeout=60)


def _serve(imports: list[str]) -> None:
    for name in imports:
        import_module(name)
    answers = os.fdopen(os.dup(1), "w")  # what is imported may print
    os.dup2(2, 1)
    for line in sys.stdin:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
            if (child := os.fork()) == 0:
                _work(*json.loads(line), out, error)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            texts = [_text(file) for file in (out, error)]
        print(json.dumps([status, *texts]), file=answers, flush=True)


def _work(code: str, folder: str, arguments: list[str], out: IO[bytes], error: IO[bytes]) -> None:
    """In the child: what an interpreter does from its first line to its end."""
    for number, file in ((0, None), (1, out), (2, error)):
        os.dup2(os.open(os.devnull, os.O_RDONLY) if file is None else file.fileno(), number)
    os.chdir(folder)
    sys.argv = ["-c", *arguments]
    sys.path.insert(0, "")
    warnings.simplefilter("error")
    status = 0
    try:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 whatever it is, an interpreter ends with it
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


if __name__ == "__main__":
    _serve(sys.argv[1:])
