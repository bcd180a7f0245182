"""Queries: what they read, for how long."""

from __future__ import annotations

import pytest
from helpers import record

from loss_logging.records.columns import table_from_records
from loss_logging.statistics.queries import Queries


@pytest.mark.parametrize("fails", [False, True])
def test_another_source_is_read_for_a_while(fails: bool) -> None:
    """Afterwards the queries are about what they were about before, whatever happened meanwhile."""
    one, two = (table_from_records([record(str(i)) for i in range(n)]) for n in (1, 2))
    with Queries() as queries:
        queries.read(one)
        try:
            with queries.reading(two):
                assert queries.value("SELECT count(*) FROM samples") == 2
                if fails:
                    raise KeyError
        except KeyError:
            assert fails
        assert queries.value("SELECT count(*) FROM samples") == 1
