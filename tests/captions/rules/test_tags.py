from __future__ import annotations

import pytest
from captions.read import read

from loss_logging.captions.rules.tags import tags


@pytest.mark.parametrize(
    ("text", "rule", "place"),
    [
        ("cat, dog, cat, cat ears, sofa", "cat", 10),
        ("solo, starry night sky, day, city, night", "night", 35),
        ("solo, standing, sitting on chair, sitting", "sitting", 34),
        ("cat, cats, sofa, ((cat:1.2)), tree", "cat", 19),
        ("saber (fate), hat, sky, saber (fate)", "saber (fate)", 24),
        ("1girl, Long_Hair, hat, sky, long hair, sea", "long hair", 28),
        ("女孩，长发，蓝天，长发", "长发", 9),
    ],
)
def test_the_tag_itself_is_marked(text: str, rule: str, place: int) -> None:
    """The last time that a tag stands there as a whole, without weights; not a longer tag that holds its words."""
    reason = tags(read(text))
    assert reason is not None
    assert repr(rule) in reason.message
    assert reason.span == (place, place + len(rule))


def test_a_tag_that_is_longer_without_case_is_marked_as_it_is_written() -> None:
    """ "ß" is two letters then: the mark neither begins late nor ends beyond the caption."""
    text = "hat, Straße, sky, Straße at night, sea, ((Straße"
    reason = tags(read(text))
    assert reason is not None
    assert reason.span == (len(text) - len("Straße"), len(text))


@pytest.mark.parametrize(
    "text", ["cat, cats, cat ears, sofa", "solo, starry night sky, day, city", "a, (b), ((c:1.2))"]
)
def test_longer_tags_are_others(text: str) -> None:
    """A tag within another one is neither a repeat nor a contradiction."""
    assert tags(read(text)) is None
