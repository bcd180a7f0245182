"""loss_logging/reports/item_texts.py: what is written from columns is what msgspec writes of each item."""

from __future__ import annotations

import math
from typing import Any, get_type_hints

import msgspec
import pyarrow as pa
from helpers import HOSTILE, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging.reports.item_texts import item_texts
from loss_logging.reports.items import ITEM_SCHEMA
from loss_logging.reports.report import ItemStats

TEXTS = st.sampled_from([text.encode("utf-8", "backslashreplace").decode() for text in HOSTILE]) | st.text(max_size=8)
VALUES = {
    int: st.integers(0, 3),
    str: TEXTS,
    float | None: st.none() | st.floats() | st.sampled_from([0.0, 5e-324, 1.7e308, 1 / 3]),
    str | None: st.none() | TEXTS,
}
CHOICES = {"verdict": ["look at", None], "decision": ["fine", None]}
ITEMS = st.fixed_dictionaries(
    {
        name: st.sampled_from(CHOICES[name]) if name in CHOICES else VALUES[hint]
        for name, hint in get_type_hints(ItemStats).items()
    }
)


def batch(dataset: str, items: dict[str, Any]) -> pa.RecordBatch:
    rows = [{"dataset": dataset, "path": path, **figures} for path, figures in items.items()]
    return pa.RecordBatch.from_pylist(rows, ITEM_SCHEMA)


@settings(deadline=None, max_examples=examples(40))
@given(st.lists(st.dictionaries(TEXTS, ITEMS, max_size=3), max_size=4))
def test_the_text_of_items_is_theirs(batches: list[dict[str, Any]]) -> None:
    """Every figure to the last bit, every text, and of what has its default nothing, whatever came before it."""
    texts = item_texts([batch(f"d{i}", items) for i, items in enumerate(batches)])
    found = [(name, msgspec.json.decode(b"{%b}" % text)) for name, text in texts]
    expected = [(f"d{i}", {path: written(figures) for path, figures in one.items()}) for i, one in enumerate(batches)]
    assert found == [(name, items) for name, items in expected if items]


def written(figures: dict[str, Any]) -> Any:
    """What msgspec writes of an item, whose figures that no JSON holds are unknown."""
    held = {name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in figures.items()}
    return msgspec.json.decode(msgspec.json.encode(ItemStats(**held)))


def test_datasets_within_a_batch_are_told_apart() -> None:
    """Each run of items of one dataset is a text; numbers that no JSON holds are null."""
    figures = dict.fromkeys(ItemStats.__struct_fields__) | {"count": 1, "caption": "", "average_loss": math.nan}
    rows = [{"dataset": name, "path": f"{i}", **figures} for i, name in enumerate("aab")]
    texts = list(item_texts([pa.RecordBatch.from_pylist(rows, ITEM_SCHEMA)]))
    assert [(name, list(msgspec.json.decode(b"{%b}" % text))) for name, text in texts] == [
        ("a", ["0", "1"]),
        ("b", ["2"]),
    ]
    assert b'"average_loss":null' in texts[0][1]
