from __future__ import annotations

from pathlib import Path

from item_reports import printed, save

from loss_logging.reports.compare import compare_reports


def test_tables_fit(tmp_path: Path) -> None:
    """In a terminal of any usual width no line is longer than it, and numbers are whole."""
    long = {
        ("a dataset with a long name", f"some/long/folder/of/pictures/{i:08}.png"): [1.0 + i / 7, 2.0] for i in range(3)
    }
    found = compare_reports(*save(tmp_path, [long, {item: [9.0, 8.5] for item in long}]))
    for width in (60, 80, 160):
        text = printed(found, width)
        assert max(len(line) for line in text.splitlines() if not line.startswith("Paths are in")) <= width
        assert "+7.250" in text
