"""What the caption rules find, what they cost, and how often they are wrong.

Precision and recall are on the corpus in ``tests/captions/corpus``, at the severity of a warning and above. Captions a
second are on one core, with every rule on and every optional package installed, through `DatasetChecker`: each caption
alone and against all others. ``python -m benchmarks.captions FILE ...`` checks files of captions, one a line, instead.
"""

from __future__ import annotations

import gc
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path

from loss_logging.captions import RULES, CaptionChecker, DatasetChecker
from tests.captions.corpus import CORPUS, GOOD

_COUNT = 50_000


def quality() -> None:
    """Precision and recall of each rule on the corpus."""
    check = CaptionChecker().check
    right, wrong, missed = Counter[str](), Counter[str](), Counter[str]()
    for case in CORPUS:
        verdict = check(case.caption, "corpus")
        found = {reason.rule for reason in verdict.reasons if reason.severity != "info"} if verdict else set()
        right.update(found & case.rules)
        wrong.update(found - case.rules)
        missed.update(case.rules - found)
    print(f"{len(CORPUS)} captions, {len({case.language for case in CORPUS})} languages and kinds")
    print(f"{'rule':12} {'found':>6} {'wrong':>6} {'missed':>6} {'precision':>10} {'recall':>7}")
    for rule in RULES:
        if total := right[rule] + missed[rule]:
            precision, recall = right[rule] / max(1, right[rule] + wrong[rule]), right[rule] / total
            print(f"{rule:12} {right[rule]:6} {wrong[rule]:6} {missed[rule]:6} {precision:10.3f} {recall:7.3f}")


def varied(count: int) -> list[str]:
    """As many different captions as wanted, made of parts of the good English ones."""
    pool, generator = [caption for caption in GOOD["en"] if "\n" not in caption], random.Random(0)
    words = sorted({word for caption in pool for word in caption.split()})
    return [
        f"{generator.choice(pool).split(',')[0]} {' '.join(generator.choices(words, k=3))}"[:120] for _ in range(count)
    ]


def speed(name: str, captions: list[str]) -> None:
    """Captions a second, the share that is flagged, and memory."""
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    checker = DatasetChecker()
    start = time.process_time()
    for i, caption in enumerate(captions):
        checker.add(f"{i}.png", name, caption)
    checked = checker.finish()
    seconds = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    flagged = sum(one.severity != "info" for one in checked.flagged)
    print(
        f"{name}: {len(captions)} captions, {len(captions) / seconds:,.0f}/s, {checked.datasets[name].profile}, "
        f"{flagged / len(captions):.2%} flagged at warning or above, {grown:.0f} MB more"
    )
    for warning in checked.warnings:
        print(f"  {warning}")


def main() -> None:
    """The figures."""
    if files := sys.argv[1:]:
        for file in files:
            speed(file, Path(file).read_text("utf-8").splitlines())
        return
    quality()
    speed("varied", varied(_COUNT))


if __name__ == "__main__":
    main()
