from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.captions.text_store import ByteStore, TextStore

TEXTS = st.lists(st.text(st.characters(codec=None), max_size=30), max_size=8)


@given(TEXTS, st.slices(8))
def test_it_is_a_list_of_texts(texts: list[str], part: slice) -> None:
    """Every text comes back as it was, half surrogate pairs too: by number, from the end, by slice and one by one."""
    store = TextStore()
    for text in texts:
        store.append(text)
    assert list(store) == texts
    assert [store[i - len(texts)] for i in range(len(texts))] == texts
    assert store[part] == texts[part]
    with pytest.raises(IndexError, match=f"less than {len(texts)}, the number of texts"):
        store[len(texts)]


def test_what_is_in_a_file_can_be_added_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once texts are in a file, reading between writing loses none."""
    monkeypatch.setattr("loss_logging.captions.text_store._IN_MEMORY", 1)
    store = TextStore()
    for i in range(20):
        store.append(f"caption {i}")
        assert store[i // 2] == f"caption {i // 2}"
    assert list(store) == [f"caption {i}" for i in range(20)]


@given(st.lists(st.lists(st.binary(max_size=9), max_size=4), max_size=4))
def test_byte_strings_that_come_together_are_read_one_by_one(batches: list[list[bytes]]) -> None:
    """What was added in one piece is found by number, among what was added alone."""
    store = ByteStore()
    for batch in batches:
        ends = [len(b"".join(batch[: i + 1])) for i in range(len(batch))]
        store.extend(b"".join(batch), ends)
        store.append(b"alone")
    assert [store.read(i) for i in range(len(store))] == [data for batch in batches for data in [*batch, b"alone"]]
