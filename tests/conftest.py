"""Keeps the user's own trackers and settings out of the tests."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import ADVICE, LEFT_OUT, installed_browser
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Before any test module imports an SDK: nothing may reach a network, nothing may be read from the user's settings.
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
for _name in [name for name in os.environ if name.startswith(("MLFLOW_", "COMET_", "TRACKIO_"))]:
    del os.environ[_name]
_trackio_dir = tempfile.TemporaryDirectory(prefix="trackio-", ignore_cleanup_errors=True)
atexit.register(_trackio_dir.cleanup)
os.environ["TRACKIO_DIR"] = _trackio_dir.name
os.environ["COMET_LOGGING_CONSOLE"] = "ERROR"
os.environ["COMET_OFFLINE_DIRECTORY"] = _trackio_dir.name
os.environ["OMP_NUM_THREADS"] = "1"  # each worker has a core; two threads of each would wait for one another
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a thousand processes import the package: only the first compiles it
os.environ["NO_COLOR"] = "1"
os.environ.pop("FORCE_COLOR", None)

# A few inputs of each property, others each time; more of them: make test LONG=yes
_BUSY = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}  # a busy machine is no slow property
settings.register_profile("short", max_examples=10, **_BUSY)
settings.register_profile("long", max_examples=400, **_BUSY)
settings.load_profile("short")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--screenshots docs/images`` keeps what the browser saw, of a full demo: `make screenshots`.

    ``-m real --trainers DIR`` runs the trainers that are checked out there: see `tests/real_trainers/checkouts.py`.
    """
    parser.addoption("--screenshots", type=Path, metavar="DIR", help="write the documents' pictures to DIR")
    parser.addoption("--trainers", type=Path, metavar="DIR", help="folder with checkouts of the trainers, for -m real")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that use a browser have the marker ``browser``. BROWSER=none leaves them out."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
            if os.environ.get("BROWSER") == "none":
                item.add_marker(pytest.mark.skip(reason=LEFT_OUT))


# What is imported for all tests stays to the end: a million objects, which the collector would look through hundreds
# of times, as trainers call it after each training. The tests of transformers took three times as long for that.
gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """From here on, the collector looks at what came after the imports; also where workers run the tests."""
    gc.enable()


def pytest_unconfigure() -> None:
    """The collector takes everything at the end, or libraries speak of what has leaked."""
    gc.unfreeze()


@pytest.fixture(scope="module", autouse=True)
def _what_is_there_stays() -> None:
    """The collector no longer looks at what is there before the first test of a file."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end how much was left out."""
    count = sum(LEFT_OUT in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    if count:
        terminalreporter.write_line(f"{LEFT_OUT}: {count} tests were not run")


@pytest.fixture(autouse=True)
def _nothing_was_warned_about_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said once in a process is said once in a test."""
    monkeypatch.setattr("loss_logging.support.warn._seen", set())


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, the only one of a process: Playwright starts once a thread.

    A machine without one fails, so that nothing is left untested unseen.
    """
    from playwright.sync_api import sync_playwright

    program = installed_browser()
    if program is None:
        pytest.fail(ADVICE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The save_root of a run with three save steps; nobody changes it."""
    from example_run import write_run

    root = tmp_path_factory.mktemp("run")
    write_run(root)
    return root


@pytest.fixture
def copy(example: Path, tmp_path: Path) -> Path:
    """The example's folder without its pictures, to be damaged."""
    shutil.copytree(example / "loss_logging", tmp_path / "run" / "loss_logging")
    return tmp_path / "run"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the output of a short demo with two trackers. Who uses it is in the xdist_group demo."""
    from demo_run import run_demo

    return run_demo(tmp_path_factory.mktemp("demo") / "a run")


@pytest.fixture
def empty_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A user's cache and an object store in memory of the test's own; no thread that uploads may be left."""
    import fsspec

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fsspec.filesystem("memory").store.clear()
    yield
    for thread in threading.enumerate():
        if thread.name == "loss_logging-mirror":
            thread.join(10)
            assert not thread.is_alive()
