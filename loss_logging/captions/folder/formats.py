"""The findings of a check in formats for programs: JSON, CSV, GitHub's annotations, SARIF."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

import msgspec

from loss_logging.captions.folder.check import Finding, FolderCheck
from loss_logging.captions.reason import SEVERITIES
from loss_logging.version import __version__

__all__ = ["WRITERS", "from_here", "printable", "write_csv"]

SCHEMA_NAME = "loss_logging/check-captions/1"

_CSV_COLUMNS = ("severity", "rule", "score", "path", "dataset", "source", "line", "column", "message", "caption")
_GITHUB_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
_SARIF_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MOST_RESULTS = 25_000  # GitHub refuses a SARIF file with more


def write_json(check: FolderCheck, out: TextIO) -> None:
    """One JSON document: counts, datasets, and every finding on a line of its own."""
    head = {
        "schema": SCHEMA_NAME,
        "path": check.root,
        "captions": check.captions.captions,
        "counts": {severity: check.counts[severity] for severity in reversed(SEVERITIES)},
        "rules": check.captions.summary,
        "files": dict(check.problems.counts.most_common()),
        "datasets": msgspec.to_builtins(check.captions.datasets),
        "ignored": check.captions.ignored,
        "warnings": check.captions.warnings,
        "notes": check.problems.notes,
    }
    out.write(_json(head)[:-1] + ', "findings": [')
    for i, finding in enumerate(check.findings()):
        out.write((",\n" if i else "\n") + _json(msgspec.to_builtins(finding)))
    out.write("\n]}\n")


def write_csv(check: FolderCheck, out: TextIO) -> None:
    """One row for each finding, under a header."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for finding in check.findings():
        row = [getattr(finding, column) for column in _CSV_COLUMNS]
        writer.writerow([printable(value) if isinstance(value, str) else value for value in row])


def write_github(check: FolderCheck, out: TextIO) -> None:
    """One workflow command for each finding; GitHub shows the first ten of each severity beside the files."""
    for finding in check.findings():
        names = {"file": from_here(finding.source), "line": finding.line, "endLine": finding.end_line}
        if finding.line == finding.end_line:  # columns make sense within one line
            names |= {"col": finding.column, "endColumn": finding.end_column}
        names["title"] = finding.rule
        where = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in names.items() if value is not None)
        out.write(f"::{_GITHUB_COMMANDS[finding.severity]} {where}::{_escaped(finding.message)}\n")


def write_sarif(check: FolderCheck, out: TextIO) -> None:
    """One SARIF 2.1.0 log with one run."""
    findings = list(islice(check.findings(), _MOST_RESULTS + 1))
    notes = [*check.captions.warnings, *check.problems.notes]
    if len(findings) > _MOST_RESULTS:
        findings.pop()
        notes.append(f"Only the first {_MOST_RESULTS} findings are listed, highest severity first.")
    rules = {finding.rule: finding for finding in reversed(findings)}
    run = {
        "tool": {
            "driver": {
                "name": "loss-logging",
                "version": __version__,
                "rules": [_sarif_rule(name, finding) for name, finding in sorted(rules.items())],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [{"level": "note", "message": {"text": note}} for note in notes],
            }
        ],
        "results": [_sarif_result(finding, sorted(rules)) for finding in findings],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    out.write(_json({"$schema": schema, "version": "2.1.0", "runs": [run]}) + "\n")


WRITERS: dict[str, Callable[[FolderCheck, TextIO], None]] = {
    "json": write_json,
    "csv": write_csv,
    "github": write_github,
    "sarif": write_sarif,
}
"""By the name of the format."""


def printable(text: str) -> str:
    """The text without characters that UTF-8 cannot hold, as in file names of other encodings; U+FFFD replaces them.

    >>> printable("caf\\udce9.png")
    'caf\\ufffd.png'
    """
    return _SURROGATE.sub("\ufffd", text)


def _json(value: Any) -> str:
    return json.dumps(_clean(value), ensure_ascii=False, allow_nan=False)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): _clean(inner) for key, inner in value.items()}
    return [_clean(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _sarif_rule(name: str, finding: Finding) -> dict[str, Any]:
    return {
        "id": name,
        "shortDescription": {"text": f"Captions: {name.replace('_', ' ')}"},
        "defaultConfiguration": {"level": _SARIF_LEVELS[finding.severity]},
    }


def _sarif_result(finding: Finding, rules: list[str]) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": {"uri": _uri(from_here(finding.source))}}
    region = {
        "startLine": finding.line,
        "startColumn": finding.column,
        "endLine": finding.end_line,
        "endColumn": finding.end_column,
    }
    if finding.line is not None:
        location["region"] = {name: value for name, value in region.items() if value is not None}
    return {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": _SARIF_LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": location}],
    }


def from_here(path: str) -> str:
    """The path relative to the working directory if it is below it, as GitHub requires."""
    return path.removeprefix(f"{Path.cwd()}/")


def _uri(path: str) -> str:
    return (
        quote(os.fsencode(Path(path).as_posix())) if not path.startswith("/") else "file://" + quote(os.fsencode(path))
    )


def _escaped(text: str, more: Iterable[str] = "") -> str:
    """The text with the escapes of GitHub's workflow commands."""
    for character in ("%", "\r", "\n", *more):
        text = text.replace(character, f"%{ord(character):02X}")
    return printable(text)
