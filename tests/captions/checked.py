"""Captions of a dataset, and what is found in them."""

from __future__ import annotations

import random
from collections.abc import Iterable

from captions.corpus import GOOD

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.dataset_checker import CheckedCaptions, DatasetChecker

ENGLISH = [caption for caption in GOOD["en"] if "\n" not in caption]


def checked(captions: Iterable[str | None], config: CaptionConfig | None = None, **options: object) -> CheckedCaptions:
    checker = DatasetChecker(config, **options)  # type: ignore[arg-type]
    for i, caption in enumerate(captions):
        checker.add(f"{i}.png", "d", caption)
    return checker.finish()


def reasons(result: CheckedCaptions, rule: str) -> dict[str, str]:
    """Severity by path, of one rule."""
    return {one.path: reason.severity for one in result.flagged for reason in one.details if reason.rule == rule}


def photos(count: int) -> list[str]:
    """Different captions, as a person might write them."""
    generator = random.Random(1)
    who = ["a woman", "two boys", "an old man", "a brown dog", "three cyclists", "a tired nurse", "the gardener"]
    what = [
        "crosses a bridge",
        "waits near the station",
        "looks into a well",
        "sleeps below a tree",
        "reads a letter",
    ]
    where = ["in the rain", "at noon", "before the storm", "by candle light", "on a market day", "after school"]
    return [
        f"{generator.choice(who)} {generator.choice(what)} {generator.choice(where)}, {i} {generator.random():.5f} "
        f"{generator.random():.5f} {generator.choice(what)} {generator.random():.5f}"
        for i in range(count)
    ]
