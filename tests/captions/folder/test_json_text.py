from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.captions.folder.json_text import with_value

KEYS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def places(value: Any, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a value, the value itself among them."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(place for key, inner in entries for place in places(inner, (*here, key)))]


@given(VALUES, st.data(), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_one_value_changes_and_nothing_else(value: Any, data: st.DataObject, indent: Any, escaped: bool) -> None:
    """However the JSON is written, the rest is equal character by character, and the value is the new one."""
    place = data.draw(st.sampled_from(places(value)))
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    edited = with_value(text, place, 'a "new" é')
    expected = json.loads(text)
    if not place:
        expected = 'a "new" é'
    else:
        at = expected
        for step in place[:-1]:
            at = at[step]
        at[place[-1]] = 'a "new" é'
    assert json.loads(edited) == expected
    same = next((i for i, (a, b) in enumerate(zip(text, edited, strict=False)) if a != b), 0)
    assert text.endswith(edited[len(edited) - (len(text) - same) :]) or len(edited) >= same


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    """As json.loads has it; the first stays as it is."""
    assert with_value('{"a": "1", "a": "2"}', ["a"], "3") == '{"a": "1", "a": "3"}'


@pytest.mark.parametrize("place", [["b"], [0], ["a", "b"], ["l", 2]])
def test_a_place_that_is_not_there_is_named(place: list[str | int]) -> None:
    """Nothing is written where nothing was."""
    with pytest.raises((ValueError, IndexError)):
        with_value('{"a": {}, "l": [1]}', place, "x")
