"""The check of a folder: what it finds and where, and the page about it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from checked_folders import found, write
from sarif_pydantic import Sarif

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.folder.check import check_folder
from loss_logging.captions.ignore import IgnoreList

# --- what is found ------------------------------------------------------------------------------------------------


def test_everything_is_found(folder: Path) -> None:
    """Captions, missing captions and files that cannot be read are found, the gravest first, and counted."""
    check = check_folder(folder)
    assert found(check) == {
        ("error", "binary", "cats/4.txt"),
        ("error", "broken_line", "table/metadata.jsonl"),
        ("error", "empty", "cats/3.png"),
        ("error", "empty", "cats/5.png"),
        ("error", "suspicious", "cats/2.png"),
        ("error", "suspicious", "table/1.png"),
        ("warning", "not_utf8", "cats/6.txt"),
    }
    assert [finding.severity for finding in check.findings()] == ["error"] * 6 + ["warning"]
    assert dict(check.counts) == {"error": 6, "warning": 1}


def test_positions(folder: Path) -> None:
    """A finding says where in the file it is: line and columns of a text, the line of a table."""
    positions = {f.path: (f.line, f.column, f.end_line, f.end_column) for f in check_folder(folder).findings()}
    assert positions["cats/2.png"] == (2, 10, 2, 15)
    assert positions["table/1.png"] == (1, None, None, None)
    assert positions["table/metadata.jsonl"] == (2, None, None, None)


def test_one_image_with_two_captions(tmp_path: Path) -> None:
    """The same image under two names is known by its bytes; others of the same size are not the same."""
    write(tmp_path, {f"{i}.txt": f"a photo of thing number {i} on a table" for i in range(4)})
    (tmp_path / "0.png").write_bytes((tmp_path / "1.png").read_bytes())
    conflicts = {path for _, rule, path in found(check_folder(tmp_path)) if rule == "conflict"}
    assert conflicts == {"0.png", "1.png"}


def test_ignore_list(folder: Path) -> None:
    """What is on the list is not found, captions and files alike; a line that nothing needs is named."""
    ignore = IgnoreList(["suspicious cats/*", "not_utf8 *", "binary cats/4.txt", "short none/*"])
    check = check_folder(folder, ignore=ignore)
    assert {rule for _, rule, _ in found(check)} == {"broken_line", "empty", "suspicious"}
    assert check.captions.ignored == 1
    assert [line for line in check.captions.warnings if "none/*" in line]
    assert len(check.captions.warnings) == 1


def test_a_single_table(tmp_path: Path) -> None:
    """A Parquet file is checked by itself."""
    pq.write_table(
        pa.table({"path": ["a.png", "b.png"], "caption": ["a cat on a sofa", "nan"]}), tmp_path / "a.parquet"
    )
    check = check_folder(tmp_path / "a.parquet")
    assert found(check) == {("error", "empty", "b.png")}
    assert [finding.line for finding in check.findings()] == [2]


def test_documentation(tmp_path: Path) -> None:
    """The commands of the page run one after the other, and print what it says."""
    page = (Path(__file__).parents[3] / "docs" / "check_captions.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(sh|text|yaml)\n(.*?)```", page, re.DOTALL)
    script = "\n".join(text for kind, text in blocks if kind == "sh")
    bin_folder = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "COLUMNS": "160"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    outputs = [text for kind, text in blocks if kind == "text" and not text.startswith("#")]
    assert len(outputs) == 2
    assert all(text in done.stdout for text in outputs)
    (ignored,) = (text for kind, text in blocks if kind == "text" and text.startswith("#"))
    assert IgnoreList(ignored.splitlines())
    (config,) = (text for kind, text in blocks if kind == "yaml")
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    assert CaptionConfig.from_file(tmp_path / "config.yaml").model == "flux"
    Sarif.model_validate_json((tmp_path / "captions.sarif").read_text(encoding="utf-8"))
