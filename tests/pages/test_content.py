from __future__ import annotations

import pyarrow as pa
from built_pages import unpacked

from loss_logging.pages.items import figures_block, items_block


def test_a_field_that_nobody_described() -> None:
    """A figure that the report gains later is a column under its own name."""
    table = pa.table({"dataset": ["d"], "path": ["p"], "caption": ["c"], "new_z": [0.123456789]})
    items = items_block(table, 1)
    assert {"name": "new_z", "title": "New z", "help": "", "kind": "number", "shown": True} in items["columns"]
    assert unpacked(items, figures_block(table))["new_z"] == [0.1235]
