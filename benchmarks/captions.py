"""What the caption rules find, what they cost, and how often they are wrong.

Precision and recall are on the corpus in ``tests/captions/corpus``, at the severity of a warning and above. Captions a
second are on one core, with every rule on and every optional package installed, through `DatasetChecker`: each caption
alone and against all others, after what is loaded once. ``python -m benchmarks.captions FILE ...`` checks files of
captions, one a line, instead.
"""

from __future__ import annotations

import gc
import random
import resource
import sys
import time
from pathlib import Path

from tests.captions.corpus import CORPUS, GOOD
from tests.captions.corpus.datasets import DATASETS
from tests.captions.corpus.held_out import HELD_OUT
from tests.captions.corpus.measure import measure

from loss_logging.captions.dataset_checker import CheckedCaptions, DatasetChecker
from loss_logging.captions.names import RULE_NAMES

_COUNT = 50_000


def quality() -> None:
    """Precision and recall of each rule on the corpus."""
    print(
        f"{len(CORPUS)} captions by themselves, {len({case.language for case in CORPUS})} languages and kinds; "
        f"{sum(len(dataset.items) for dataset in DATASETS)} captions in {len(DATASETS)} datasets"
    )
    print(f"{'rule':14} {'found':>6} {'wrong':>6} {'missed':>6} {'precision':>10} {'recall':>7}")
    measured = measure()
    for rule in RULE_NAMES:
        one = measured[rule]
        counts = f"{len(one.right):6} {len(one.wrong):6} {len(one.missed):6}"
        print(f"{rule:14} {counts} {one.precision:10.3f} {one.recall:7.3f}")


def photos(count: int, language: str = "en") -> list[str]:
    """As many different photo captions as wanted: held-out ones of a language with other words in some places.

    Where a script has no spaces, with other characters.
    """
    generator, pool = random.Random(0), HELD_OUT[language]
    gap = " " if any(" " in caption for caption in pool) else ""
    split = [caption.split() if gap else list(caption) for caption in pool]
    words = sorted({word for caption in split for word in caption if word.isalpha()})
    captions = []
    for _ in range(count):
        caption = list(generator.choice(split))
        for _ in range(4):
            caption[generator.randrange(len(caption))] = generator.choice(words)
        captions.append(gap.join(caption))
    return captions


def tag_lists(count: int) -> list[str]:
    """As many different tag lists as wanted: the good ones with other tags in some places."""
    generator = random.Random(0)
    pool = [caption.split(", ") for caption in GOOD["tags"] if caption.count(", ") > 4]
    words = sorted({tag for caption in pool for tag in caption})
    captions = []
    for _ in range(count):
        caption = list(generator.choice(pool))
        for place in generator.sample(range(len(caption)), 4):
            caption[place] = generator.choice(words)
        captions.append(", ".join(caption))
    return captions


def varied(count: int) -> list[str]:
    """As many different captions as wanted, made of parts of the good English ones, which try the rules."""
    pool, generator = [caption for caption in GOOD["en"] if "\n" not in caption], random.Random(0)
    words = sorted({word for caption in pool for word in caption.split()})
    return [
        f"{generator.choice(pool).split(',')[0]} {' '.join(generator.choices(words, k=3))}"[:120] for _ in range(count)
    ]


def loading() -> None:
    """Seconds of the first few captions, for which the tokenizer, the language detector and patterns are loaded."""
    start = time.process_time()
    _check("first", few := HELD_OUT["en"])
    first = time.process_time() - start
    print(f"the first {len(few)} captions: {first:.2f} s, nearly all of it to load what the others need, too")


def speed(name: str, captions: list[str]) -> None:
    """Captions a second, the share that is flagged, and memory."""
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    checked = _check(name, captions)
    seconds = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    flagged = sum(one.severity != "info" for one in checked.flagged)
    print(
        f"{name}: {len(captions)} captions, {len(captions) / seconds:,.0f}/s, {checked.datasets[name].profile}, "
        f"{flagged / len(captions):.2%} flagged at warning or above, {grown:.0f} MB more"
    )
    for warning in checked.warnings:
        print(f"  {warning}")


def _check(name: str, captions: list[str]) -> CheckedCaptions:
    checker = DatasetChecker()
    for i, caption in enumerate(captions):
        checker.add(f"{i}.png", name, caption)
    return checker.finish()


def main() -> None:
    """The figures."""
    loading()
    if files := sys.argv[1:]:
        for file in files:
            speed(file, Path(file).read_text("utf-8").splitlines())
        return
    quality()
    speed("varied", varied(_COUNT))
    speed("photos", photos(_COUNT))
    speed("tags", tag_lists(_COUNT))
    for language in ("de", "ru", "ar", "hi", "th", "zh", "ja", "ko"):
        speed(f"photos ({language})", photos(_COUNT, language))


if __name__ == "__main__":
    main()
