from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.captions.ignore import Accepted, IgnoreList
from loss_logging.captions.reason import SEVERITIES, Reason
from loss_logging.captions.verdict import Verdict, flagged_caption, flagged_order, without_accepted


def test_a_verdict_combines_its_reasons() -> None:
    """The severity is the gravest, the score 1 - (1 - 0.5)(1 - 0.2) = 0.6."""
    verdict = Verdict((Reason("long", "warning", 0.5, "Shorten it."), Reason("short", "info", 0.2, "Write more.")))
    assert (verdict.severity, verdict.rules) == ("warning", ["long", "short"])
    assert verdict.score == pytest.approx(0.6)


REASONS = st.lists(
    st.builds(
        Reason, st.sampled_from(["long", "short"]), st.sampled_from(SEVERITIES), st.floats(0.01, 1), st.just("!")
    ),
    min_size=1,
    max_size=4,
)


@given(REASONS)
def test_more_reasons_score_no_lower(reasons: list[Reason]) -> None:
    """The score is in (0, 1], and at least that of each reason; the severity is one of theirs and the gravest."""
    verdict = Verdict(tuple(reasons))
    assert max(reason.score for reason in reasons) - 1e-9 <= verdict.score <= 1
    assert all(SEVERITIES.index(verdict.severity) >= SEVERITIES.index(reason.severity) for reason in reasons)


@given(st.lists(st.tuples(REASONS, st.none() | st.floats(allow_nan=True), st.booleans()), max_size=6))
def test_any_flagged_captions_have_an_order(those: list[tuple[list[Reason], float | None, bool]]) -> None:
    """The gravest come first, whatever the losses are; a loss that is not finite is none."""
    flagged = [
        (flagged_caption(f"{i}.png", "d", "a cat", loss, Verdict(tuple(reasons))), suspect)
        for i, (reasons, loss, suspect) in enumerate(those)
    ]
    assert all(one.loss is None or abs(one.loss) < float("inf") for one, _ in flagged)
    ordered = sorted(flagged, key=lambda pair: flagged_order(*pair))
    grades = [SEVERITIES.index(one.severity) for one, _ in ordered]
    assert grades == sorted(grades, reverse=True)


def test_suspects_come_first_among_equals() -> None:
    """Of two captions that are equally bad, the one whose losses are odd is shown first."""
    verdict = Verdict((Reason("long", "warning", 0.5, "Shorten it."),))
    one, other = (flagged_caption(path, "d", "a cat", 1.0, verdict) for path in ("1.png", "2.png"))
    assert flagged_order(other, suspect=True) < flagged_order(one)


def test_accepted_reasons_are_taken_out() -> None:
    """What is left is the verdict of the others; where nothing is left there is none."""
    accepted = Accepted([IgnoreList(["long 1.png"])])
    both = Verdict((Reason("long", "warning", 0.5, "Shorten it."), Reason("short", "info", 0.2, "Write more.")))
    kept = without_accepted(both, "1.png", "a cat", accepted)
    assert kept is not None
    assert kept.rules == ["short"]
    assert without_accepted(Verdict(both.reasons[:1]), "1.png", "a cat", accepted) is None
