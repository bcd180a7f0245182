"""What pictures say of their captions."""

from __future__ import annotations

import numpy as np
import pytest
from tests.evidence import digits

from loss_logging.errors import ConfigError
from loss_logging.evidence.judge import judge
from loss_logging.evidence.pictures import DESCRIPTION, picture_evidence
from loss_logging.evidence.ridge import smoother
from loss_logging.evidence.words import caption_words


def auroc(score: np.ndarray, wrong: np.ndarray) -> float:
    """The chance that a wrong one stands before a right one."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(wrong, score))


def test_wrong_digits_their_word_and_the_right_one_are_found() -> None:
    """A tenth of the captions names another digit."""
    said, wrong = digits.said(0.1)
    found = digits.evidence(0.1, 0)
    assert auroc(found.whole, wrong) > 0.98
    assert auroc(found.word, wrong) > 0.9
    worst = np.array(found.worst_word)[wrong] == np.array(digits.WORDS)[said[wrong]]
    right = np.array(found.suggested_word)[wrong] == np.array(digits.WORDS)[digits.shown()[wrong]]
    assert worst.mean() > 0.85
    assert right.mean() > 0.8
    assert (said[found.rival] == digits.shown())[wrong].mean() > 0.9


def test_each_item_is_predicted_without_itself() -> None:
    """The closed form gives what a fit without the item gives."""
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(size=(40, 3)).astype(np.float32), (rng.random((40, 1)) < 0.5).astype(np.float32)
    from scipy import sparse

    model = smoother(rows)
    fit = model.fit(sparse.csr_array(targets), np.zeros(1, np.float32))
    kernel = (model.basis * (model.kept[3] / (1 - model.kept[3]))) @ model.basis.T  # over the penalty, which is 1
    held = np.arange(40) != 7
    expected = kernel[7, held] @ np.linalg.solve(kernel[np.ix_(held, held)] + np.eye(39), targets[held, 0])
    leverage = model.leverage(np.array([7]), np.array([7]))[0, 3]
    smooth = (model.basis * model.kept[3]) @ (model.basis.T @ targets)
    assert targets[7, 0] - (targets[7, 0] - smooth[7, 0]) / (1 - leverage) == pytest.approx(expected, abs=1e-3)
    assert fit.weights.shape == (model.basis.shape[1], 1)


def test_many_pictures_are_compared_with_a_sample_to_the_same_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nystroem's method ranks wrong captions nearly as the exact kernel does."""
    _, wrong = digits.said(0.1)
    monkeypatch.setattr("loss_logging.evidence.ridge._EXACT", 500)
    words = caption_words(digits.captions(digits.said(0.1)[0]))
    found = picture_evidence(digits.features(), words, progress=False)
    assert auroc(found.whole, wrong) > 0.97


def test_planted_captions_are_described_as_wrong_ones_are() -> None:
    """Where captions are moved around, wrong and planted ones look alike, and both unlike the right ones."""
    found = digits.evidence(0.1, 0)
    wrong = digits.said(0.1)[1]
    middle = np.median(found.planted[:, 0])
    assert abs(middle - np.median(found.own[wrong, 0])) < 0.3 * abs(middle - np.median(found.own[~wrong, 0]))
    assert found.planted.shape[1] == len(DESCRIPTION)


@pytest.mark.parametrize(
    ("captions", "reason"),
    [
        (["a cat"], "too few to learn from"),
        (["a cat"] * 60, "no word stands in two captions or more and not in all"),
        ([f"word{n}" for n in range(60)], "no word stands in two captions or more and not in all"),
        ([None] * 60, "0 captioned pictures are too few"),
        ([], "0 captioned pictures are too few"),
    ],
)
def test_where_nothing_can_be_learnt_it_says_why(captions: list[str | None], reason: str) -> None:
    """One item, one caption for all, captions all different, none: no figure, no word, no rival."""
    rows = np.random.default_rng(0).normal(size=(len(captions), 4))
    found = picture_evidence(rows, caption_words(captions), progress=False)
    assert reason in found.reason
    assert np.isnan(found.whole).all()
    assert set(found.worst_word) <= {None}
    assert (found.rival == -1).all()


def test_pictures_all_alike_say_nothing() -> None:
    """All black: no caption fits better than another."""
    found = picture_evidence(np.zeros((60, 4)), caption_words(["a cat", "a dog"] * 30), progress=False)
    assert found.reason == "all pictures look the same"


def test_blank_captions_are_left_out_and_the_others_are_not() -> None:
    """A caption that is missing says nothing, and nothing is said of it."""
    said, _ = digits.said(0.1)
    captions: list[str | None] = list(digits.captions(said))
    captions[5] = None
    found = picture_evidence(digits.features(), caption_words(captions), progress=False)
    assert np.isnan(found.whole[5])
    assert found.worst_word[5] is None
    assert np.isfinite(np.delete(found.whole, 5)).all()
    assert (found.rival != 5).all()


def test_several_captions_of_one_picture_do_not_accuse_one_another() -> None:
    """A picture that comes twice, with two right captions, is no better and no worse than others."""
    twice = np.concatenate([digits.features()[:600]] * 2)
    shown = digits.shown()[:600]
    captions = [f"a {digits.WORDS[d]}" for d in shown] + [f"the figure {digits.WORDS[d]}" for d in shown]
    found = judge(picture_evidence(twice, caption_words(captions), progress=False))
    assert found.count("no sign of it") > 0.98 * 1200
    assert found.count("very likely wrong") <= 6


def test_features_of_another_length_are_refused() -> None:
    """The shape and what is allowed are named."""
    with pytest.raises(
        ConfigError, match=r"features has the shape \(3, 2\); allowed: \(2, D\), a row for each caption"
    ):
        picture_evidence(np.zeros((3, 2)), caption_words(["a", "b"]), progress=False)
