from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shown import report

from loss_logging.pages.sentences import caption_sentence, odd_sentence, told_apart
from loss_logging.reports.report import WorstItem


@given(st.floats(-1.99, 1.99))
def test_a_mismatch_is_told_as_a_ratio_of_losses(mismatch: float) -> None:
    """(2 + m) / (2 - m) of the loss without the caption: higher above zero, lower below, a factor from three on."""
    sentence = caption_sentence(WorstItem("d", "1.png", "a cat", mismatch, 8, 0.5))
    ratio = (2 + mismatch) / (2 - mismatch)
    if ratio >= 3:
        assert f"{ratio:.1f} times higher" in sentence
    else:
        assert f"{abs(ratio - 1):.0%} {'higher' if ratio >= 1 else 'lower'}" in sentence
    assert sentence.endswith("on average of 8 tries.")


def test_a_better_word_is_named() -> None:
    """Where pictures say which word is wrong, and what fits."""
    item = WorstItem("d", "1.png", "a cat", 0.5, 8, 0.5, word="cat", better_word="dog")
    assert caption_sentence(item).endswith(" tries. Its picture fits “dog” better than “cat”.")


@pytest.mark.parametrize("score", [0.5, None])
def test_a_corrected_caption_is_not_judged_alone(score: float | None) -> None:
    """In a run that went on after a correction, records of the caption before are in the figures."""
    item = WorstItem("d", "1.png", "a dog", score, 8, 0.5, decision="caption")
    assert caption_sentence(item).endswith(" It was corrected: records of before, where this run has any, still count.")


def test_a_caption_that_only_its_picture_contradicts_is_said_to_be_so() -> None:
    """No loss is named where none was compared."""
    item = WorstItem("d", "1.png", "a cat", None, 0, 0.5, word="cat", better_word="dog")
    assert caption_sentence(item) == (
        "Its picture contradicts its caption; no loss without it is known yet."
        " Its picture fits “dog” better than “cat”."
    )


@pytest.mark.parametrize(
    ("score", "stands_out", "how"),
    [(3.0, True, "is far above"), (0.5, False, "is above"), (-1.0, False, "is not above")],
)
def test_an_odd_loss_is_told_beside_its_dataset(score: float, stands_out: bool, how: str) -> None:
    """With both means; where one of them is not known, without."""
    item = WorstItem("cats", "1.png", "a cat", score, 8, 0.5)
    assert odd_sentence(item, report(), stands_out=stands_out) == (
        f"Its loss {how} others of the same timestep: 0.5 on average, 0.25 in its dataset."
    )
    unknown = WorstItem("dogs", "1.png", "a cat", score, 8, 0.5)
    assert odd_sentence(unknown, report(), stands_out=stands_out).endswith("of the same timestep.")


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c.png"]), min_size=1, max_size=4).map("/".join), min_size=1))
def test_paths_are_cut_alike_and_stay_apart(paths: list[str]) -> None:
    """At a slash, by the folder that all are in; none is empty, and different ones stay different."""
    shown = told_apart(paths)
    cut = {len(path) - len(short) for path, short in zip(paths, shown, strict=True)}
    assert len(cut) == 1 or all(shown)
    assert all(path.endswith(short) and short for path, short in zip(paths, shown, strict=True))
    assert len(set(shown)) == len(set(paths))
