"""A browser tab that notes whatever goes wrong in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request

__all__ = ["LIMIT", "Watched", "only_looked_at"]

LIMIT = 120_000
"""Milliseconds to wait for a page: only one that hangs takes so long, for a busy machine is not a broken page."""

_SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


_EAGER = """
const wait = window.setTimeout;
window.setTimeout = (work, milliseconds, ...values) => wait(work, Math.min(milliseconds ?? 0, 100), ...values);
"""


class Watched:
    """``problems``: errors on the console or in scripts, and requests to elsewhere than the page came from.

    Args:
        page: a fresh one.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        self.origin = ""
        page.set_default_timeout(LIMIT)
        page.add_init_script(_SHIFTS)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("request", self._asked)
        page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))

    def open(self, address: str, *, rows: bool = True, eager: bool = False) -> Page:
        """Open a report page and wait until it is put together, and its table has ``rows``.

        One that is ``eager`` waits a tenth of a second wherever it would wait for longer, as before it asks a server
        for what is new.
        """
        if eager:
            self.page.add_init_script(_EAGER)
        parts = urlsplit(address)
        self.origin = address.partition("#")[0] if parts.scheme == "file" else f"{parts.scheme}://{parts.netloc}/"
        self.page.goto(address)
        self.page.wait_for_selector("html[data-ready=true]", state="attached")
        if rows:
            self.page.wait_for_selector("#table .tabulator-row")
        return self.page

    def _said(self, message: ConsoleMessage) -> None:
        # The exception is a hint to tests that read the canvas.
        if message.type in ("error", "warning") and "willReadFrequently" not in message.text:
            self.problems.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.problems.append(f"request: {request.url}")


@contextmanager
def only_looked_at(browser: Browser, address: str) -> Iterator[Page]:
    """A page as it is opened, for many tests that each look at a part of it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    watched = Watched(context.new_page())
    yield watched.open(address)
    context.close()
    assert watched.problems == []
