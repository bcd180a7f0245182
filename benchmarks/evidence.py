"""What picture evidence costs on many pictures: time, CPU and memory.

    python -m benchmarks.evidence [--quick] [--json FILE]

Pictures of 64 x 64 pixels are made one after the other, so that they are not counted as memory: a coloured shape on a
coloured ground, named in a caption of a few words out of thousands.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.table import Results, arguments
from loss_logging.evidence.features import picture_features
from loss_logging.evidence.judge import judge
from loss_logging.evidence.odd import near_duplicates
from loss_logging.evidence.pictures import picture_evidence
from loss_logging.evidence.words import caption_words

COLOURS = 16
WORDS = 5_000


def pictures(count: int) -> Iterator[np.ndarray[Any, Any]]:
    """Bars of a colour on a ground of a colour, with noise."""
    rng = np.random.default_rng(0)
    palette = np.random.default_rng(1).integers(0, 256, (COLOURS, 3))
    noise = rng.integers(0, 40, (64, 64, 64, 3))
    for item in range(count):
        ground, colour, left = kinds(item)
        picture = palette[ground] * 0.8 + noise[item % 64]
        picture[16:48, left : left + 16] = palette[colour]
        yield picture.clip(0, 255).astype(np.uint8)


def kinds(item: int) -> tuple[int, int, int]:
    """Ground, colour of the bar, and where it stands."""
    mixed = item * 2_654_435_761 % 2**32
    return mixed % COLOURS, mixed // COLOURS % COLOURS, mixed // COLOURS**2 % 48


def captions(count: int) -> list[str]:
    """What is shown, and a few words that have nothing to do with it; one caption in ten is another's."""
    rng = np.random.default_rng(2)
    more = (WORDS * rng.random((count, 4)) ** 3).astype(int)
    shown = [kinds(item if rng.random() > 0.1 else int(rng.integers(count))) for item in range(count)]
    return [
        f"a bar of colour{colour} on ground{ground} at place{left // 8}, {' '.join(f'word{word}' for word in row)}"
        for (ground, colour, left), row in zip(shown, more.tolist(), strict=True)
    ]


def main() -> None:
    options = arguments(__doc__)
    results = Results("evidence", ["scikit-learn"], options)
    count = 4_000 if options.quick else 100_000
    rows: list[dict[str, Any]] = []
    clock = time.perf_counter(), time.process_time()

    def lap(part: str) -> None:
        nonlocal clock
        now = time.perf_counter(), time.process_time()
        row = {"part": part, "items": count, "s": now[0] - clock[0], "s of CPU": now[1] - clock[1]}
        rows.append(row | {"peak of memory so far, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})
        clock = now

    for _ in pictures(count):
        pass
    lap("making the pictures, which the next line does too")
    read = picture_features(pictures(count), total=count)
    lap("features")
    words = caption_words(captions(count))
    lap("words")
    seen = picture_evidence(read.features, words)
    lap("picture evidence")
    judge(seen)
    lap("verdict")
    near_duplicates(read.features)
    lap("near-duplicates")
    results.table("Picture evidence", rows, f"{len(words.words):,} words, {read.features.shape[1]} features.")
    results.finish()


if __name__ == "__main__":
    main()
