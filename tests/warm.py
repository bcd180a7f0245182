"""A Python that has imported what takes seconds, and forks for each piece of work: a process each, without the wait."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TextIO

from waiting import wait_until

__all__ = ["PYTEST", "SCRIPT", "WarmProcess", "WarmPython", "with_torch", "without_torch"]

SCRIPT = """
import runpy, sys
del sys.argv[0]
sys.path[0] = sys.argv[0].rpartition("/")[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Code that runs the script that is its first argument, with the others, as ``python SCRIPT`` does."""
PYTEST = "import sys, warnings, pytest; warnings.resetwarnings(); sys.exit(pytest.main(sys.argv[1:]))"
"""Code that runs pytest with its arguments."""


@cache
def without_torch() -> WarmPython:
    """This worker's own, with what a LossLogger and the command line import."""
    served = "loss_logging.pages.served"
    server = (f"{served}.server", f"{served}.run_page", f"{served}.folder_page", f"{served}.editor", f"{served}.live")
    uvicorn = ("uvicorn.loops.uvloop", "uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.off")
    return _until_the_end("pandas", "loss_logging.cli.commands.view", *server, *uvicorn, "loss_logging.training.logger")


@cache
def with_torch() -> WarmPython:
    """With what trainers import. It takes seconds to begin: whoever uses it is in the xdist_group torch.

    Not loss_logging, which pytest rewrites where it is installed, and warns of where it is imported already.
    """
    trainers = ("torch", "torch._dynamo", "torch.utils.data", "accelerate")
    return _until_the_end(*trainers, "pandas", "duckdb", "pyarrow.parquet", "pytest")


def _until_the_end(*imports: str) -> WarmPython:
    python = WarmPython(*imports)
    atexit.register(python.stop)
    return python


class WarmPython:
    """Runs code as ``python -c`` does.

    Args:
        imports: the modules that are there from the beginning.
        path: folders that modules are looked for in, too.
    """

    def __init__(self, *imports: str, path: str = "") -> None:
        environment = os.environ | ({"PYTHONPATH": path} if path else {})
        self._socket, theirs = socket.socketpair()
        command = [sys.executable, __file__, str(theirs.fileno()), *imports]
        self._process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])
        theirs.close()
        self._answers = self._socket.makefile("rb")

    def run(
        self, code: str, cwd: Path, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What the code prints and exits with, in a folder; a warning is an error."""
        process = self.start(code, *arguments, cwd=cwd, environment=environment)
        out, error = process.communicate()
        return subprocess.CompletedProcess([code, *arguments], process.wait(), out, error)

    def start(
        self, code: str, *arguments: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> WarmProcess:
        """Begin to run it, with more of an environment than this process has."""
        reads, writes = zip(os.pipe(), os.pipe(), strict=True)
        work = [code, arguments, str(cwd or Path.cwd()), {**os.environ, **(environment or {})}]
        pid = self.ask(work, writes)
        for file in writes:
            os.close(file)
        out, error = (os.fdopen(file, encoding="utf-8") for file in reads)
        return WarmProcess(self, pid, out, error)

    def ask(self, request: Any, files: tuple[int, ...] = ()) -> Any:
        """The server's answer to work, with the files of its output, or to ``[pid, flags]`` of `os.waitpid`."""
        message = json.dumps(request).encode()
        socket.send_fds(self._socket, [len(message).to_bytes(4, "big")], files)
        self._socket.sendall(message)
        return json.loads(self._answers.readline())

    def stop(self) -> None:
        """End it."""
        self._answers.close()
        self._socket.close()
        self._process.wait(timeout=60)


class WarmProcess:
    """A piece of work that runs; what tests use of `subprocess.Popen`."""

    def __init__(self, python: WarmPython, pid: int, stdout: TextIO, stderr: TextIO) -> None:
        self._python = python
        self.pid = pid
        self.stdout, self.stderr = stdout, stderr
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._python.ask([self.pid, os.WNOHANG])
        return self.returncode

    def wait(self, timeout: float = 120) -> int:
        wait_until(lambda: self.poll() is not None, timeout, every=0.005)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float = 120) -> tuple[str, str]:
        """All that it writes from here on, once it has ended."""
        texts = ["", ""]

        def read(place: int, stream: TextIO) -> None:
            with stream:
                texts[place] = stream.read()

        readers = [
            threading.Thread(target=read, args=each, daemon=True) for each in enumerate((self.stdout, self.stderr))
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
        self.wait(timeout)
        return texts[0], texts[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:  # until it has been waited for, no other process has its number
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _serve(listening: socket.socket, imports: list[str]) -> None:
    for name in imports:
        import_module(name)
    while True:
        size, files, *_ = socket.recv_fds(listening, 4, 2)
        if not size:
            break
        request = json.loads(listening.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
        if files:
            if (answer := os.fork()) == 0:
                listening.close()
                _work(files, *request)
            for file in files:
                os.close(file)
        else:
            ended, status = os.waitpid(*request)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        listening.sendall(json.dumps(answer).encode() + b"\n")


def _work(files: list[int], code: str, arguments: list[str], folder: str, environment: dict[str, str]) -> NoReturn:
    """In the child: what an interpreter does from its first line to its end."""
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), *files)):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    sys.path[1:1] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    sys.path[0] = ""
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


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
