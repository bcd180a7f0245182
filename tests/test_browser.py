"""tests/browser.py, which `make test` calls on machines without a browser, and BROWSER=none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import browser
import pytest
from warm import PYTEST, with_torch

ROOT = Path(__file__).parents[1]
INSTALLS = """#!/bin/sh
case "$*" in *install*)
    printf "#!/bin/sh\\n" > {0}/chromium
    /bin/chmod +x {0}/chromium
esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs; there is no browser in it, and none of Playwright's."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_DOWNLOAD_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr(browser, "_of_playwright", lambda: str(tmp_path / "none"))
    (tmp_path / "env").symlink_to("/usr/bin/env")
    return tmp_path


def program(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o755)


def test_root_installs_with_apt_get(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this is root, apt-get installs one."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(programs / "apt-get", INSTALLS.format(programs))
    browser.main()
    assert browser.installed_browser() == str(programs / "chromium")


def test_sudo_without_a_password_installs_with_apt_get(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sudo asks for no password, apt-get installs one."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    program(programs / "apt-get", INSTALLS.format(programs))
    program(programs / "true", "#!/bin/sh\n")
    program(programs / "sudo", '#!/bin/sh\n[ "$1" = -n ] && shift && exec "$@"\n')
    browser.main()
    assert browser.installed_browser() == str(programs / "chromium")


@pytest.mark.parametrize("password", [True, pytest.param(False, marks=pytest.mark.long)])
def test_where_none_can_be_installed_one_sentence_says_what_to_do(
    password: bool, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sudo that asks for a password is not tried; the script fails and names both ways out."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    program(programs / "apt-get", "#!/bin/sh\nexit 100\n")
    if password:
        program(programs / "sudo", "#!/bin/sh\nexit 1\n")
    with pytest.raises(SystemExit, match="install chromium, or leave them out with `make test BROWSER=none`"):
        browser.main()


def test_a_program_that_does_not_run_is_no_browser(programs: Path) -> None:
    """Such as the script that stands for a package which is to be had elsewhere."""
    program(programs / "chromium-browser", "#!/bin/sh\nexit 1\n")
    assert browser.installed_browser() is None


@pytest.mark.xdist_group("torch")
def test_without_a_browser_the_end_says_what_was_left_out(tmp_path: Path) -> None:
    """BROWSER=none leaves out every test that uses the browser, and no other; the end says how many."""
    for name in ("conftest.py", "browser.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path)
    (tmp_path / "test_pages.py").write_text(
        "import pytest\n"
        "@pytest.fixture\ndef browser(): raise RuntimeError\n"
        "@pytest.fixture\ndef tab(browser): pass\n"
        "def test_page(tab): pass\n"
        "def test_text(): pass\n",
        "utf-8",
    )
    markers = "[pytest]\nmarkers =\n    browser: looks at a page\npythonpath = .\n"
    (tmp_path / "pytest.ini").write_text(markers, "utf-8")
    without = {"BROWSER": "none", "PYTHONPATH": str(ROOT)}
    done = with_torch().run(PYTEST, tmp_path, "-p", "no:cacheprovider", environment=without)
    assert "BROWSER=none leaves out what needs a browser: 1 tests were not run" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    only = with_torch().run(PYTEST, tmp_path, "-p", "no:cacheprovider", "-m", "not browser")
    assert "1 passed, 1 deselected" in only.stdout
