"""loss_logging.integrations.engines.ray_worker, without a cluster"""

from __future__ import annotations

import pyarrow as pa
import pytest

from loss_logging.integrations.engines.ray_worker import chosen
from loss_logging.support.chance import uniform_of

pytestmark = pytest.mark.xdist_group("ray")  # the module imports it

NAMES = [f"{i:02}.tar" for i in range(40)]


@pytest.mark.parametrize("broken", [NAMES, NAMES[:5], []])
def test_rows_that_say_what_could_not_be_read_are_taken(broken: list[str]) -> None:
    """Whatever the share of the items that is wanted: the evaluation is to end with their message."""
    rows = [{"path": name, "dataset": "d", "error": "cut short" if name in broken else None} for name in NAMES]
    taken = chosen(0.3, 1, pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in rows[0]])))
    wanted = {name for name in NAMES if uniform_of("sample", 1, name) < 0.3}
    assert 0 < len(wanted - set(broken[:5])) < len(NAMES)
    assert set(taken["path"].to_pylist()) == wanted | set(broken)


def test_rows_without_errors_are_chosen_by_their_path() -> None:
    """Of files there is no such column."""
    taken = chosen(0.3, 1, pa.table({"path": NAMES}))
    assert taken["path"].to_pylist() == [name for name in NAMES if uniform_of("sample", 1, name) < 0.3]
