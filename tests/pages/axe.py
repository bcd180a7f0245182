"""axe-core, which looks for what keeps people from using a page."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

__all__ = ["serious_violations"]

# Only what is asked for leaves the browser: what passed is 5 seconds' worth of text.
_FIND = """async (part) => (await axe.run(part ?? document)).violations
  .filter((found) => ["serious", "critical"].includes(found.impact))
  .map((found) => [found.id, found.nodes[0].html])"""


def serious_violations(tab: Page, part: str | None = None) -> list[list[str]]:
    """Rules that the page, or an element of it, breaks seriously, each with the first place where it does."""
    package = pytest.importorskip("axe_playwright_python", reason="pip install loss-logging[dev]")
    if not tab.evaluate("'axe' in window"):
        tab.evaluate((Path(package.__file__).parent / "axe.min.js").read_text("utf-8"))
    found: list[list[str]] = tab.evaluate(_FIND, part)
    return found
