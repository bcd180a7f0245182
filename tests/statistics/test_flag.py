from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging import SampleRecord, flag_bad_captions
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.reason import FlaggedCaption
from loss_logging.captions.verdict import flagged_order
from loss_logging.errors import ConfigError
from loss_logging.records.record import RecordLike
from loss_logging.statistics.flag import FlaggedCaptions


def record(path: Any, caption: Any, loss: Any = 0.5, **rest: Any) -> dict[str, Any]:
    return {"path": path, "dataset": "d", "caption": caption, "loss": loss} | rest


RECORDS = st.lists(
    st.builds(
        SampleRecord,
        path=st.sampled_from(["a", "b", "c", "'\"\n"]),
        dataset=st.sampled_from(["d", "e", ""]),
        caption=st.sampled_from(["", "nan", "sks", "a cat on a sofa", "a <unk> cat", "cat cat cat cat", "\ud800 dog"]),
        loss=st.floats(),
        is_reg=st.booleans(),
        caption_dropped=st.booleans(),
    ),
    max_size=20,
)


def test_the_worst_comes_first() -> None:
    """Severity, then score, then loss, then path."""
    result = flag_bad_captions(
        [
            record("short", "sks", loss=9.0),
            record("heading", "### a cat on a sofa", loss=9.0),
            record("token", "a <unk> cat", loss=0.1),
            record("b", "", loss=0.2),
            record("a", "", loss=0.2),
            record("high", "", loss=0.3),
            record("fine", "a cat on a sofa", loss=99.0),
        ]
    )
    assert [flagged.path for flagged in result.flagged] == ["high", "a", "b", "token", "heading", "short"]
    assert result.summary == {"empty": 3, "suspicious": 2, "short": 1}


def test_the_summary_counts_what_the_list_leaves_out() -> None:
    """top_n shortens the list and nothing else."""
    records = [record(f"{i}.png", "") for i in range(30)]
    for top_n in (0, 1, 20, np.int64(20), 100):
        result = flag_bad_captions(records, top_n=top_n)
        assert (len(result.flagged), result.summary) == (min(int(top_n), 30), {"empty": 30})


def test_an_item_is_listed_once_with_its_highest_loss() -> None:
    """Ten epochs over one bad caption make one row, and one in the summary."""
    result = flag_bad_captions(
        [record("a.png", "", loss=loss, step=i) for i, loss in enumerate([0.1, math.nan, 0.7, 0.2] * 5)]
    )
    assert [(flagged.path, flagged.loss) for flagged in result.flagged] == [("a.png", 0.7)]
    assert result.summary == {"empty": 1}


def test_an_item_counts_with_its_last_caption() -> None:
    """A caption that was mended in the meantime is not listed; the step tells which is the last, then the order."""
    before, after = record("a", "nan", loss=9.0), record("a", "a cat on a sofa", loss=1.0)
    assert flag_bad_captions([before, after]) == FlaggedCaptions([], {})
    (flagged,) = flag_bad_captions([after, before]).flagged
    assert (flagged.caption, flagged.loss) == ("nan", 9.0)
    assert flag_bad_captions([after | {"step": 5}, before | {"step": 4}]) == FlaggedCaptions([], {})


def test_regularisation_images_and_dropped_captions_are_left_out() -> None:
    """Their captions are empty or generic by design."""
    result = flag_bad_captions([record("a", "", is_reg=True), record("b", "", caption_dropped=True)])
    assert result == FlaggedCaptions([], {})


@pytest.mark.parametrize("missing", [None, "", math.nan, np.nan])
def test_a_missing_caption_is_empty(missing: object) -> None:
    """However a loader says that there is no caption."""
    assert flag_bad_captions([record("a", missing), record("b", "a cat on a sofa")]).summary == {"empty": 1}


def test_losses_that_are_no_numbers_are_shown_as_none_and_come_last() -> None:
    """NaN and infinity never break the order, and a negative loss is a loss."""
    losses = [math.nan, 2.0, -math.inf, -1.0, math.inf, 0.0]
    result = flag_bad_captions([record(f"{i}", "", loss=loss) for i, loss in enumerate(losses)])
    assert [flagged.loss for flagged in result.flagged] == [2.0, 0.0, -1.0, None, None, None]
    assert [flagged.path for flagged in result.flagged[3:]] == ["0", "2", "4"]


def test_records_of_every_kind_are_taken() -> None:
    """SampleRecords and mappings, paths and NumPy numbers, from any iterable; an unnamed dataset is "unknown"."""
    kinds: list[RecordLike] = [
        SampleRecord("a", "d", "", 0.5),
        record(Path("b"), "", loss=np.float32(0.5)),
        record("c", "", dataset=None),
    ]
    result = flag_bad_captions(iter(kinds))
    assert [(f.path, f.dataset, f.loss) for f in result.flagged] == [
        ("a", "d", 0.5),
        ("b", "d", 0.5),
        ("c", "unknown", 0.5),
    ]


def test_what_is_wrong_is_said_in_the_result() -> None:
    """Each reason is explained, and the whole is strict JSON even for a lone surrogate."""
    result = flag_bad_captions([record("x\ud800", "a caf\ud800 in the snow", loss=math.nan)])
    (flagged,) = json.loads(msgspec.json.encode(result), parse_constant=pytest.fail)["flagged"]
    assert flagged["caption"] == "a caf\\ud800 in the snow"
    assert flagged["reasons"] == ["encoding"]
    assert flagged["details"][0]["span"] == [5, 11]
    assert "decoded" in flagged["details"][0]["message"]


def test_the_configuration_may_be_a_mapping() -> None:
    """A mapping says the same as a CaptionConfig, and its mistakes are named."""
    records = [record("a", "a cat on a sofa")]
    expected = flag_bad_captions(records, CaptionConfig(min_words=8))
    assert expected.summary == {"short": 1}
    assert flag_bad_captions(records, {"min_words": 8}) == expected
    with pytest.raises(ConfigError, match="min_wrods"):
        flag_bad_captions(records, {"min_wrods": 8})


@pytest.mark.parametrize("top_n", [-1, 1.5, "20", None, True])
def test_an_impossible_top_n_is_refused(top_n: Any) -> None:
    """The error names the argument and the value."""
    with pytest.raises(ConfigError, match=f"top_n is {top_n!r}"):
        flag_bad_captions([], top_n=top_n)


@given(RECORDS)
@settings(deadline=None)  # the first look imports
def test_counts_are_of_items(records: list[SampleRecord]) -> None:
    """No rule objects to more items than there are, and what is listed is what is counted."""
    result = flag_bad_captions(records, top_n=len(records))
    assert result.summary == dict(Counter(rule for flagged in result.flagged for rule in flagged.reasons))
    assert len({(flagged.dataset, flagged.path) for flagged in result.flagged}) == len(result.flagged)


@given(RECORDS, st.randoms(use_true_random=False), st.integers(0, 25))
def test_the_order_of_the_items_does_not_matter(records: list[SampleRecord], random: Any, top_n: int) -> None:
    """The list is a function of the items and their last captions, sorted by flagged_order, at most top_n long."""
    last = {(record.dataset, record.path): record for record in records}
    items = list(last.values())
    result = flag_bad_captions(items, top_n=top_n)
    random.shuffle(items)
    assert flag_bad_captions(items, top_n=top_n).flagged == result.flagged
    keys = [flagged_order(flagged) for flagged in result.flagged]
    assert keys == sorted(set(keys))
    assert result.flagged == flag_bad_captions(items, top_n=100).flagged[:top_n]


def test_the_score_of_a_listed_caption_is_that_of_its_reasons() -> None:
    """flagged, details and reasons agree."""
    (flagged,) = flag_bad_captions([record("a", "a dog <unk> dog dog dog dog")]).flagged
    assert isinstance(flagged, FlaggedCaption)
    assert flagged.reasons == [reason.rule for reason in flagged.details] == ["suspicious", "repeated"]
    assert flagged.severity == "error"
    assert max(reason.score for reason in flagged.details) <= flagged.score <= 1


def test_odd_losses_come_first_among_equals() -> None:
    """Of two flags of one severity, the one on an item with a high `hard` comes first, even with the lower score."""
    ordinary = [record(f"{i}", "a cat on a sofa", loss=0.5 + 0.01 * (i % 7), step=i) for i in range(60)]
    bad = [record("odd", "### a cat on a sofa", loss=3.0, step=i) for i in range(8)]
    bad += [record("sure", "a cat on a sofa, https://example.com/1", loss=0.5, step=i) for i in range(8)]
    result = flag_bad_captions(ordinary + bad)
    assert [(flagged.path, flagged.severity) for flagged in result.flagged] == [("odd", "warning"), ("sure", "warning")]
    assert result.flagged[0].score < result.flagged[1].score


def test_a_caption_that_hurts_comes_first_among_equals() -> None:
    """The same for `caption_mismatch`, over four paired records or more."""
    rows = [
        record(path, "a cat on a sofa ###", loss=loss, step=i, loss_empty=0.5 + 0.001 * i)
        for path, loss in (("helps", 0.4), ("hurts", 0.6))
        for i in range(6)
    ]
    assert [flagged.path for flagged in flag_bad_captions(rows).flagged] == ["hurts", "helps"]
    helps_only = [row for row in rows if row["path"] == "helps"]
    assert flag_bad_captions([*helps_only, {**rows[-1], "loss_empty": None}]).flagged


def test_losses_of_any_kind_never_break_the_order() -> None:
    """Negative, infinite and missing losses, beside enough ordinary ones to standardise them."""
    losses = [-1e300, math.nan, math.inf, -math.inf, 1e300, -0.5, 0.0, 5e-324]
    rows = [record(f"{i % 9}", "### a cat", loss=losses[i % len(losses)], step=i, loss_empty=-1.0) for i in range(80)]
    assert len(flag_bad_captions(rows).flagged) == 9


def test_the_ignore_list_leaves_reasons_out() -> None:
    """What was looked at and found to be fine is neither listed nor counted."""
    records = [record("logos/1.png", "###", loss=1.0), record("photos/1.png", "a cat ###")]
    result = flag_bad_captions(records, {"ignore": ["suspicious,empty logos/*"]})
    assert ([flagged.path for flagged in result.flagged], result.summary) == (["photos/1.png"], {"suspicious": 1})
