"""tests/warm.py"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from warm import SCRIPT, WarmPython

pytestmark = pytest.mark.xdist_group("warm")  # which is started once


@pytest.fixture(scope="module")
def python() -> Iterator[WarmPython]:
    warm = WarmPython("json")
    yield warm
    warm.stop()


def test_each_run_is_a_process_of_its_own(python: WarmPython, tmp_path: Path) -> None:
    """Nothing that one leaves behind is there for the next; both have what was imported."""
    first = python.run(
        "import json, os, sys; json.left = 1; print(os.getpid(), os.getcwd(), sys.argv[1])", tmp_path, "a"
    )
    pid, folder, argument = first.stdout.split()
    assert (Path(folder), argument, first.stderr) == (tmp_path.resolve(), "a", "")
    second = python.run("import json, os; print(os.getpid(), hasattr(json, 'left'))", tmp_path)
    other, left = second.stdout.split()
    assert (pid != other, left) == (True, "False")


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("raise SystemExit", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('a sentence')", 1, "a sentence"),
        ("import warnings; warnings.warn('old')", 1, "UserWarning: old"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
    ],
)
def test_it_ends_as_an_interpreter_does(code: str, status: int, said: str, python: WarmPython, tmp_path: Path) -> None:
    """With the status, the error that was not caught, and a warning as an error."""
    done = python.run(code, tmp_path)
    assert done.returncode == status
    assert said in done.stderr


def test_what_is_to_run_at_the_end_does(python: WarmPython, tmp_path: Path) -> None:
    """Threads are waited for, and then exit handlers run."""
    code = (
        "import atexit, threading, time; atexit.register(print, 'last')\n"
        "threading.Thread(target=lambda: (time.sleep(0.01), print('first'))).start()"
    )
    assert python.run(code, tmp_path).stdout.split() == ["first", "last"]


def test_what_takes_long_is_looked_at_and_ended(python: WarmPython) -> None:
    """Its output comes line by line, its end is seen, and it is of the environment that it is given."""
    code = "import os, signal; print(os.environ['NAME'], flush=True); signal.pause()"
    process = python.start(code, environment={"NAME": "given"})
    assert process.stdout.readline() == "given\n"
    assert process.poll() is None
    process.kill()
    assert process.communicate() == ("", "")
    assert process.returncode == process.poll() == -9


def test_a_script_is_run_as_python_runs_it(python: WarmPython, tmp_path: Path) -> None:
    """Its folder comes first where modules are looked for, then those of PYTHONPATH; it has its own arguments."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "script.py").write_text("import beside, elsewhere, sys; print(__name__, *sys.argv[1:])")
    for folder, name in (("own", "beside"), (".", "elsewhere"), (".", "beside")):
        (tmp_path / folder / f"{name}.py").write_text(f"print({folder!r})")
    script = str(tmp_path / "own" / "script.py")
    done = python.run(SCRIPT, tmp_path, script, "a", environment={"PYTHONPATH": str(tmp_path)})
    assert (done.stdout, done.stderr) == ("own\n.\n__main__ a\n", "")
