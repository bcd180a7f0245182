from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from command import loss_logging
from item_reports import save, save_pairs


def test_export(tmp_path: Path) -> None:
    """`export` prints to standard output, or writes a file and says how much of what is there."""
    save(tmp_path, [{("d", "1.png"): [1.0], ("d", "2.png"): [3.0]}])
    done = loss_logging("export", str(tmp_path), "--to", "exclude-list", "--worst", "average_loss:1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2.png\n", "")
    out = tmp_path / "items.csv"
    done = loss_logging("export", str(tmp_path), "--to", "csv", "-o", str(out), "--dataset", "d")
    assert (done.returncode, done.stdout) == (0, "")
    assert "2 of 2 items written" in done.stderr
    assert out.read_text().startswith("dataset,path,count,")
    done = loss_logging("export", str(tmp_path), "--to", "csv", "--worst", "loud:3")
    assert done.returncode == 2
    assert "loud:3" in done.stderr


def test_export_of_wrong_captions_exits_with_1(tmp_path: Path) -> None:
    """For CI: 1 where a caption is very likely wrong, and its path is written; 0 where none is."""
    save_pairs(tmp_path / "bad", wrong=2, items=40)
    done = loss_logging("export", str(tmp_path / "bad"), "--to", "exclude-list", "--likely-wrong")
    assert (done.returncode, done.stdout.split(), done.stderr) == (1, ["001.png", "000.png"], "")
    assert loss_logging("export", str(tmp_path / "bad"), "--to", "exclude-list", "--look").returncode == 1
    save_pairs(tmp_path / "good", wrong=0, items=40)
    done = loss_logging("export", str(tmp_path / "good"), "--to", "exclude-list", "--likely-wrong")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    """`export | head -1` ends quietly."""
    save(tmp_path, [{("d", f"{i}.png"): [1.0] for i in range(20_000)}])
    script = Path(sys.executable).with_name("loss-logging")
    command = f"'{script}' export '{tmp_path}' --to jsonl | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert json.loads(done.stdout)["path"] == "0.png"
    assert done.stderr == ""
