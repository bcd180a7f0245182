from __future__ import annotations

import json
from pathlib import Path

from command import loss_logging
from item_reports import save, save_pairs
from shown import report, write


def test_show_file_and_folder(tmp_path: Path) -> None:
    """`show` takes a JSON report, a run's folder, or its loss_logging folder, of which it shows the last report."""
    write(report("an old caption", step=250), tmp_path / "loss_logging")
    path = write(report("a new caption", step=500), tmp_path / "loss_logging")
    for argument in (path, tmp_path, tmp_path / "loss_logging"):
        done = loss_logging("show", str(argument))
        assert done.returncode == 0, done.stderr
        assert "a new caption" in done.stdout
        assert "step 500" in done.stdout


def test_no_color(tmp_path: Path) -> None:
    """NO_COLOR is respected even where colour is forced."""
    path = write(report(), tmp_path)
    coloured = loss_logging("show", str(path), FORCE_COLOR="1", NO_COLOR="", TERM="xterm-256color")
    plain = loss_logging("show", str(path), FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color")
    assert "\x1b[31m" in coloured.stdout
    assert "\x1b[31m" not in plain.stdout


def test_show_json(tmp_path: Path) -> None:
    """`show --json` prints the report without its items, and nothing else."""
    (path,) = save(tmp_path, [{("d", "1.png"): [1.0], ("d", "2.png"): [3.0]}])
    done = loss_logging("show", str(path), "--json")
    printed_report = json.loads(done.stdout)
    assert printed_report["global"]["mean"] == 2.0
    assert printed_report["datasets"]["d"]["item_stats"] == {}
    assert done.stderr == ""


def test_show_names_verdicts(tmp_path: Path) -> None:
    """Captions are called wrong where they very likely are; where none stands out, that is said and none is listed."""
    text = loss_logging("show", str(save_pairs(tmp_path / "bad", wrong=2, items=40))).stdout
    assert "Captions: 2 very likely wrong, 38 with no sign of it." in text
    assert "Captions very likely wrong: 2" in text
    assert "Look at these" not in text
    text = loss_logging("show", str(save_pairs(tmp_path / "good", wrong=0, items=40))).stdout
    assert "No caption stands out of 40 that were compared." in text
    assert "very likely wrong" not in text
    assert "caption_mismatch" not in text
