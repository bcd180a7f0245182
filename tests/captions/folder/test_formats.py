from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import msgspec
import pytest
from checked_folders import HOSTILE, write, written
from rich.console import Console
from sarif_pydantic import Sarif

from loss_logging.captions.folder.check import Finding, check_folder
from loss_logging.cli.tables.check import print_check


def test_json(folder: Path) -> None:
    """Strict JSON of everything that was found."""
    check = check_folder(folder)
    data = json.loads(written(check, "json"), parse_constant=pytest.fail)
    assert data["counts"] == {"error": 6, "warning": 1, "info": 0}
    assert data["captions"] == 6
    assert data["datasets"]["cats"]["captions"] == 5
    assert msgspec.convert(data["findings"], list[Finding]) == list(check.findings())


def test_csv(folder: Path) -> None:
    """One row for each finding."""
    check = check_folder(folder)
    rows = list(csv.DictReader(io.StringIO(written(check, "csv"))))
    assert [(row["severity"], row["rule"], row["path"]) for row in rows] == [
        (finding.severity, finding.rule, finding.path) for finding in check.findings()
    ]


def test_github(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One workflow command a line, with the path from the working folder."""
    monkeypatch.chdir(folder.parent)
    lines = written(check_folder(folder), "github").splitlines()
    assert len(lines) == 7
    (unk,) = (line for line in lines if "<unk>" in line)
    assert unk.startswith("::error file=set/cats/2.txt,line=2,endLine=2,col=10,endColumn=15,title=suspicious::Contains")


def test_sarif(folder: Path) -> None:
    """Valid SARIF 2.1.0 whose rules, levels and places are those of the findings."""
    check = check_folder(folder)
    text = written(check, "sarif")
    log = Sarif.model_validate_json(text)
    (run,) = log.runs
    assert run.results
    for result, finding in zip(run.results, check.findings(), strict=True):
        assert result.rule_id == run.tool.driver.rules[result.rule_index].id == finding.rule
        assert result.message.text == finding.message
        place = result.locations[0].physical_location
        assert unquote_to_bytes(place.artifact_location.uri.removeprefix("file://")) == os.fsencode(finding.source)
        assert (place.region.start_line if place.region else None) == finding.line
    data = json.loads(text)
    assert data["version"] == "2.1.0"
    assert {result["level"] for result in data["runs"][0]["results"]} == {"error", "warning"}


@pytest.mark.parametrize("output", ["table", "json", "csv", "github", "sarif"])
def test_hostile_captions_and_names(tmp_path: Path, output: str) -> None:
    """Whatever captions and names hold, the output is UTF-8, well-formed, and steers no terminal and no workflow."""
    name = os.fsdecode(b"caf\xe9 ::,[bold]%\n\x1b[2J")
    rows = [{"file_name": "a.png", "text": HOSTILE}]
    write(tmp_path, {f"{name}.txt": "a <unk> cat", "metadata.jsonl": "\n".join(map(json.dumps, rows))})
    check = check_folder(tmp_path)
    assert len(check.captions.flagged) == 2
    if output == "table":
        out = io.StringIO()
        print_check(check, Console(file=out, width=160))
        text = out.getvalue()
        assert "\x1b" not in text
        assert "\u202e" not in text
    else:
        text = written(check, output)
    text.encode()
    lines = text.splitlines()
    if output == "github":
        assert all(line.startswith(("::error file=", "::warning file=", "::notice file=")) for line in lines)
        assert len(lines) == len(list(check.findings()))
    if output == "sarif":
        Sarif.model_validate_json(text)
    if output == "json":
        json.loads(text)
    if output == "csv":
        assert len(list(csv.reader(io.StringIO(text)))) == 1 + len(list(check.findings()))
