"""Verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from tests.evidence import digits

from loss_logging.errors import ConfigError
from loss_logging.evidence.features import picture_features
from loss_logging.evidence.judge import Judgement, judge
from loss_logging.evidence.losses import LossEvidence, pooled
from loss_logging.evidence.pictures import picture_evidence
from loss_logging.evidence.planted import WrongCaptions, calibrated
from loss_logging.evidence.words import caption_words

pytestmark = pytest.mark.xdist_group("digits")  # whose evidence is worked out once

FIRST, LOOK, NONE = "very likely wrong", "look at these", "no sign of it"


def losses(wrong: np.ndarray, size: float, *, n: int = 16, seed: int = 0) -> LossEvidence:
    """Losses that wrong captions raise by ``size`` and right ones lower by it, with noise of 0.5 for each record."""
    error = np.full(len(wrong), 0.5 / n**0.5)
    mean = np.where(wrong, size, -size) + np.random.default_rng(seed).normal(0, error)
    return LossEvidence(mean, np.full(len(wrong), n), error)


def first(found: Judgement) -> np.ndarray:
    """Which items are in the first bin."""
    return np.array([verdict == FIRST for verdict in found.verdict])


@pytest.mark.parametrize("seeds", [1, pytest.param(3, marks=pytest.mark.long)])
def test_a_chance_of_nine_in_ten_is_true_in_that_many_cases(seeds: int) -> None:
    """Of a tenth of wrong captions: what is said above 0.9, and the first bin."""
    said, true, binned = [], [], []
    for seed in range(seeds):
        wrong = digits.said(0.1, seed)[1]
        found = judge(digits.wrong_captions(0.1, seed))
        said.append(wrong[found.p_wrong > 0.9])
        binned.append(wrong[first(found)])
        true.append(found.share)
    assert np.concatenate(said).mean() > 0.9
    assert np.concatenate(binned).mean() > 0.85
    assert sum(map(len, binned)) > 50 * seeds
    assert np.mean(true) == pytest.approx(0.1, abs=0.03)


@pytest.mark.long
@pytest.mark.parametrize("seeds", [2, 3])
def test_the_first_bin_of_a_small_set_does_not_hang_on_the_seed(seeds: int) -> None:
    """Of 600 digits: the seed of plantings and folds changes the size of the first bin by less than a factor of 4; it
    was 9 before. What is in it is wrong."""
    said, wrong = digits.said(0.1, 2)
    taken = np.sort(np.random.default_rng(102).permutation(len(wrong))[:600])
    words = caption_words([digits.captions(said)[item] for item in taken])
    firsts = []
    for seed in range(seeds):
        seen = picture_evidence(digits.features()[taken], words, seed=seed, progress=False)
        first = np.array([verdict == FIRST for verdict in judge(seen, seed=seed).verdict])
        firsts.append(first.sum())
        assert wrong[taken][first].mean() > 0.9
    assert max(firsts) < 4 * min(firsts)


def test_a_set_without_wrong_captions_has_none() -> None:
    """At most 0.5% of the items in the first bin."""
    found = judge(digits.wrong_captions(0.0, 0))
    assert first(found).mean() <= 0.005
    assert found.count(NONE) > 0.95 * 1797


def test_captions_that_have_nothing_to_do_with_their_pictures_give_no_verdict() -> None:
    """Pure noise: nothing in any bin, and a sentence."""
    captions = np.random.default_rng(0).permutation(digits.captions(digits.shown())).tolist()
    found = judge(picture_evidence(digits.features(), caption_words(captions), progress=False))
    assert set(found.verdict) == {None}
    assert np.isnan(found.p_wrong).all()
    assert "no better from planted wrong ones than chance" in found.notes[0]


def test_losses_that_are_pure_noise_accuse_nobody() -> None:
    """20,000 items of noise, of few records: nothing is very likely wrong."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        records = rng.exponential(size=(2, 20_000, 6))
        mismatch = (records[0] - records[1]) / (records.sum(0) / 2)
        error = mismatch.std(1, ddof=1) / 6**0.5
        found = judge(empty=LossEvidence(mismatch.mean(1), np.full(20_000, 6), error))
        assert found.count(FIRST) == 0
        assert found.count(LOOK) <= 5


def test_with_half_of_the_captions_wrong_it_cannot_tell_which_half() -> None:
    """By pictures, by losses alone, by rivals, and by all of it: no verdict and no chance, and it says so."""
    wrong = digits.said(0.5)[1]
    seen = digits.wrong_captions(0.5, 0)
    empty, rival = losses(wrong, 0.5), losses(wrong, 0.9, seed=1)
    for found in (
        judge(seen),
        judge(empty=empty),
        judge(seen, empty=empty),
        judge(empty=empty, rival=rival),
        judge(seen, empty=empty, rival=rival),
    ):
        assert set(found.verdict) == {None}
        assert np.isnan(found.p_wrong).all()
        assert any("cannot be told" in note for note in found.notes)


@pytest.fixture(scope="module")
def noisy() -> WrongCaptions:
    """What pictures say that are hard to see, of a tenth of wrong captions."""
    noise = np.random.default_rng(1).normal(0, 0.35, (1797, 8, 8))
    rows = picture_features(list(np.array(digits.pictures()) + noise), progress=False).features
    return calibrated(picture_evidence(rows, caption_words(digits.captions(digits.said(0.1)[0])), progress=False))


def test_losses_add_to_what_the_pictures_say(noisy: WrongCaptions) -> None:
    """As many wrong captions are found, fewer right ones are accused, and what each said is there."""
    wrong = digits.said(0.1)[1]
    alone, both = judge(noisy), judge(noisy, rival=losses(wrong, 0.3, n=8))
    assert (first(both) & wrong).sum() > 0.9 * (first(alone) & wrong).sum()
    assert (first(both) & ~wrong).sum() < 0.5 * (first(alone) & ~wrong).sum()
    assert wrong[first(both)].mean() > 0.9
    odds = sum(both.contributions.values())
    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), both.p_wrong, atol=1e-6)


def test_single_pairs_count_beside_pictures_and_decide_nothing_without(noisy: WrongCaptions) -> None:
    """Two pairs of an item, and none of every fifth: fewer right captions are accused than by pictures alone."""
    wrong = digits.said(0.1)[1]
    pairs = losses(wrong, 0.5, n=2)
    pairs.n[::5], pairs.mean[::5] = 0, np.nan
    alone, both = judge(noisy), judge(noisy, empty=pairs)
    assert (first(both) & wrong).sum() > 0.8 * (first(alone) & wrong).sum()
    assert (first(both) & ~wrong).sum() < 0.5 * (first(alone) & ~wrong).sum()
    assert not both.contributions["losses"][::5].any()
    assert set(judge(empty=pairs).verdict) == {None}


def test_pairs_that_are_still_missing_leave_the_bin_of_the_pictures() -> None:
    """No pair at all: the judgement is the pictures' own."""
    nothing = LossEvidence(np.full(1797, np.nan), np.zeros(1797), np.full(1797, np.nan))
    assert judge(digits.wrong_captions(0.1, 0), empty=nothing).verdict == judge(digits.wrong_captions(0.1, 0)).verdict


def test_chances_of_a_set_without_wrong_captions_rank_it_all_the_same() -> None:
    """They are near 0, and the likeliest of the few wrong ones, which no share shows, are the highest."""
    found = judge(digits.wrong_captions(0.0, 0))
    assert 0 < np.nanmax(found.p_wrong) < 0.01
    assert len(np.unique(found.p_wrong)) > 900


def test_what_hurts_is_worth_a_look_where_its_picture_agrees_with_it() -> None:
    """The chance stays the pictures'; the verdict is not that there is no sign of anything."""
    hurting = np.arange(1797) < 20
    found = judge(digits.wrong_captions(0.0, 0), empty=losses(hurting, 1.0))
    assert found.verdict[:20] == [LOOK] * 20
    assert found.verdict[20:].count(LOOK) <= 5


def test_a_rival_that_does_a_little_better_is_no_sign_of_anything() -> None:
    """It may say the same in other words: alone, and beside pictures that see nothing wrong."""
    better = LossEvidence(np.full(1797, 0.05), np.full(1797, 16), np.full(1797, 0.001))
    assert judge(digits.wrong_captions(0.0, 0), rival=better).count(NONE) == 1797
    assert set(judge(rival=better).verdict) == {None}


def test_losses_that_know_nothing_take_nothing_away() -> None:
    """Beside the pictures, noise changes few verdicts."""
    wrong = digits.said(0.1)[1]
    pictures = digits.wrong_captions(0.1, 0)
    alone, both = judge(pictures), judge(pictures, empty=losses(wrong, 0.0))
    assert (first(both) & ~wrong).sum() <= (first(alone) & ~wrong).sum() + 10
    assert (first(both) & wrong).sum() >= 0.8 * (first(alone) & wrong).sum()


def test_losses_alone_name_what_hurts_beyond_its_error_without_a_chance() -> None:
    """Nothing was planted, so no chance is said; false discoveries are kept in bounds."""
    wrong = np.arange(2000) < 200
    found = judge(empty=losses(wrong, 0.6))
    assert np.isnan(found.p_wrong).all()
    assert wrong[first(found)].mean() > 0.9
    assert (first(found) & wrong).sum() > 150
    assert "losses alone" in found.notes[0]


def test_any_part_of_the_evidence_is_enough() -> None:
    """Each kind alone, and all together, with items that a kind knows nothing of."""
    wrong = digits.said(0.1)[1]
    some = losses(wrong, 0.3)
    some.n[:100] = 0
    some.mean[:100] = np.nan
    hard = np.random.default_rng(0).normal(size=1797)
    for kinds in ({"empty": some}, {"rival": some}, {"dropped": some}, {"hard": hard}):
        assert len(judge(**kinds).verdict) == 1797
    found = judge(digits.evidence(0.1, 0), empty=some, rival=some, dropped=some, hard=hard)
    assert np.isfinite(found.p_wrong).all()
    assert np.isfinite(found.word_score).all()
    assert judge(empty=some).verdict[:100] == [None] * 100
    assert set(judge(hard=hard).verdict) == {None}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_items_give_no_verdict(count: int) -> None:
    """Nothing is known of one item's caption by its picture."""
    evidence = picture_evidence(np.eye(count), caption_words(["a cat"] * count), progress=False)
    found = judge(evidence, hard=np.zeros(count))
    assert found.verdict == [None] * count
    assert found.notes
    assert found.odd_end == [None] * count


def test_two_classes_are_enough() -> None:
    """Zeros and ones, a twelfth of them confused: what is found is right."""
    rows = np.flatnonzero(digits.shown() < 2)
    shown = digits.shown()[rows]
    wrong = np.arange(len(rows)) % 12 == 0
    captions = [("zero", "one")[digit] for digit in np.where(wrong, 1 - shown, shown)]
    found = judge(picture_evidence(digits.features()[rows], caption_words(captions), progress=False))
    assert not first(found)[~wrong].any()
    assert found.score[wrong].min() > np.nanmedian(found.score[~wrong])


def test_evidence_on_different_sets_is_refused() -> None:
    """The lengths are named; so is that there is nothing at all."""
    one, other = (losses(np.zeros(count, np.bool_), 0.1) for count in (5, 6))
    with pytest.raises(ConfigError, match=r"judge was given empty 5, rival 6; allowed: .* equally many items"):
        judge(empty=one, rival=other)
    with pytest.raises(ConfigError, match="judge was given nothing; allowed: one kind of evidence or more"):
        judge()
    with pytest.raises(ConfigError, match=r"the shapes \(2,\), \(1,\) and \(2,\); allowed: one number each"):
        LossEvidence(np.zeros(2), np.zeros(1), np.zeros(2))
    with pytest.raises(ConfigError, match="n holds -1; allowed: 0 or more"):
        LossEvidence(np.zeros(1), np.full(1, -1), np.zeros(1))


def test_records_of_two_kinds_are_pooled_as_one() -> None:
    """Mean and error are those of all records; an item without any stays unknown."""
    rng = np.random.default_rng(0)
    records = rng.normal(size=(3, 12))
    parts = [
        LossEvidence(part.mean(1), np.array([6, 6, 0]), part.std(1) / 6**0.5) for part in np.split(records, 2, axis=1)
    ]
    both = pooled(parts)
    np.testing.assert_allclose(both.mean[:2], records[:2].mean(1))
    assert both.n.tolist() == [12, 12, 0]
    assert np.isnan(both.mean[2])
