"""The browser that tests look at pages with. As a script it installs one where there is none: `make browser`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

__all__ = ["ADVICE", "LEFT_OUT", "installed_browser"]

ADVICE = "tests of pages need a browser: install chromium, or leave them out with `make test BROWSER=none`"
LEFT_OUT = "BROWSER=none leaves out what needs a browser"


def installed_browser() -> str | None:
    """The program of a Chromium that runs: the system's, or Playwright's own."""
    system = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return next((program for program in (*system, _of_playwright()) if program and _runs(program)), None)


def _of_playwright() -> str:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _runs(program: str) -> bool:
    """Whether it answers; Ubuntu's package is a script that asks for a snap."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _ways() -> Iterator[list[str]]:
    """Commands that install one, the best first."""
    if shutil.which("apt-get"):
        if os.geteuid() == 0:
            yield from _apt_get()
        elif shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
            yield from (["sudo", "-n", *command] for command in _apt_get())
    yield [sys.executable, "-m", "playwright", "install", "chromium"]


def _apt_get() -> list[list[str]]:
    install = ["apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends", "chromium"]
    return [["apt-get", "update", "--quiet=2"], ["env", "DEBIAN_FRONTEND=noninteractive", *install]]


def main() -> None:
    """Install a browser unless there is one."""
    if installed_browser():
        return
    for command in _ways():
        print(f"No browser for the tests of pages: {' '.join(command)}", flush=True)
        subprocess.run(command, check=False)
        if installed_browser():
            return
    sys.exit(ADVICE)


if __name__ == "__main__":
    main()
