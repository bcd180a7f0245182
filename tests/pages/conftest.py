"""A real browser, and a run to look at with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from watched import LIMIT, Watched, only_looked_at

from loss_logging.pages.build import PageBuilder
from loss_logging.runs.locate import find_run

expect.set_options(timeout=LIMIT)


@pytest.fixture(scope="session")
def page_file(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's page."""
    return PageBuilder(find_run(example)).write(tmp_path_factory.mktemp("page") / "job.html")


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A tab in which nothing may go wrong: no error on the console, no request but to where the page is from."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab = Watched(context.new_page())
    yield tab
    context.close()
    assert tab.problems == []


@pytest.fixture(scope="module")
def seen(browser: Browser, page_file: Path) -> Iterator[Page]:
    """The run's page as it is opened, for tests that only look at it."""
    with only_looked_at(browser, page_file.as_uri()) as page:
        yield page


@pytest.fixture
def tab(watched: Watched, page_file: Path) -> Page:
    """The run's page, opened from its file."""
    return watched.open(page_file.as_uri())
