"""What cleaning a dataset with loss_logging does for the model that is trained on it.

    python -m benchmarks.cleaning [--sets NAME ...] [--wrong SHARE ...] [--seeds N] [--steps N] [--cells FILE]
                                  [--quick] [--json FILE]

A small captioned flow-matching model is trained on captions of which some are wrong: as they are; without those that
loss_logging calls very likely wrong; with its suggestions in their place; and with all wrong ones left out, or put
right, which nobody can do better. Measured on pictures with right captions that it was not trained on: the loss, and
how many of a caption's words a picture that is generated for it shows, told by a classifier of real pictures. Verdicts
and suggestions are those of ``check-captions --pictures`` on files; another first bin is that of the run's own report.

Each set, share and seed is a line in FILE as soon as it is measured; what is there already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.detection.data import Captions, Flags, load_digits
from benchmarks.detection.generation import Floats, Ints, Reader, fit, generate, held_out_loss
from benchmarks.detection.sets import load_set
from benchmarks.table import Results
from loss_logging import LossLogger, TrainConfig, read_report
from loss_logging.evidence.folder import check_pictures
from loss_logging.evidence.verdict import VERDICTS

SETS = ("digits", "digits-word", "digits-tags", "lucide tags")
"""A wrong caption names another digit; is wrong in one word of three; has the tags of another digit, or icon."""
KINDS: dict[str, Captions] = {"digits": "digit", "digits-word": "one word", "digits-tags": "tags"}
HELD_OUT = 0.25
FEWEST = 40
"""Icons that have a tag, for pictures to be asked about it."""
PAIRED = 0.25
"""Share of the steps that are compared with another caption: 600 steps are few."""
REPEATS = 8
"""Pictures that are generated for each caption that is held out."""

AS_THEY_ARE, PERFECT, CORRECT = "as they are", "all wrong ones excluded", "all wrong ones corrected"
FIRST, RUN, SUGGESTED = "first bin excluded", "first bin of the run excluded", "suggestions accepted"
CLEANED = ((FIRST, PERFECT), (RUN, PERFECT), (SUGGESTED, CORRECT))
"""What loss_logging can do, and the best that could be done in that way."""
MEASURES = {"loss": "loss on held-out pictures", "right": "words that generated pictures show"}


@dataclass(frozen=True)
class Case:
    """N captioned pictures. ``pictures``: as files hold them; ``trained``: (N, D) in [-1, 1]; ``right``: the captions
    without a fault; ``shown``: (N, W) classes, -1 for none; ``rows`` are trained on, ``held`` are not."""

    pictures: Sequence[np.ndarray[Any, Any]]
    trained: Floats
    captions: list[str]
    right: list[str]
    shown: Ints
    rows: Ints
    held: Ints

    @property
    def wrong(self) -> Flags:
        """(N,) whether the caption is another than the right one."""
        return np.array([own != right for own, right in zip(self.captions, self.right, strict=True)])


def load_case(name: str, share: float, seed: int) -> Case:
    """One of `SETS`; a quarter, the same in each share, is held out."""
    pictures, trained, captions, right, shown = (_digits if name in KINDS else _icons)(name, share, seed)
    order = np.random.default_rng((seed, 1)).permutation(len(captions))
    held = int(len(order) * HELD_OUT)
    return Case(pictures, trained, captions, right, shown, order[held:], order[:held])


def _digits(name: str, share: float, seed: int) -> tuple[Any, ...]:
    digits = load_digits(KINDS[name], noisy=False, seed=seed, share=share)
    trained = digits.images.numpy()
    pictures = ((1 - trained.reshape(-1, 8, 8)) * 127.5).astype(np.uint8)  # ink is dark
    shown = digits.shown[:, :1] if name == "digits" else digits.shown
    return pictures, trained, digits.captions, digits.right, shown


def _icons(name: str, share: float, seed: int) -> tuple[Any, ...]:
    given, right = load_set(name, share=share, seed=seed), load_set(name, share=0, seed=seed).captions
    tags = [set(caption.split(", ")) for caption in right]
    asked = [tag for tag, count in Counter(tag for each in tags for tag in each).items() if count >= FEWEST]
    shown = np.array([[0 if tag in each else -1 for tag in asked] for each in tags])
    return given.pictures, given.trained, given.captions, right, shown


def measure(case: Case, steps: int, seed: int) -> dict[str, Any]:
    """Everything about one case: what was found, and what each way of cleaning is worth."""
    reader = Reader(case.trained[case.rows], case.shown[case.rows])
    first, suggested = seen_by_pictures(case)
    found: dict[str, Any] = {"read": reader.right(case.trained[case.held], case.shown[case.held])}
    captions = [case.captions[row] for row in case.rows]
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"loggers": [], "reporter": "inline", "seed": seed, "paired_fraction": PAIRED}
        config = TrainConfig(job_name="cleaning", save_root=folder, **options)
        with LossLogger(config) as logger:
            model = fit(case.trained[case.rows], captions, steps=steps, seed=seed, logger=logger)
            report = read_report(logger.save_step(steps).result())
        found[AS_THEY_ARE] = _judged(model, case, reader) | {"pictures": len(case.rows)}
        items = report.datasets["all"].item_stats
    by_run = np.array([items[str(row)].verdict == VERDICTS[0] for row in range(len(case.rows))])
    wrong = case.wrong[case.rows]
    right = [case.right[row] for row in case.rows]
    found["found"] = _counts(wrong, first, by_run, zip(suggested, captions, right, strict=True))
    ways = {
        FIRST: (~first, captions),
        RUN: (~by_run, captions),
        SUGGESTED: (wrong | True, suggested),
        PERFECT: (~wrong, captions),
        CORRECT: (wrong | True, right),
    }
    for name, (kept, said) in ways.items():
        places = np.flatnonzero(kept)
        if kept.all() and said == captions:  # nothing was found: the same model again
            found[name] = found[AS_THEY_ARE]
            continue
        model = fit(case.trained[case.rows[places]], [said[place] for place in places], steps=steps, seed=seed)
        found[name] = _judged(model, case, reader) | {"pictures": len(places)}
    return found


def _counts(wrong: Flags, first: Flags, by_run: Flags, captions: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """How many were found, and how many of these rightly; of ``captions`` (suggested, own, right)."""
    changed = [(new, right) for new, own, right in captions if new != own]
    return {
        "wrong": int(wrong.sum()),
        FIRST: [int(first.sum()), int((first & wrong).sum())],
        RUN: [int(by_run.sum()), int((by_run & wrong).sum())],
        SUGGESTED: [len(changed), sum(_same(new, right) for new, right in changed)],
    }


def seen_by_pictures(case: Case) -> tuple[Flags, list[str]]:
    """The first bin of ``check-captions --pictures``, (R,) over the rows that are trained on, and their captions with
    the suggestion in place of each of the first bin that has one."""
    from PIL import Image

    captions = [case.captions[row] for row in case.rows]
    with tempfile.TemporaryDirectory() as folder:
        for place, row in enumerate(case.rows):
            Image.fromarray(case.pictures[row]).save(Path(folder, f"{place}.png"))
            Path(folder, f"{place}.txt").write_text(captions[place], "utf-8")
        check = check_pictures(folder, progress=False)
    first = np.zeros(len(captions), np.bool_)
    for key, reason in check.reasons.items():
        place = int(Path(key[0]).stem)
        first[place] = reason.severity == "warning"
        if first[place]:
            captions[place] = check.suggestions.get(key, captions[place])
    return first, captions


def _judged(model: Any, case: Case, reader: Reader) -> dict[str, Any]:
    said = [case.right[row] for row in case.held]
    drawn = generate(model, said * REPEATS, case.trained.shape[1])
    return {
        "loss": held_out_loss(model, case.trained[case.held], said),
        "right": reader.right(drawn, np.tile(case.shown[case.held], (REPEATS, 1))),
    }


def _same(caption: str, other: str) -> bool:
    """Whether both say the same, in figures or in words."""
    from loss_logging.cli.demo.data import WORDS

    return [str(WORDS.index(word)) if word in WORDS else word for word in caption.split()] == [
        str(WORDS.index(word)) if word in WORDS else word for word in other.split()
    ]


# --- tables ---------------------------------------------------------------------------------------------------------


def tables(cells: Sequence[dict[str, Any]], results: Results, note: str) -> None:
    """What was found, what was measured, and which share of the possible gain that is."""
    groups = {key: [cell for cell in cells if (cell["set"], cell["wrong"]) == key] for key in _keys(cells)}
    found = [{"set": name, "wrong": share} | _found(group) for (name, share), group in groups.items()]
    results.table("Found, and how many of these are wrong or right", found, note)
    rows = [
        {"set": name, "wrong": share, "trained on": way}
        | {"pictures": float(np.mean([cell[way]["pictures"] for cell in group]))}
        | {MEASURES[measure]: _spread([cell[way][measure] for cell in group], 4) for measure in MEASURES}
        for (name, share), group in groups.items()
        for way in (AS_THEY_ARE, FIRST, RUN, SUGGESTED, PERFECT, CORRECT)
    ]
    results.table("Measured", rows)
    rows = [
        {"set": name, "wrong": share, "cleaned": way}
        | {MEASURES[measure]: brought_back(*_gains(group, way, best, measure)) for measure in MEASURES}
        for (name, share), group in groups.items()
        for way, best in CLEANED
    ]
    results.table("Share of the possible gain that is brought back", rows)


def brought_back(gain: Sequence[float], possible: Sequence[float]) -> str:
    """The share of the possible gain, in the mean over seeds, and the lowest and highest of a seed.

    There is one where the possible gain is beyond chance: by a one-sided t test at 5%, where there are several seeds.

    >>> brought_back([0.05, 0.06, 0.07], [0.1, 0.1, 0.1])
    '60% (50..70%)'
    >>> brought_back([0.05, 0.06, 0.07], [0.1, -0.1, 0.1])
    'no measurable gain'
    """
    from scipy.stats import t

    count, mean = len(possible), float(np.mean(possible))
    error = float(np.std(possible, ddof=1)) / count**0.5 if count > 1 else 0.0
    if mean <= (t.ppf(0.95, count - 1) * error if count > 1 else 0):
        return "no measurable gain"
    shares = [own / best for own, best in zip(gain, possible, strict=True)]
    together = f"{np.mean(gain) / mean:.0%}"
    return together if count == 1 else f"{together} ({100 * min(shares):.0f}..{max(shares):.0%})"


def _gains(group: Sequence[dict[str, Any]], way: str, best: str, measure: str) -> Iterator[list[float]]:
    sign = -1 if measure == "loss" else 1
    for name in (way, best):
        yield [sign * (cell[name][measure] - cell[AS_THEY_ARE][measure]) for cell in group]


def _found(group: Sequence[dict[str, Any]]) -> dict[str, Any]:
    counts = [cell["found"] for cell in group]
    row: dict[str, Any] = {"wrong captions": float(np.mean([count["wrong"] for count in counts]))}
    for name in (FIRST, RUN, SUGGESTED):
        total, true = np.mean([count[name] for count in counts], axis=0)
        row[name.replace(" excluded", "").replace(" accepted", "")] = f"{total:.0f}, {true:.0f}"
    return row | {"classifier on real pictures": float(np.mean([cell["read"] for cell in group]))}


def _spread(values: Sequence[float], digits: int) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def _keys(cells: Sequence[dict[str, Any]]) -> list[tuple[str, float]]:
    return sorted({(cell["set"], cell["wrong"]) for cell in cells}, key=lambda key: (SETS.index(key[0]), key[1]))


# --- the command ----------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--wrong", nargs="+", type=float, default=[0.1, 0.05, 0.2])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--cells", type=Path, metavar="FILE", default=Path("runs/cleaning.jsonl"))
    parser.add_argument("--quick", action="store_true", help="a smoke test: digits, 10% wrong, one seed, 60 steps")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.quick:
        options.sets, options.wrong, options.seeds, options.steps = ["digits"], [0.1], 1, 60
    results = Results("cleaning", ["torch", "scikit-learn"], options)
    options.cells.parent.mkdir(parents=True, exist_ok=True)
    wanted = [
        {"set": name, "wrong": share, "seed": seed, "steps": options.steps}
        for share, name, seed in product(options.wrong, options.sets, range(options.seeds))
    ]
    measured = _read(options.cells)
    for key in tqdm([key for key in wanted if _named(key) not in measured], unit="cell"):
        cell = key | measure(load_case(key["set"], key["wrong"], key["seed"]), options.steps, key["seed"])
        measured[_named(key)] = cell
        with options.cells.open("a", encoding="utf-8") as file:
            file.write(json.dumps(cell) + "\n")
    note = f"{options.seeds} seeds, of data, faults and model; {options.steps} steps of 128: mean (lowest..highest)."
    tables([measured[_named(key)] for key in wanted], results, note)
    results.finish()


def _read(file: Path) -> dict[str, dict[str, Any]]:
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return {_named(cell): cell for cell in map(json.loads, lines)}


def _named(cell: dict[str, Any]) -> str:
    return " ".join(str(cell[name]) for name in ("set", "wrong", "seed", "steps"))


if __name__ == "__main__":
    main()
