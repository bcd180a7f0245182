from __future__ import annotations

import json
from pathlib import Path

from command import loss_logging
from item_reports import save


def test_compare(tmp_path: Path) -> None:
    """`compare` takes two steps of a folder, or the last two by themselves, and prints tables or JSON."""
    save(tmp_path, [{("d", "1.png"): [1.0]}, {("d", "1.png"): [3.0]}])
    table = loss_logging("compare", f"{tmp_path}@1", f"{tmp_path}@2")
    assert table.returncode == 0, table.stderr
    assert "from step 1 (A) to step 2 (B)" in table.stdout
    assert "+2.000" in table.stdout
    done = loss_logging("compare", str(tmp_path), "--json")
    assert json.loads(done.stdout)["overall"]["change"] == 2.0
    assert loss_logging("compare", str(tmp_path / "loss_logging" / "job_000000001.json")).returncode == 1
