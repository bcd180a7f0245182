"""Renders the page: templates, scripts and styles as one text."""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from loss_logging.pages.content import sections
from loss_logging.pages.item_counts import ItemCounts
from loss_logging.reports.report import DECISIVE_PAIRS, LossReport
from loss_logging.runs.config import TrainConfig
from loss_logging.support.thumbnails import Thumbnail
from loss_logging.version import __version__

__all__ = ["CHANGING_PARTS", "Packed", "fragments", "packed", "render", "render_comparison", "render_folder"]

_LOADER = "loader.js"
_SCRIPTS = ("uPlot.iife.min.js", "tabulator.min.js")
_STYLES = ("uPlot.min.css", "tabulator_simple.min.css", "page.css")
_LICENCES = ("uPlot.LICENSE.txt", "tabulator.LICENSE.txt")
_PARTS = {
    "overview": "overview.html",
    "galleries": "galleries.html",
    "ranking": "datasets.html",
    "flags": "flagged.html",
}
CHANGING_PARTS = ("overview",)
"""What says something of the whole run, also where its reader chooses an earlier save step."""
_OWN_SCRIPTS = (
    "base.js",
    "address.js",
    "source.js",
    "served.js",
    "plots.js",
    "charts.js",
    "comparison.js",
    "table.js",
    "details.js",
    "editing.js",
    "ranking.js",
    "page.js",
)


def render(
    reports: list[LossReport],
    pictures: Callable[[str], Thumbnail],
    problems: list[str],
    blocks: dict[str, Any],
    *,
    config: TrainConfig,
    total: int,
    items_shown: int,
    served: bool,
    editable: bool = False,
    busy: str = "",
    counts: ItemCounts | None = None,
    tries: Mapping[tuple[str, str], tuple[int, int]] | None = None,
    live_step: int | None = None,
) -> str:
    """The page as text.

    Args:
        reports: the reports of the run, by step.
        pictures: function from a path to the picture of its image.
        problems: sentences that a reader must see.
        blocks: the data of the page's scripts by name: plain data, or bytes.
        config: the configuration of the run.
        total, items_shown: the number of all items, and of the items in the table.
        served: True if the page asks a server for its data, False if it is a file with all data.
        editable: whether the server accepts changes from the page.
        busy: a sentence on the server's present work, until all data are there.
        counts: counts over all items; None if only the report's lists are known.
        tries: see `sections`.
        live_step: the step of a server's figures; None if they are the report's.
    """
    return _template("page.html").render(
        **sections(reports[-1] if reports else None, pictures, counts, tries),
        **_context(total, len(reports), problems, inline=True, served=served, live_step=live_step),
        **_frame(config.job_name, blocks, editable=editable),
        run_dir=str(config.save_root),
        records_dir=str(config.records_dir),
        items_shown=items_shown,
        busy=busy,
    )


def render_folder(content: dict[str, Any], blocks: dict[str, Any], *, served: bool, editable: bool) -> str:
    """The page of a captioned folder as text.

    Args:
        content: the result of `loss_logging.pages.folder_content.folder_sections`.
        blocks, served, editable: see `render`.
    """
    frame = _frame(content["name"], blocks, editable=editable)
    return _template("folder.html").render(**content, **frame, served=served, busy="", run_dir=content["root"])


def render_comparison(content: dict[str, Any], blocks: dict[str, Any]) -> str:
    """The page of two reports side by side as text.

    Args:
        content: of `loss_logging.pages.comparison.Compared.content`.
        blocks: see `render`.
    """
    frame = _frame(content["title"], blocks, editable=False)
    return _template("comparison.html").render(**content, **frame, served=False, busy="", run_dir="")


def _frame(title: str, blocks: dict[str, Any], *, editable: bool) -> dict[str, Any]:
    """What every page has."""
    return {
        "job": title,
        "editable": editable,
        "decisive_pairs": DECISIVE_PAIRS,
        "version": __version__,
        **_libraries(),
        "blocks": {name: packed(block) for name, block in blocks.items()},
    }


@cache
def _libraries() -> dict[str, Any]:
    """What is the same in every page: styles, scripts and licences."""
    return {
        "styles": [Markup(text) for text in map(_asset, _STYLES)],
        "loader": Markup(_asset(_LOADER)),
        "scripts": [packed(text.encode()) for text in _scripts()],
        "style_hashes": _hashes(map(_asset, _STYLES)),
        "script_hashes": _hashes([_asset(_LOADER), *_scripts()]),
        "licences": [_asset(name) for name in _LICENCES],
    }


def fragments(
    found: dict[str, Any],
    *,
    total: int | None,
    save_steps: int,
    problems: list[str],
    inline: bool = True,
    served: bool = False,
    live_step: int | None = None,
    only: Collection[str] = tuple(_PARTS),
) -> dict[str, str]:
    """The parts of the page that change with the save step, by the id of their HTML element.

    Args:
        found: the result of `sections`.
        total, problems, served, live_step: see `render`.
        save_steps: the number of the run's save steps.
        inline: True if pictures are in the text, False if the page's script inserts them.
        only: the parts that are wanted; all by default.
    """
    context = (
        found
        | {"decisive_pairs": DECISIVE_PAIRS}
        | _context(total, save_steps, problems, inline=inline, served=served, live_step=live_step)
    )
    return {place: _template(name).render(context) for place, name in _PARTS.items() if place in only}


def _context(
    total: int | None, save_steps: int, problems: list[str], *, inline: bool, served: bool, live_step: int | None
) -> dict[str, Any]:
    return {
        "total": total,
        "save_steps": save_steps,
        "problems": problems,
        "inline": inline,
        "served": served,
        "live_step": live_step,
    }


def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("loss_logging.pages", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": _figure, "percent": _percent, "middle": _middle}
    return environment


def _figure(value: float | None, digits: int = 4) -> str:
    """A figure for people: thousands separated, four digits, a true minus.

    >>> _figure(1234567), _figure(-0.123456), _figure(None)
    ('1,234,567', '−0.1235', '–')
    """
    if value is None:
        return "–"
    text = f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"
    return text.replace("-", "\u2212", 1) if text.startswith("-") else text


def _percent(share: float | None, signed: bool = True) -> str:
    """A share for people.

    >>> _percent(0.0912), _percent(-0.5), _percent(0.004, signed=False), _percent(None)
    ('+9.1%', '−50%', '0.4%', '–')
    """
    if share is None:
        return "–"
    digits = 1 if abs(share) < 0.0995 else 0
    sign = "\u2212" if share < 0 else "+" if signed else ""
    return f"{sign}{abs(share):.{digits}%}"


def _middle(text: str, most: int) -> str:
    """A long text without its middle, as paths differ at both ends.

    >>> _middle("a/very/long/folder/of/1.png", 15)
    'a/very/…f/1.png'
    """
    if len(text) <= most:
        return text
    return f"{text[: (most - 1) // 2]}…{text[-((most - 1) - (most - 1) // 2) :]}"


def _asset(name: str) -> str:
    text = files("loss_logging.pages").joinpath(f"assets/{name}").read_text("utf-8")
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("//# sourceMappingURL", "/*# sourceMappingURL")))


def _scripts() -> list[str]:
    """The libraries, each as one text, and our own files as one text; the page lists the hashes of these texts."""
    own = "".join(_asset(name) for name in _OWN_SCRIPTS)
    return [*map(_asset, _SCRIPTS), f'"use strict";\n(() => {{\n{own}}})();\n']


def _hashes(texts: Iterable[str]) -> str:
    return " ".join(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts)


class Packed(str):
    """The result of `packed`."""

    __slots__ = ()


def packed(block: Any) -> Packed:
    """Data as compressed base64: small, and no text in it can end a script element. What is packed stays as it is."""
    if isinstance(block, Packed):
        return block
    data = block if isinstance(block, bytes) else msgspec.json.encode(block)
    return Packed(b64encode(gzip.compress(data, compresslevel=6, mtime=0)).decode())
