from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from searched import FOUND, TEXTS
from view_server import Server

from loss_logging.pages.served.item_query import Filter, matching

pytestmark = pytest.mark.xdist_group("served")


def test_filters(server: Server, example: Path) -> None:
    """Search, dataset, reason and bounds, alone and together."""
    assert server.items(search="NUMBER 11")["total"] == 10
    assert server.items(dataset="dogs")["total"] == 40
    assert server.items(reason="empty")["total"] == 2
    assert server.items(search="%")["total"] == 1  # no wildcard
    assert server.items(search="number", dataset="cats", bounds=[{"field": "hard", "low": 10}])["total"] == 0
    bounds = [{"field": "average_loss", "low": 0.1, "high": 0.2}]
    assert all(0.1 <= row["average_loss"] <= 0.2 for row in server.items(bounds=bounds)["rows"])
    assert [row["flags"] for row in server.items(reason="empty")["rows"]] == ["empty", "empty"]


@pytest.mark.parametrize(
    "asked",
    [
        {"sort": [{"field": "hard; DROP TABLE items_1"}]},
        {"sort": [{"field": 'hard" DESC, (SELECT 1)'}]},
        {"bounds": [{"field": "1=1 OR hard", "low": 0}]},
        {"bounds": [{"field": "hard", "low": "0 OR 1=1"}]},
        {"page": 0},
        {"size": 1_000_000},
        {"page": "1"},
        [],
    ],
)
def test_what_is_no_question(server: Server, asked: Any) -> None:
    """Unknown columns and wrong values are refused in words."""
    answer = server.ask("/api/items", q=json.dumps(asked))
    assert answer.status == 400
    assert answer.body


def test_sql_in_texts_is_text(server: Server) -> None:
    """A search for SQL finds the texts that hold it, which are none."""
    for text in ("'; DROP TABLE items_1; --", "' OR '1'='1", "\\", "\0"):
        assert server.items(search=text, dataset=text)["total"] == 0
    assert server.items()["total"] == 120


@pytest.mark.parametrize(("search", "found"), FOUND.items())
def test_a_search_is_that_of_a_file(search: str, found: list[int]) -> None:
    """What a page of one file finds by JavaScript is found by SQL: in any case, however accents are written."""
    rows = pa.table({"path": [str(i) for i in range(len(TEXTS))], "caption": TEXTS, "dataset": TEXTS})
    for asked in (Filter(search=search), Filter(dataset=search)):
        where, values = matching(asked, rows.column_names, {}, dict)
        with closing(duckdb.connect()) as connection:
            connection.register("items", rows)
            paths = connection.execute(f"SELECT path FROM items WHERE {where} ORDER BY path::INT", values).fetchall()
        assert [int(path) for (path,) in paths] == found
