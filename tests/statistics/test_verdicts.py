"""loss_logging.statistics.verdicts: the verdict on every item, from losses and pictures."""

from __future__ import annotations

import math
import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import examples, item_rows, record, run_statistics, write
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging.evidence.planted import WrongCaptions
from loss_logging.evidence.rivals import Rivals
from loss_logging.evidence.seen import SeenCaptions
from loss_logging.records.log import RecordLog
from loss_logging.reports.report import Verdicts
from loss_logging.statistics import verdicts
from loss_logging.statistics.queries import Queries
from loss_logging.statistics.run import RunStatistics
from loss_logging.statistics.verdicts import SeenFile, judge_items

FIRST, LOOK, NO_SIGN = "very likely wrong", "look at these", "no sign of it"


def judged(
    folder: Path, gains: dict[tuple[str, str], float], *, pairs: int = 8, noise: float = 0.1, seed: int = 0
) -> RunStatistics:
    """Items of (dataset, path) whose captions raise the loss by so much, seen in so many pairs."""
    rng = np.random.default_rng(seed)
    rows = [
        record(path, 1.0 + gain + noise * rng.normal(), dataset, step=step, loss_empty=1.0)
        for (dataset, path), gain in gains.items()
        for step in range(pairs)
    ]
    folder.mkdir(exist_ok=True)
    log = RecordLog(folder)
    write(log, rows)
    numbers = run_statistics(log)
    numbers.advance(pairs)
    return numbers


def bins(numbers: RunStatistics) -> dict[str, Any]:
    return {row["path"]: row["verdict"] for row in item_rows(numbers)}


def test_wrong_captions_are_in_the_first_bin(tmp_path: Path) -> None:
    """Captions that hurt beyond their error are very likely wrong, few others are, and the counts and the ranking say
    so; the chance stays unknown, for nothing calibrates it."""
    gains = {("cats" if i % 2 else "dogs", f"{i:03}"): 0.5 if i < 12 else -0.2 for i in range(200)}
    numbers = judged(tmp_path, gains)
    found = bins(numbers)
    assert {path for path, verdict in found.items() if verdict == FIRST} == {f"{i:03}" for i in range(12)}
    assert {found[f"{i:03}"] for i in range(12, 200)} == {NO_SIGN}
    assert numbers.verdicts() == {"cats": Verdicts(6, 0, 94, 0), "dogs": Verdicts(6, 0, 94, 0)}
    assert [item.verdict for item in numbers.worst_caption_mismatch(20)] == [FIRST] * 12 + [NO_SIGN] * 8
    assert all(row["p_wrong"] is None for row in item_rows(numbers))
    assert numbers.unjudged == []


def test_a_rival_counts_as_much_as_the_empty_caption(tmp_path: Path) -> None:
    """Captions that do much worse than a rival and a little worse than the empty one are named; items say by what they
    were judged, and the ranking goes by both. A rival alone is no verdict, nor is one with the same caption."""
    rng = np.random.default_rng(0)
    log = RecordLog(tmp_path)
    rows = []
    for i in range(200):
        wrong, synonym, alone = i < 12, i == 12, i == 13
        for step in range(16):
            rival = 0.5 if wrong or alone else 0.1 if synonym else -0.3
            loss, other = 1.0 + 0.1 * rng.normal(), step % 2 or alone
            gain = rival if other else 0.08 if wrong else -0.3
            compared = {"loss_rival": 1.0, "rival": "a dog"} if other else {"loss_empty": 1.0}
            rows.append(record(f"{i:03}", loss + gain, step=step, **compared))
            rows.append(record(f"{i:03}", 3.0, step=step, loss_rival=1.0, rival="a cat"))
    write(log, rows)
    numbers = run_statistics(log)
    numbers.advance(16)
    items = {row["path"]: row for row in item_rows(numbers)}
    assert {path for path, row in items.items() if row["verdict"] == FIRST} == {f"{i:03}" for i in range(12)}
    assert (items["012"]["verdict"], items["012"]["evidence"], items["012"]["n_rival"]) == (NO_SIGN, "empty, rival", 8)
    assert (items["013"]["verdict"], items["013"]["evidence"], items["013"]["n_rival"]) == (None, None, 16)
    assert {item.path for item in numbers.worst_caption_mismatch(12)} == {f"{i:03}" for i in range(12)}
    assert all(row["rival_mismatch"] < 1 for row in items.values())


def test_what_is_sure_comes_before_what_is_high(tmp_path: Path) -> None:
    """A caption whose few, scattered pairs happen to be high does not lead those that are very likely wrong."""
    rows = [
        record(f"{i:03}", (1.4 if i < 5 else 0.8) + 0.02 * (-1) ** step, step=step, loss_empty=1.0)
        for i in range(100)
        for step in range(8)
    ]
    rows += [record("lucky", loss, step=step, loss_empty=1.0) for step, loss in enumerate((0.9, 9.0, 0.9, 9.0))]
    log = RecordLog(tmp_path)
    write(log, rows)
    (numbers := run_statistics(log)).advance(8)
    ranked = numbers.worst_caption_mismatch(6)
    assert ranked[5].path == "lucky"
    assert ranked[5].score > max(item.score for item in ranked[:5])


@settings(deadline=None, max_examples=examples(5))
@given(seed=st.integers(0, 2**32 - 1))
def test_noise_has_no_first_bin(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Of captions that help, in datasets of five, hardly any is called wrong: all are judged together."""
    gains = {(f"d{i // 5}", f"{i:03}"): -0.05 for i in range(300)}
    numbers = judged(tmp_path_factory.mktemp("log"), gains, pairs=6, seed=seed)
    counts = sum(numbers.verdicts().values(), Verdicts())
    assert counts.very_likely_wrong <= 1
    assert counts.judged == 300


def test_half_wrong_cannot_be_told_apart(tmp_path: Path) -> None:
    """Where half of the captions hurt, none is called wrong, and the report is told why."""
    numbers = judged(tmp_path, {("d", f"{i}"): 0.5 if i % 2 else -0.5 for i in range(100)})
    assert set(bins(numbers).values()) == {None}
    (note,) = numbers.unjudged
    assert "which of two such halves is right cannot be told" in note
    assert numbers.verdicts() == {"d": Verdicts(undecided=100)}


def test_too_few_pairs_are_undecided(tmp_path: Path) -> None:
    """With three pairs nothing is known; without any there is nothing to count."""
    assert judged(tmp_path / "few", {("d", "a"): 0.5, ("d", "b"): 0.1}, pairs=3).verdicts() == {
        "d": Verdicts(undecided=2)
    }
    (tmp_path / "none").mkdir()
    log = RecordLog(tmp_path / "none")
    write(log, [record(step=step) for step in range(8)])
    (numbers := run_statistics(log)).advance(8)
    assert (numbers.verdicts(), numbers.unjudged, bins(numbers)) == ({}, [], {"a.png": None})


def test_pairs_that_do_not_vary_tell_nothing(tmp_path: Path) -> None:
    """Mismatches that are all equal have no error, and no verdict either; a sentence says why."""
    numbers = judged(tmp_path, {("d", f"{i}"): 0.5 if i < 3 else -0.2 for i in range(40)}, noise=0)
    assert numbers.verdicts() == {"d": Verdicts(undecided=40)}
    assert len(numbers.unjudged) == 1
    assert "the same in all of its records" in numbers.unjudged[0]


def test_nothing_is_logged(tmp_path: Path) -> None:
    """A log without a record has no verdicts, and no trouble."""
    (numbers := run_statistics(RecordLog(tmp_path))).advance(5)
    assert (numbers.verdicts(), numbers.unjudged, item_rows(numbers)) == ({}, [], [])


def test_odd_images_are_odd_in_their_dataset(tmp_path: Path) -> None:
    """A dataset that is harder as a whole is not odd; one image in it, harder or easier than the others, is."""
    rng = np.random.default_rng(3)
    level = {("plain", f"p{i}"): 1.0 for i in range(120)} | {("dark", f"d{i}"): 2.0 for i in range(40)}
    level["dark", "d7"], level["dark", "d8"] = 5.0, -1.0
    log = RecordLog(tmp_path)
    write(
        log,
        [
            record(path, loss + 0.1 * rng.normal(), dataset, step=step)
            for step in range(15)
            for (dataset, path), loss in level.items()
        ],
    )
    (numbers := run_statistics(log)).advance(15)
    odd = {row["path"] for row in item_rows(numbers) if row["p_odd"] > 0.9}
    assert odd == {"d7", "d8"}


def test_without_scipy_nothing_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is missing: verdicts are null, one sentence says what to install, and every other figure is there."""
    gains = {("d", f"{i:03}"): 0.5 if i < 5 else -0.2 for i in range(60)}
    with_scipy = judged(tmp_path / "with", gains)
    monkeypatch.setitem(sys.modules, "scipy", None)
    numbers = judged(tmp_path / "without", gains)
    (note,) = numbers.unjudged
    assert note.startswith("captions have no verdict: this needs the package scipy; run: pip install")
    assert numbers.verdicts() == {"d": Verdicts(undecided=60)}
    unknown = dict.fromkeys(("p_wrong", "p_odd", "verdict", "evidence"))
    assert [row for row in item_rows(numbers) if row["caption_mismatch"] is None] == []
    assert item_rows(numbers) == [row | unknown for row in item_rows(with_scipy)]


def test_scikit_learn_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only pictures need scikit-learn."""
    monkeypatch.setitem(sys.modules, "sklearn", None)
    numbers = judged(tmp_path, {("d", f"{i:03}"): 0.5 if i < 5 else -0.2 for i in range(60)})
    assert numbers.verdicts() == {"d": Verdicts(5, 0, 55, 0)}


def test_memory_for_each_item_is_small() -> None:
    """Judging 200,000 items takes at most 150 bytes for each: arrays, and no object of its own for an item."""
    items = 200_000
    with Queries() as queries:
        queries.table(
            "item_statistics",
            "SELECT hash(range) AS item, 'd' AS dataset, format('{}.png', range) AS path, 'a cat' AS caption, "
            "8 AS n_paired, true AS decided, "
            "hash(range) / 2.0**64 - 0.7 AS caption_mismatch, 0.1 AS standard_error, 8 AS n_rival, "
            "hash(range, 1) / 2.0**64 - 0.7 AS rival_mismatch, 0.1 AS rival_error, hash(-range) / 2.0**63 AS hard "
            f"FROM range({items})",
        )
        judge_items(queries, SeenCaptions())
        tracemalloc.start()
        judge_items(queries, SeenCaptions())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert queries.value("SELECT count(verdict) FROM verdicts") == items
    assert peak < 150 * items


def test_more_items_than_fit_are_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what memory allows nothing is judged, which a sentence says; every other figure is there."""
    monkeypatch.setattr(verdicts, "_MOST", 30)
    numbers = judged(tmp_path, {("d", f"{i:03}"): 0.5 if i < 5 else -0.2 for i in range(31)})
    assert numbers.unjudged == ["captions have no verdict: of 31 items at most 30 can be judged together"]
    assert numbers.verdicts() == {"d": Verdicts(undecided=31)}
    assert len(numbers.worst_caption_mismatch(40)) == 31


def seen_captions(folder: Path, captions: dict[str, str], contradicted: set[str], share: float) -> Path:
    """The file of what pictures say: of those contradicted that they are wrong, if any are; of the others little."""
    ratio = np.where([path in contradicted for path in captions], 0.95 / share, 0.3)
    ratio[["unheard" in caption for caption in captions.values()]] = np.nan
    found = WrongCaptions(np.log(ratio), ratio, share, np.ones(len(ratio), np.bool_))
    file = folder / "rivals.parquet"
    keys, words = [("d", path) for path in captions], [caption.split()[-1] for caption in captions.values()]
    score = [float(path in contradicted) for path in captions]
    seen = SeenCaptions.of(keys, [*captions.values()], found, words, ["dog"] * len(words), score)
    Rivals({}, seen=seen).save(file)
    return file


def with_pictures(folder: Path, file: Path, captions: dict[str, str], gains: dict[str, float]) -> RunStatistics:
    """Figures of 8 records for each item, compared where it has a gain, with what the pictures say."""
    rng = np.random.default_rng(0)
    log = RecordLog(folder)
    rows = []
    for step in range(8):
        for path, caption in captions.items():
            other = {"loss_empty": 1.0} if path in gains else {}
            loss = 1.0 + gains.get(path, 0.0) + 0.1 * rng.normal()
            rows.append(record(path, loss, "d", step=step, caption=caption, **other))
    write(log, rows)
    numbers = RunStatistics(
        log, block_steps=8, timestep_scale=1.0, memory_limit="1GB", threads=1, spill_folder=folder, rivals_file=file
    )
    numbers.advance(8)
    return numbers


def test_pictures_give_a_chance_that_losses_change(tmp_path: Path) -> None:
    """What its picture contradicts and the losses, too, is likelier wrong than what the picture alone contradicts.

    What hurts is worth a look where the picture finds nothing, or knows no word of it. An item that was not compared
    with its picture is judged by its losses; so is a caption that was corrected since. Tags in another order are the
    same caption."""
    captions = {f"{i:03}": f"photo, cat {i % 7}" for i in range(300)} | {"002": "unheard of"}
    file = seen_captions(tmp_path, captions, {f"{i:03}" for i in range(30)}, share=0.1)
    now = captions | {"000": "cat 0, photo", "001": "photo, dog"} | {"new": "photo, new"}
    hurt = {f"{i:03}" for i in range(24)} | {"200", "new"}
    gains = {path: 0.5 if path in hurt else -0.2 for path in now}
    rows = {row["path"]: row for row in item_rows(with_pictures(tmp_path, file, now, gains))}
    assert rows["000"]["p_wrong"] > rows["100"]["p_wrong"]
    assert rows["005"]["p_wrong"] > rows["026"]["p_wrong"] > rows["100"]["p_wrong"]
    assert {path for path, row in rows.items() if row["p_wrong"] is None} == {"001", "002", "new"}
    assert rows["002"]["verdict"] == LOOK
    assert (rows["005"]["verdict"], rows["005"]["evidence"]) == (FIRST, "pictures, empty")
    assert (rows["200"]["verdict"], rows["100"]["verdict"]) == (LOOK, NO_SIGN)
    assert [(rows[path]["word"], rows[path]["better_word"]) for path in ("005", "100")] == [("5", "dog"), (None, None)]
    for path in ("005", "026", "100"):
        odds = math.log(0.1 / 0.9) + rows[path]["picture_odds"] + rows[path]["loss_odds"]
        assert rows[path]["p_wrong"] == pytest.approx(1 / (1 + math.exp(-odds)))
    assert [(rows[path]["verdict"], rows[path]["evidence"]) for path in ("001", "new")] == [(FIRST, "empty")] * 2


def test_pictures_alone_judge_where_nothing_was_paired(tmp_path: Path) -> None:
    """The verdicts are counted, what they name is listed without a score, and no sentence says that something is
    missing."""
    captions = {f"{i:03}": f"cat {i % 7}" for i in range(200)}
    file = seen_captions(tmp_path, captions, {"003", "004"}, share=0.1)
    numbers = with_pictures(tmp_path, file, captions, {})
    assert numbers.verdicts() == {"d": Verdicts(2, 0, 198, 0)}
    assert {(item.path, item.score, item.count) for item in numbers.worst_caption_mismatch(9)} == {
        ("003", None, 0),
        ("004", None, 0),
    }
    assert numbers.unjudged == []
    rows = item_rows(numbers)
    assert {row["evidence"] for row in rows} == {"pictures"}
    assert min(row["word_score"] for row in rows if row["path"] in ("003", "004")) > 0.98
    assert max(row["word_score"] for row in rows if row["path"] not in ("003", "004")) < 0.6


def test_single_words_are_ranked_where_no_chance_is_calibrated(tmp_path: Path) -> None:
    """Of few captions pictures say which words fit least, and no more; a file of before knows nothing of it."""
    captions = {f"{i:03}": "a cat unheard of" for i in range(40)}
    file = seen_captions(tmp_path, captions, {"003"}, share=0.1)
    rows = {row["path"]: row for row in item_rows(with_pictures(tmp_path, file, captions, {}))}
    assert max(rows, key=lambda path: rows[path]["word_score"]) == "003"
    assert {(row["p_wrong"], row["verdict"]) for row in rows.values()} == {(None, None)}
    table = pq.read_table(file)
    pq.write_table(table.drop_columns("word_score"), file)
    old = Rivals.load(file).seen
    assert (len(old.captions), old.captions["word_score"].null_count) == (40, 40)


def test_pictures_that_find_half_of_the_captions_wrong_give_no_verdict(tmp_path: Path) -> None:
    """Whatever the losses say: the report is told why."""
    captions = {f"{i:03}": f"cat {i % 7}" for i in range(200)}
    file = seen_captions(tmp_path, captions, {path for i, path in enumerate(captions) if i % 2}, share=0.5)
    numbers = with_pictures(tmp_path, file, captions, {path: 0.4 if i % 2 else -0.4 for i, path in enumerate(captions)})
    assert numbers.verdicts() == {"d": Verdicts(undecided=200)}
    (note,) = numbers.unjudged
    assert "which of two such halves is right cannot be told" in note


def test_a_file_that_holds_something_else_is_warned_about_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Captions are judged by their losses."""
    file = tmp_path / "rivals.parquet"
    file.write_text("no table")
    seen = SeenFile(file)
    assert len(seen.read().captions) == len(seen.read().captions) == 0
    (message,) = [one.getMessage() for one in caplog.records]
    assert "rivals.parquet holds no rivals" in message
    assert message.endswith("Captions are judged by their losses alone.")


def test_a_file_that_could_not_be_read_is_read_again(tmp_path: Path) -> None:
    """What stood in its place had the same time."""
    file = seen_captions(tmp_path, {"a": "a cat", "b": "a dog"}, set(), share=0.1)
    kept, time = file.read_bytes(), file.stat().st_mtime_ns
    file.write_text("no table")
    os.utime(file, ns=(time, time))
    seen = SeenFile(file)
    assert len(seen.read().captions) == 0
    file.write_bytes(kept)
    os.utime(file, ns=(time, time))
    assert len(seen.read().captions) == 2
