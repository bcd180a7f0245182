from __future__ import annotations

import csv
import io
import re

from hypothesis import given
from hypothesis import strategies as st

from loss_logging.integrations.loggers.cells import MAX_CELL, clean, csv_table, fit_name, markdown_text, shorten
from loss_logging.reports.report import Table

TEXTS = st.text(st.characters(codec=None), max_size=40)


@given(TEXTS, st.integers(1, 20))
def test_a_cell_can_be_encoded_and_is_short(text: str, limit: int) -> None:
    """Whatever a caption holds, and cleaning twice is cleaning once."""
    cell = shorten(text, limit)
    cell.encode()
    assert len(cell) <= limit
    assert clean(cell) == cell
    assert len(clean(text)) == len(text)


@given(TEXTS)
def test_markdown_shows_the_text_and_does_nothing(text: str) -> None:
    """One line without a sign that means something to markdown or HTML, but for the entities that stand for them."""
    shown = markdown_text(text)
    assert "\n" not in shown
    assert not re.search(r"[|<>`*_\[\]()!\"'\\]", shown)
    assert not re.search("&(?!#[0-9]+;)", shown)


@given(st.lists(st.lists(TEXTS | st.none() | st.floats(allow_nan=False), min_size=2, max_size=2), max_size=4))
def test_csv_is_read_back_and_runs_nothing(rows: list[list[object]]) -> None:
    """As many rows and cells as the table has, of which none begins like a formula of a spreadsheet."""
    table = Table(["path", "score"], rows)
    read = list(csv.reader(io.StringIO(csv_table(table), newline="")))
    assert read[0] == ["path", "score"]
    assert [len(row) for row in read[1:]] == [2] * len(rows)
    for given_, cells in zip(rows, read[1:], strict=True):
        for value, cell in zip(given_, cells, strict=True):
            assert not isinstance(value, str) or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            assert len(cell) <= MAX_CELL + 1


@given(TEXTS, TEXTS, st.integers(10, 30))
def test_names_stay_apart(one: str, other: str, limit: int) -> None:
    """What a tracker refuses is replaced, within its limit, so that two datasets do not become one."""
    refused = re.compile(r"[^a-z0-9/_-]")
    fitted = [fit_name(name, refused, limit) for name in (one, other)]
    assert all(len(name) <= limit and not refused.search(name) for name in fitted)
    assert (fitted[0] == fitted[1]) == (one == other)
