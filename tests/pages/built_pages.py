from __future__ import annotations

import gzip
import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np

from loss_logging import read_report
from loss_logging.pages.build import PageBuilder
from loss_logging.pages.figures import NO_FIGURE
from loss_logging.reports.report import LossReport, Summary
from loss_logging.runs.locate import find_run
from loss_logging.support.thumbnails import Thumbnail


def report_of(root: Path, step: int) -> LossReport:
    return read_report(root / "loss_logging" / f"job_{step:09d}.json")


def no_picture(_: str) -> Thumbnail:
    return Thumbnail(None, "none here")


EMPTY = Summary(0, None, None, None, None, None, 0, {})


def built(root: Path, **options: Any) -> str:
    return PageBuilder(find_run(root), **options).write().read_text("utf-8")


def block(page: str, name: str) -> Any:
    return json.loads(block_bytes(page, name))


def block_bytes(page: str, name: str) -> bytes:
    packed = re.search(rf'id="block-{name}">([^<]*)<', page)
    assert packed
    return gzip.decompress(b64decode(packed[1]))


def columns(page: str) -> dict[str, list[Any]]:
    """The table's data by column, as the page's script reads it."""
    return unpacked(block(page, "items"), block_bytes(page, "figures"))


def unpacked(items: Any, figures: bytes) -> dict[str, list[Any]]:
    found = dict(items["data"])
    found["dataset"] = once(found["dataset"])
    found["path"] = [a + b for a, b in zip(once(found["path"]["folder"]), found["path"]["name"], strict=True)]
    numbers = [column["name"] for column in items["columns"] if column["kind"] == "number"]
    planes = np.frombuffer(figures, np.uint8).reshape(len(numbers), 2, 2, items["rows"])
    for name, ((low, high), (low_power, high_power)) in zip(numbers, planes, strict=True):
        digits = (low + 256 * high.astype("u2")).astype("u2").view("i2").tolist()
        powers = (low_power + 256 * high_power.astype("u2")).astype("u2").view("i2").tolist()
        found[name] = [
            None if n == NO_FIGURE else n / 10.0**-power if power < 0 else n * 10.0**power
            for n, power in zip(digits, powers, strict=True)
        ]
    return found


def once(texts: Any) -> list[str]:
    return [texts["texts"][i] for i in texts["index"]]
