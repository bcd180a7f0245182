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


def test_datasets_keep_their_names(tmp_path: Path) -> None:
    """However narrow the terminal, and however many items are in one report only: counts are left out first."""
    before = {("clean", f"a/{i}.png"): [0.5 + i / 7] for i in range(1200)} | {("messy", "c.png"): [0.5]}
    after = {("clean", f"b/{i}.png"): [0.6 + i / 7] for i in range(1200)} | {("messy", "d.png"): [0.6]}
    found = compare_reports(save(tmp_path / "a", [before])[0], save(tmp_path / "b", [after])[0])
    for width in (60, 80, 90, 160):
        table = printed(found, width).partition("Loss per dataset")[2].partition("Only in")[0]
        assert {"clean", "messy", "dataset"} <= set(table.split()), width
        assert ("only A" in table) == (width >= 90)
