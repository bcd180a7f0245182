from __future__ import annotations

import io
from pathlib import Path

import pytest
from checked_folders import write
from rich.console import Console

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.folder.check import check_folder
from loss_logging.cli.tables.check import print_check


def test_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table names datasets with their guessed profile, rules, and the worst captions with what is wrong marked."""
    monkeypatch.chdir(folder.parent)
    write(folder, {f"booru/{i}.txt": f"1girl, solo, long hair, dress {i}" for i in range(3)})
    out = io.StringIO()
    print_check(check_folder(folder, CaptionConfig(profiles={"cats": "prose"})), Console(file=out, width=120))
    lines = out.getvalue().splitlines()
    (cats,) = (line for line in lines if line.startswith(" cats "))
    assert cats.split() == ["cats", "prose", "5", "3", "0", "0"]
    (booru,) = (line for line in lines if line.startswith(" booru "))
    assert booru.split() == ["booru", "tags", "(guessed)", "3", "0", "0", "0"]
    place = lines.index("error suspicious set/cats/2.txt:2:10")
    caption, mark = lines[place + 1 : place + 3]
    assert caption[mark.index("^") : mark.rindex("^") + 1] == "<unk>"
    assert lines[-1] == "9 captions: 6 errors, 1 warning, 0 infos"


def test_one_of_each_is_one(tmp_path: Path) -> None:
    """The last line counts in words as one would."""
    write(tmp_path / "set", {"cats/1.txt": "tall trees"})
    out = io.StringIO()
    print_check(check_folder(tmp_path / "set", CaptionConfig()), Console(file=out, width=120))
    assert out.getvalue().splitlines()[-1] == "1 caption: 0 errors, 0 warnings, 1 info"
